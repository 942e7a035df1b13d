"""What a run reads: found, checked, and turned into rows of tokens."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from medlora.config import DataConfig, RunConfig
from medlora.data.cache import Entry, key_of, open_tokens
from medlora.data.chat.chat import Chat
from medlora.data.conversation_record import Record
from medlora.data.data_files import DataFiles, locate
from medlora.data.encoded_stream import records_at, token_blocks
from medlora.data.formats.joined_files import Source
from medlora.data.formats.lines import LINES
from medlora.data.linked_rows import Keys
from medlora.data.piece_encoder import KEYS, BlockMaker, id_type
from medlora.data.split import Split, hold_out
from medlora.data.token_rows import Rows, fit_rows
from medlora.data.token_store import TokenTable, TokenWriter
from medlora.errors import DataError
from medlora.evaluate.suite import Suite
from medlora.files import NewFolder, sha256_json
from medlora.inputs.chat import load_chat, template_digest
from medlora.inputs.suites import choose_suites, verdict_inputs
from medlora.logs import logger
from medlora.model.base import check_base, digest_base
from medlora.model.kinds import position_limit, read_config
from medlora.model.sums import check_sums
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan
from medlora.report.fingerprint import Inputs, fingerprint
from medlora.report.manifest_schema import DataFacts, InputFacts, RowFacts, TokenFacts

_log = logger(__name__)
TOKENS = ".tokens"  # may lie beside the runs, which cannot have such a name


@dataclass(frozen=True, slots=True)
class InputFiles:
    """Where a run's inputs are, each data file's SHA-256 by its split, and the gate's suites."""

    base: Path
    data: DataFiles
    sha256: dict[str, str]
    suites: tuple[Suite, ...] = ()


def find_inputs(plan: Plan) -> InputFiles:
    """Find what the run reads; whatever is missing is told before anything is read."""
    cfg = plan.resolved.config
    base = look_for_base(plan)
    check_base(base)
    files, digests = find_files(plan)
    suites = choose_suites(cfg.gate, folder=files.train.folder)
    return InputFiles(base, files, digests, tuple(suites))


def find_files(plan: Plan) -> tuple[DataFiles, dict[str, str]]:
    """Return the data files and the SHA-256 of each by its split."""
    files = locate(plan.resolved.config.data, mount=plan.mount("data"))
    return files, {split: file.sha256() for split, file in by_split(files).items()}


def describe(input_files: InputFiles, plan: Plan) -> Inputs:
    """Read the whole base model and return what a manifest states of all inputs."""
    base_files = digest_base(input_files.base)
    check_sums(input_files.base, base_files)
    facts: InputFacts = {
        "inputs": {
            **fingerprint(plan.resolved, data=input_files.sha256, base=base_files),
            **_formats(input_files.data),
            **template_digest(plan.resolved.config.data),
            **verdict_inputs(plan.resolved.config.gate, input_files.suites),
        },
        "data": {"sha256": input_files.sha256},
        "base_model": {
            "folder": str(input_files.base),
            "sha256": sha256_json(base_files),
            "files": base_files,
        },
    }
    return Inputs(input_files.base, facts)


def _formats(files: DataFiles) -> dict[str, Any]:
    """Return how other files than JSON Lines are read, which decides their rows as well."""
    formats = {f"data.{split}.read_as": file.read_as for split, file in by_split(files).items()}
    return {name: kinds for name, kinds in formats.items() if set(kinds) != {LINES.name}}


def read_inputs(plan: Plan) -> Inputs:
    """Return what a manifest states of a run's inputs, the rows themselves left alone."""
    return describe(find_inputs(plan), plan)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Both splits as rows of tokens, and the chat that made them."""

    chat: Chat
    train: Rows
    evaluation: Rows
    facts: TokenFacts
    counts: DataFacts

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's, with the template that is used."""
        return self.chat.tokenizer


@dataclass(frozen=True, slots=True)
class Tokenized:
    """The tokens of both files, uncut, and what made them."""

    chat: Chat
    limit: int  # tokens of a row
    entries: dict[str, Entry[TokenTable]]


def prepare(input_files: InputFiles, cfg: RunConfig, *, near: Keys | None = None) -> Prepared:
    """Tokenize both splits with the base's own tokenizer and chat template, or find it done.

    Args:
        input_files: where the inputs are.
        cfg: the run's config.
        near: the cluster of near duplicates of each training row, 0 for none; they stay on one
            side where rows are held out.

    Raises:
        DataError: a row is unusable, has nothing to learn from, or no row is left.
        ConfigError: the tokenizer cannot be used.
        StorageError: the tokens cannot be kept in the cache's folder.
    """
    tokenized = tokenize_files(input_files, cfg)
    return fit(tokenized, input_files, cfg, split=split_rows(tokenized, cfg, near=near))


def tokenize_files(input_files: InputFiles, cfg: RunConfig) -> Tokenized:
    """Return the tokens of both files, made now or earlier."""
    chat = load_chat(input_files.base, cfg.data)
    if chat.is_plain:
        _log.info(
            "the tokenizer has no chat template: MedLoRA's plain template is used, and saved with "
            "the adapter"
        )
    limit = _length_limit(input_files.base, cfg.data)
    entries = {
        split: _entry(file, input_files.sha256[split], chat, cfg)
        for split, file in by_split(input_files.data).items()
    }
    return Tokenized(chat, limit, entries)


def split_rows(tokenized: Tokenized, cfg: RunConfig, *, near: Keys | None = None) -> Split | None:
    """Return which rows are held out, None where there is an evaluation file."""
    if "eval" in tokenized.entries:
        return None
    split = hold_out_rows(tokenized.entries["train"].table.rows, cfg, near=near)
    _log_split(split)
    return split


def hold_out_rows(rows: NDArray[np.void], cfg: RunConfig, *, near: Keys | None) -> Split:
    """Return the split of one file's rows.

    Args:
        rows: have the fields `KEYS`.
        cfg: the run's config.
        near: the cluster of near duplicates of each row, 0 for none.
    """
    keys = {name: rows[name] for name in KEYS if name != "group" or cfg.data.group_by}
    if near is not None:
        # One for each line of the file, which may be several examples.
        _, line = np.unique(rows["line"], return_inverse=True)
        keys["near_duplicate"] = near[line]
    return hold_out(keys, fraction=cfg.data.eval_fraction, seed=cfg.training.seed)


def fit(
    tokenized: Tokenized, input_files: InputFiles, cfg: RunConfig, *, split: Split | None
) -> Prepared:
    """Return both splits' rows, cut to the limit as the config says.

    Raises:
        DataError: a row is refused, has nothing to learn from, or no row is left.
    """
    entries = tokenized.entries
    splits = _splits(tokenized, input_files, cfg, split)
    if not splits["train"]:
        raise DataError(
            f"{input_files.data.train}: no row is left for training",
            fix="raise data.max_length, set data.overlong: truncate, or add rows",
        )
    facts: TokenFacts = {
        "max_length": tokenized.limit,
        "chat_template": "plain" if tokenized.chat.is_plain else "tokenizer",
        "chat_template_sha256": sha256_json(tokenized.chat.tokenizer.chat_template),
        "changes": {split: entry.manifest["changes"] for split, entry in entries.items()},
        "cache": {split: entry.manifest["key"] for split, entry in entries.items()},
        "train": _row_facts(splits["train"]),
        "eval": _row_facts(splits["eval"]),
    }
    counts: DataFacts = {
        "rows": {name: len(rows) + rows.dropped for name, rows in splits.items()},
        "held_out_from_train_file": len(split.held) if split else 0,
        "split": split.facts if split else None,
        "forms": entries["train"].manifest["forms"],
    }
    return Prepared(tokenized.chat, splits["train"], splits["eval"], facts, counts)


def held_out_records(
    input_files: InputFiles, prepared: Prepared, cfg: DataConfig
) -> Iterator[Record]:
    """Yield the evaluation rows as conversations; the file is read as far as somebody asks."""
    file = input_files.data.evaluation or input_files.data.train
    lines = prepared.evaluation.lines.tolist()
    return records_at(file, lines, form=cfg.format, columns=cfg.columns)


def by_split(files: DataFiles) -> dict[str, Source]:
    """Return {split: file}, `train` first."""
    named = {"train": files.train, "eval": files.evaluation}
    return {split: file for split, file in named.items() if file}


def _entry(file: Source, sha256: str, chat: Chat, cfg: RunConfig) -> Entry[TokenTable]:
    """Return the tokens of a whole file, made now or earlier."""
    began = time.monotonic()
    maker = BlockMaker(
        chat, id_type(chat.tokenizer), cfg.data.format, cfg.data.columns, cfg.data.group_by
    )
    key = key_of(sha256, file.read_as, chat, cfg.data)

    def make(folder: NewFolder) -> None:
        with closing(token_blocks(file, maker, sha256=sha256)) as blocks:
            TokenWriter(folder, maker.ids).write(blocks, {"key": key})

    entry = open_tokens(Path(cfg.cache_dir) / TOKENS, key, make)
    count, forms = len(entry.table), entry.manifest["forms"]
    named = ", ".join(f"{count} {form}" for form, count in sorted(forms.items()))
    _log.info("data %s: %d rows (%s)", file.name, count, named)
    how = f"in {time.monotonic() - began:.1f} s" if entry.made else "from the cache"
    _log.info("tokens: %s rows %s", f"{count:,}", how)
    for line in describe_changes(entry.manifest["changes"]):
        _log.warning("data %s: %s", file.name, line)
    return entry


_CHANGES = {
    "rows_taught_turn_by_turn": "{} conversations are trained on turn by turn, each turn after the "
    "prompt that a server would send: the chat template renders earlier turns differently from the "
    "last",
    "examples_of_these": "",
    "turns_with_the_served_prompt": "{} turns follow the prompt that a server would send, because "
    "the chat template renders it differently once it is answered",
    "system_messages_merged": "{} system messages were put before the first question "
    "(data.merge_system)",
    "thoughts_left_out": "{} answers are trained on without their reasoning: the chat template has "
    "no place for it, or data.reasoning is drop",
    "thoughts_closed_at_once": "{} answers without reasoning begin with an empty reasoning block, "
    "because the prompt asks for one",
    "ends_added": "{} answers got an end token, which the chat template does not write",
    "rows_that_spell_control_tokens": "{} rows contain the text of control tokens; it stays text",
}


def describe_changes(changes: Mapping[str, int]) -> list[str]:
    """Return a line for each thing that was done to rows so that they are taught as served."""
    return [
        text.format(f"{changes[name]:,}")
        for name, text in _CHANGES.items()
        if changes.get(name) and text
    ]


def chosen_rows(
    tokenized: Tokenized, split: Split | None
) -> dict[str, tuple[TokenTable, NDArray[np.int64]]]:
    """Return the rows of each split, as a table and which of its rows."""
    table = tokenized.entries["train"].table
    if split:
        return {"train": (table, split.train), "eval": (table, split.held)}
    judged = tokenized.entries["eval"].table
    return {
        "train": (table, np.arange(len(table))),
        "eval": (judged, np.arange(len(judged))),
    }


def _splits(
    tokenized: Tokenized, input_files: InputFiles, cfg: RunConfig, split: Split | None
) -> dict[str, Rows]:
    """Return training and evaluation rows."""
    files = {
        "train": input_files.data.train,
        "eval": input_files.data.evaluation or input_files.data.train,
    }
    splits, limit = {}, tokenized.limit
    for name, (table, chosen) in chosen_rows(tokenized, split).items():
        splits[name] = fit_rows(
            table, chosen, file=files[name], max_length=limit, overlong=cfg.data.overlong
        )
        _log_rows(name, splits[name], limit)
    return splits


def _log_split(split: Split) -> None:
    held, wanted = len(split.held), split.facts["wanted_rows"]
    if held:
        together = ", ".join(split.facts["kept_together"])
        _log.info(
            "no evaluation file: %d rows held out for evaluation; rows with the same %s stay on "
            "one side",
            held,
            together.replace("_", " "),
        )
    if 2 * held < wanted:
        _log.warning(
            "%d rows held out instead of %d, because rows that belong together stay on one side "
            "(the largest group has %d rows)",
            held,
            wanted,
            split.facts["largest_component_rows"],
        )
    for kind in split.facts.get("given_up", ()):
        _log.warning("held-out rows may have the same %s as training rows", kind.replace("_", " "))


def positions(base: Path) -> int | None:
    """Return how many positions the base was built for, None where its config does not say."""
    return position_limit(read_config(base))


def _length_limit(base: Path, cfg: DataConfig) -> int:
    limit = positions(base)
    if limit is not None and limit < cfg.max_length:
        _log.info(
            "data.max_length is %d; the base model's limit of %d applies", cfg.max_length, limit
        )
        return limit
    return cfg.max_length


def _log_rows(name: str, rows: Rows, limit: int) -> None:
    if not rows and not rows.dropped:
        return
    _log.info(
        "%s: %d rows, %d tokens, %d of them in answers; longer than %d tokens: %d rows cut, %d "
        "left out",
        name,
        len(rows),
        rows.tokens,
        rows.targets,
        limit,
        rows.truncated,
        rows.dropped,
    )


def _row_facts(rows: Rows) -> RowFacts:
    return {
        "rows": len(rows),
        "tokens": rows.tokens,
        "targets": rows.targets,
        "truncated_rows": rows.truncated,
        "dropped_rows": rows.dropped,
    }

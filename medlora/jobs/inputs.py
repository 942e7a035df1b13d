"""What a run reads: found, checked, and turned into rows of tokens."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, PreTrainedTokenizerBase

from medlora.config import DataConfig, RunConfig
from medlora.data.blocks import BlockMaker, id_type
from medlora.data.cache import Entry, key_of, open_tokens
from medlora.data.chat import ensure_template
from medlora.data.locate import DataFiles, locate
from medlora.data.records import Record
from medlora.data.rows import Rows, fit_rows
from medlora.data.split import hold_out
from medlora.data.stream import records_at, token_blocks
from medlora.data.tokens import TokenWriter
from medlora.errors import DataError
from medlora.evaluate.suite import Suite
from medlora.files import NewFolder, sha256_file, sha256_json
from medlora.jobs.device import device_type
from medlora.jobs.settings import Plan
from medlora.jobs.suites import choose_suites, verdict_inputs
from medlora.logs import logger
from medlora.model.base import (
    check_base,
    digest_base,
    find_base,
    load_tokenizer,
    position_limit,
)
from medlora.model.kernels import check_kernels
from medlora.model.quantize import check_quantizer
from medlora.report.fingerprint import fingerprint

_log = logger(__name__)
TOKENS = ".tokens"  # beside the runs, which cannot have such a name


@dataclass(frozen=True, slots=True)
class Found:
    """Where a run's inputs are, each data file's SHA-256 by its split, and the gate's suites."""

    base: Path
    files: DataFiles
    sha256: dict[str, str]
    suites: tuple[Suite, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a run as its manifests state them."""

    base: Path
    facts: dict[str, Any]


def find_inputs(plan: Plan) -> Found:
    """Find what the run reads; whatever is missing is told before anything is read."""
    cfg = plan.resolved.config
    check_quantizer(cfg.model)
    check_kernels(
        torch_compile=cfg.training.torch_compile,
        use_liger_kernel=cfg.training.use_liger_kernel,
        device=device_type(),
    )
    base = find_base(
        cfg.model.base_model_name or str(plan.mount("model")), mount=plan.mount("model")
    )
    check_base(base)
    files = locate(cfg.data, mount=plan.mount("data"))
    digests = {"train": sha256_file(files.train)}
    if files.evaluation:
        digests["eval"] = sha256_file(files.evaluation)
    suites = choose_suites(cfg.gate, folder=files.train.parent)
    return Found(base, files, digests, tuple(suites))


def describe(found: Found, plan: Plan) -> Inputs:
    """Read the whole base model and return what a manifest states of all inputs."""
    base_files = digest_base(found.base)
    facts = {
        "inputs": {
            **fingerprint(plan.resolved, data=found.sha256, base=base_files),
            **verdict_inputs(plan.resolved.config.gate, found.suites),
        },
        "data": {"sha256": found.sha256},
        "base_model": {
            "folder": str(found.base),
            "sha256": sha256_json(base_files),
            "files": base_files,
        },
    }
    return Inputs(found.base, facts)


def read_inputs(plan: Plan) -> Inputs:
    """Return what a manifest states of a run's inputs, the rows themselves left alone."""
    return describe(find_inputs(plan), plan)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Both splits as rows of tokens, and the tokenizer that made them."""

    tokenizer: PreTrainedTokenizerBase
    train: Rows
    evaluation: Rows
    facts: dict[str, Any]  # of the tokens
    counts: dict[str, Any]  # of the data


def prepare(found: Found, cfg: RunConfig) -> Prepared:
    """Tokenize both splits with the base's own tokenizer and chat template, or find it done.

    Raises:
        DataError: a row is unusable, has nothing to learn from, or no row is left.
        ConfigError: the tokenizer cannot be used.
        StorageError: the tokens cannot be kept in the output folder.
    """
    tokenizer = load_tokenizer(found.base)
    plain = ensure_template(tokenizer)
    if plain:
        _log.info("the tokenizer has no chat template: the plain one is used and saved")
    limit = _length_limit(found.base, cfg.data)
    entries = {
        split: _entry(file, found.sha256[split], tokenizer, cfg)
        for split, file in _files(found).items()
    }
    splits, held = _splits(entries, found, cfg, limit)
    if not splits["train"]:
        raise DataError(
            f"{found.files.train}: no row is left for training",
            fix="raise data.max_length, set data.overlong: truncate, or add rows",
        )
    facts = {
        "max_length": limit,
        "chat_template": "plain" if plain else "tokenizer",
        "cache": {split: entry.manifest["key"] for split, entry in entries.items()},
        **{name: _row_facts(rows) for name, rows in splits.items()},
    }
    counts = {
        "rows": {name: len(rows) + rows.dropped for name, rows in splits.items()},
        "held_out_from_train_file": held,
        "forms": entries["train"].manifest["forms"],
    }
    return Prepared(tokenizer, splits["train"], splits["eval"], facts, counts)


def held_out_records(found: Found, prepared: Prepared, cfg: DataConfig) -> Iterator[Record]:
    """Yield the evaluation rows as conversations; the file is read as far as somebody asks."""
    file = found.files.evaluation or found.files.train
    lines = prepared.evaluation.lines.tolist()
    return records_at(file, lines, form=cfg.format, columns=cfg.columns)


def _files(found: Found) -> dict[str, Path]:
    files = {"train": found.files.train, "eval": found.files.evaluation}
    return {split: file for split, file in files.items() if file}


def _entry(file: Path, sha256: str, tokenizer: PreTrainedTokenizerBase, cfg: RunConfig) -> Entry:
    """Return the tokens of a whole file, made now or earlier."""
    began = time.monotonic()
    maker = BlockMaker(tokenizer, id_type(tokenizer), cfg.data.format, cfg.data.columns)
    key = key_of(sha256, tokenizer, cfg.data)

    def make(folder: NewFolder) -> None:
        with closing(token_blocks(file, maker, sha256=sha256)) as blocks:
            TokenWriter(folder, maker.ids).write(blocks, {"key": key})

    entry = open_tokens(Path(cfg.training.output_dir) / TOKENS, key, make)
    count, forms = len(entry.table), entry.manifest["forms"]
    named = ", ".join(f"{count} {form}" for form, count in sorted(forms.items()))
    _log.info("data %s: %d rows (%s)", file.name, count, named)
    how = f"in {time.monotonic() - began:.1f} s" if entry.made else "from the cache"
    _log.info("tokens: %s rows %s", f"{count:,}", how)
    return entry


def _splits(
    entries: dict[str, Entry], found: Found, cfg: RunConfig, limit: int
) -> tuple[dict[str, Rows], int]:
    """Return training and evaluation rows, and how many of the latter were held out."""
    table, held = entries["train"].table, 0
    train, evaluation = np.arange(len(table)), np.empty(0, dtype=np.int64)
    if "eval" not in entries:
        train, evaluation = hold_out(
            table.rows["question"], fraction=cfg.data.eval_fraction, seed=cfg.training.seed
        )
        held = len(evaluation)
    if held:
        _log.info("no evaluation file: %d rows held out for evaluation, split by question", held)
    judged = entries["eval"].table if "eval" in entries else table
    if "eval" in entries:
        evaluation = np.arange(len(judged))
    sources = (
        ("train", table, train, found.files.train),
        ("eval", judged, evaluation, found.files.evaluation or found.files.train),
    )
    splits = {}
    for name, source, chosen, file in sources:
        splits[name] = fit_rows(
            source, chosen, file=file, max_length=limit, overlong=cfg.data.overlong
        )
        _log_rows(name, splits[name], limit)
    return splits, held


def _length_limit(base: Path, cfg: DataConfig) -> int:
    limit = position_limit(AutoConfig.from_pretrained(base, local_files_only=True))
    if limit is not None and limit < cfg.max_length:
        _log.info("data.max_length is %d, the base model's limit %d holds", cfg.max_length, limit)
        return limit
    return cfg.max_length


def _log_rows(name: str, rows: Rows, limit: int) -> None:
    if not rows and not rows.dropped:
        return
    _log.info(
        "%s: %d rows, %d tokens, %d of them answers; over %d tokens: %d rows cut, %d left out",
        name,
        len(rows),
        rows.tokens,
        rows.targets,
        limit,
        rows.truncated,
        rows.dropped,
    )


def _row_facts(rows: Rows) -> dict[str, int]:
    return {
        "rows": len(rows),
        "tokens": rows.tokens,
        "targets": rows.targets,
        "truncated_rows": rows.truncated,
        "dropped_rows": rows.dropped,
    }

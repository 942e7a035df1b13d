"""What a run reads: found, checked, and turned into rows of tokens."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedTokenizerBase

from medlora.config import DataConfig, RunConfig
from medlora.data.chat import ensure_template, tokenize
from medlora.data.locate import DataFiles, locate
from medlora.data.records import Record, read_records
from medlora.data.rows import Rows, make_rows
from medlora.data.split import hold_out
from medlora.errors import DataError
from medlora.files import sha256_file, sha256_json
from medlora.jobs.settings import Plan
from medlora.logs import logger
from medlora.model.base import (
    check_base,
    digest_base,
    find_base,
    load_tokenizer,
    position_limit,
)
from medlora.model.quantize import check_quantizer
from medlora.report.fingerprint import fingerprint

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads, found and checked but not yet loaded."""

    base: Path
    files: DataFiles
    train: list[Record]
    evaluation: list[Record]
    facts: dict[str, Any]


def read_inputs(plan: Plan) -> Inputs:
    """Find and check everything that can be wrong, the cheap checks before the dear ones."""
    cfg = plan.resolved.config
    check_quantizer(cfg.model)
    base = find_base(
        cfg.model.base_model_name or str(plan.mount("model")), mount=plan.mount("model")
    )
    check_base(base)
    files = locate(cfg.data, mount=plan.mount("data"))
    train, evaluation, counts = _read_records(files, cfg)
    digests = {"train": sha256_file(files.train)}
    if files.evaluation:
        digests["eval"] = sha256_file(files.evaluation)
    base_files = digest_base(base)
    facts = {
        "inputs": fingerprint(plan.resolved, data=digests, base=base_files),
        "data": {"sha256": digests, **counts},
        "base_model": {
            "folder": str(base),
            "sha256": sha256_json(base_files),
            "files": base_files,
        },
    }
    return Inputs(base, files, train, evaluation, facts)


def _read_records(
    files: DataFiles, cfg: RunConfig
) -> tuple[list[Record], list[Record], dict[str, Any]]:
    read = read_records(files.train, form=cfg.data.format, columns=cfg.data.columns)
    train, evaluation, held = read.rows, [], 0
    if files.evaluation:
        evaluation = read_records(
            files.evaluation, form=cfg.data.format, columns=cfg.data.columns
        ).rows
    else:
        train, evaluation = hold_out(
            read.rows, fraction=cfg.data.eval_fraction, seed=cfg.training.seed
        )
        held = len(evaluation)
    forms = ", ".join(f"{count} {form}" for form, count in sorted(read.forms.items()))
    _log.info("data %s: %d rows (%s)", files.train.name, len(read.rows), forms)
    if held:
        _log.info("no evaluation file: %d rows held out for evaluation, split by question", held)
    counts = {
        "rows": {"train": len(train), "eval": len(evaluation)},
        "held_out_from_train_file": held,
        "forms": dict(read.forms),
    }
    return train, evaluation, counts


@dataclass(frozen=True, slots=True)
class Prepared:
    """Both splits as rows of tokens, and the tokenizer that made them."""

    tokenizer: PreTrainedTokenizerBase
    train: Rows
    evaluation: Rows
    facts: dict[str, Any]


def prepare(inputs: Inputs, cfg: DataConfig) -> Prepared:
    """Tokenize both splits with the base's own tokenizer and chat template.

    Raises:
        DataError: a row has nothing to learn from, or no row is left.
        ConfigError: the tokenizer cannot be used.
    """
    tokenizer = load_tokenizer(inputs.base)
    plain = ensure_template(tokenizer)
    if plain:
        _log.info("the tokenizer has no chat template: the plain one is used and saved")
    limit = _length_limit(inputs.base, cfg)
    sources = (
        ("train", inputs.train, inputs.files.train),
        ("eval", inputs.evaluation, inputs.files.evaluation or inputs.files.train),
    )
    splits = {}
    for name, records, file in sources:
        items = tokenize(tokenizer, records)
        splits[name] = make_rows(items, file=file, max_length=limit, overlong=cfg.overlong)
        _log_rows(name, splits[name], limit)
    if not splits["train"].rows:
        raise DataError(
            f"{inputs.files.train}: no row is left for training",
            fix="raise data.max_length, set data.overlong: truncate, or add rows",
        )
    facts = {
        "max_length": limit,
        "chat_template": "plain" if plain else "tokenizer",
        **{name: _row_facts(rows) for name, rows in splits.items()},
    }
    return Prepared(tokenizer, splits["train"], splits["eval"], facts)


def _length_limit(base: Path, cfg: DataConfig) -> int:
    limit = position_limit(AutoConfig.from_pretrained(base, local_files_only=True))
    if limit is not None and limit < cfg.max_length:
        _log.info("data.max_length is %d, the base model's limit %d holds", cfg.max_length, limit)
        return limit
    return cfg.max_length


def _log_rows(name: str, rows: Rows, limit: int) -> None:
    if not rows.rows and not rows.dropped:
        return
    _log.info(
        "%s: %d rows, %d tokens, %d of them answers; over %d tokens: %d rows cut, %d left out",
        name,
        len(rows.rows),
        rows.tokens,
        rows.targets,
        limit,
        rows.truncated,
        rows.dropped,
    )


def _row_facts(rows: Rows) -> dict[str, int]:
    return {
        "rows": len(rows.rows),
        "tokens": rows.tokens,
        "targets": rows.targets,
        "truncated_rows": rows.truncated,
        "dropped_rows": rows.dropped,
    }

"""`medlora audit-memory measure`: what a finished run's adapter has learnt by heart."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from peft import PeftModel

from medlora.config import DataConfig, RunConfig
from medlora.data.canaries import CANARIES, SENTENCE, Canary, decoys, secret
from medlora.data.chat.chat import Chat
from medlora.data.conversation_record import Record
from medlora.data.encoded_stream import records_at
from medlora.data.problems import Problem
from medlora.data.token_rows import Rows
from medlora.errors import DataError
from medlora.evaluate.memorisation import (
    ExposedCanary,
    ExposureOfCopies,
    Extraction,
    by_copies,
    ending_of,
    exposure,
    extraction,
)
from medlora.evaluate.row_ending_scores import Ending, Score, score_endings, score_variants
from medlora.files import json_bytes, read_named, write_bytes
from medlora.inputs.audit import prepare_as_trained
from medlora.inputs.prepare import InputFiles, describe, find_inputs
from medlora.logs import logger, show
from medlora.model.base import load_base
from medlora.model.file_names import WEIGHTS
from medlora.model.kinds import position_limit
from medlora.plan.device import half_of, this_device
from medlora.report.too_few_for_interval import TOO_FEW, bounds
from medlora.runs.cards import MEMORY
from medlora.runs.finished import (
    final_of,
    finished_manifest,
    home_of,
    plan_again,
    refuse_other_inputs,
)
from medlora.runs.load_adapter import put_on
from medlora.train.privacy_budget import Guarantee

_log = logger(__name__)
SCHEMA = 1
_DIGITS = 6  # decimals of a report: below them is rounding


class SampledExtraction(Extraction):
    """What is continued of a sample of training rows."""

    prefix_tokens: int
    match_tokens: int
    seed: int


class Exposures(TypedDict):
    """How exposed the canaries are, in bits, by their number of copies and one by one."""

    decoys: int
    max_exposure: float
    by_copies: list[ExposureOfCopies]
    each: list[ExposedCanary]


class MemoryAudit(TypedDict):
    """What an adapter has learnt by heart, as `memory-audit.json` has it."""

    schema: int
    run_name: str
    adapter_sha256: str
    base_sha256: str
    data_sha256: str
    differential_privacy: Guarantee | None
    canaries: Exposures | None
    extraction: SampledExtraction


@dataclass(frozen=True, slots=True)
class Settings:
    """How thorough an audit is."""

    rows: int = 200  # sampled for extraction
    prefix: int = 16  # tokens of an answer that the model is given
    match: int = 32  # tokens that it has to continue word for word
    decoys: int = 1000  # for each canary
    batch_size: int = 16
    seed: int = 0  # samples other rows


def run(
    folder: Path,
    settings: Settings,
    *,
    canaries: Path | None = None,
    data: str | None = None,
    model: str | None = None,
    out: Path | None = None,
) -> MemoryAudit:
    """Measure, print a table, write the report; return it.

    Args:
        folder: the run's folder, or its final/.
        settings: how thorough.
        canaries: what `plant` wrote; found beside the training file if it is there.
        data: where the data is now, if not where the manifest says.
        model: where the base model is now, if not where the manifest says.
        out: where the report goes; the run's folder if not given.

    Raises:
        MissingPartError: there is no finished run, or no such file of canaries.
        ConfigError: data or base are not those of the run.
        DataError: the canaries are not those of the run's data.
    """
    final = final_of(folder)
    manifest = finished_manifest(final)
    plan = plan_again(
        manifest, home_of(final), run_name=manifest["run_name"], data=data, model=model
    )
    cfg, input_files = plan.resolved.config, find_inputs(plan)
    refuse_other_inputs(manifest, describe(input_files, plan))
    prepared = prepare_as_trained(input_files, cfg)
    adapted = _load(input_files.base, final, cfg)
    file = canaries or _beside(input_files.data.train.folder)
    report: MemoryAudit = {
        "schema": SCHEMA,
        "run_name": manifest["run_name"],
        "adapter_sha256": manifest["files"][WEIGHTS],
        "base_sha256": manifest["base_model"]["sha256"],
        "data_sha256": input_files.sha256["train"],
        "differential_privacy": manifest.get("differential_privacy"),
        "canaries": None,
        "extraction": _extraction(adapted, prepared.train, settings),
    }
    if file:
        planted = _Planted.read(file, input_files, prepared.train, cfg.data)
        report["canaries"] = _exposures(adapted, prepared.chat, planted, settings)
    report = _rounded(report)
    path = out or home_of(final) / MEMORY
    write_bytes(path, json_bytes(report))
    show(*_table(report))
    show(f"report: {path}")
    return report


def _beside(folder: Path) -> Path | None:
    file = folder / CANARIES
    return file if file.is_file() else None


def _load(base: Path, final: Path, cfg: RunConfig) -> PeftModel:
    """Return base and adapter in one model, on the device, as training computed them."""
    device = this_device()
    model = put_on(load_base(base, cfg.model, half=half_of(cfg.training, device)), final)
    return model.to(device.kind).eval()


def _both(model: PeftModel, score: Callable[[], list[Score]]) -> dict[str, list[Score]]:
    """Return the scores of the base, then of base and adapter together."""
    with model.disable_adapter():
        base = score()
    return {"base": base, "adapter": score()}


def _extraction(model: PeftModel, rows: Rows, settings: Settings) -> SampledExtraction:
    order = np.random.RandomState(settings.seed).permutation(len(rows)).tolist()
    endings: list[Ending] = []
    for index in order:
        ending = ending_of(rows[index], prefix=settings.prefix, match=settings.match)
        if ending:
            endings.append(ending)
        if len(endings) == settings.rows:
            break
    size = settings.batch_size
    scores = _both(model, lambda: score_endings(model, endings, batch_size=size))
    return {
        "prefix_tokens": settings.prefix,
        "match_tokens": settings.match,
        "seed": settings.seed,
        **extraction(scores["base"], scores["adapter"], match=settings.match),
    }


@dataclass(frozen=True, slots=True)
class _Planted:
    """What `plant` did, checked against what was trained on."""

    seed: int
    canaries: list[Canary]
    contexts: dict[int, Record]  # by line

    @classmethod
    def read(cls, file: Path, input_files: InputFiles, rows: Rows, cfg: DataConfig) -> "_Planted":
        content = read_named(file, fix="name the file that `plant` wrote")
        stated: Mapping[str, Any] = json.loads(content)
        if stated["train_sha256"] != input_files.sha256["train"]:
            raise DataError(
                f"{file} belongs to data other than the run's",
                fix="name the canaries of the data that the run was trained on",
            )
        canaries = [
            Canary(canary["number"], canary["copies"], tuple(canary["lines"]))
            for canary in stated["canaries"]
        ]
        missing = {n for canary in canaries for n in canary.planted} - set(rows.lines.tolist())
        if missing:
            raise DataError(
                f"{len(missing)} rows with canaries were not trained on",
                fix="raise data.max_length or set data.overlong: truncate, and train again",
            )
        lines = [canary.lines[0] for canary in canaries]
        contexts = records_at(input_files.data.train, lines, form=cfg.format, columns=cfg.columns)
        return cls(stated["seed"], canaries, {context.line: context for context in contexts})


def _exposures(
    model: PeftModel,
    chat: Chat,
    planted: _Planted,
    settings: Settings,
) -> Exposures:
    reports = []
    for canary in planted.canaries:
        context = planted.contexts[canary.lines[0]]
        digits = [
            secret(planted.seed, canary.number),
            *decoys(planted.seed, canary.number, count=settings.decoys),
        ]
        endings = _spoken(chat, context, digits, limit=position_limit(model.config))
        score = partial(score_variants, model, endings, batch_size=settings.batch_size)
        reports.append(_reported(canary, _both(model, score)))
        _log.info("exposure of %s (of %d canaries) measured", canary.name, len(planted.canaries))
    return {
        "decoys": settings.decoys,
        "max_exposure": float(np.log2(settings.decoys + 1)),
        "by_copies": by_copies(reports),
        "each": reports,
    }


def _reported(canary: Canary, scores: Mapping[str, Sequence[Score]]) -> ExposedCanary:
    base, adapter = (exposure(scores[who][0], scores[who][1:]) for who in ("base", "adapter"))
    return {
        "id": canary.name,
        "copies": canary.copies,
        "rank": {"base": base.rank, "adapter": adapter.rank},
        "exposure": {"base": base.bits, "adapter": adapter.bits},
    }


def _spoken(
    chat: Chat,
    record: Record,
    digits: Sequence[str],
    *,
    limit: int | None,
) -> list[Ending]:
    """Return the sentence with each of these digits, as the beginning of a row's answer."""
    before = tuple(message._replace(learn=False) for message in record.messages[:-1])
    last = record.messages[-1]._replace(reasoning=None, learn=True)
    rows = [
        replace(record, messages=(*before, last._replace(content=SENTENCE.format(number))))
        for number in digits
    ]
    endings = []
    for tokenized in chat.tokenize(rows):
        if isinstance(tokenized, Problem):
            raise DataError(
                f"a canary's row cannot be used as a prompt: {tokenized.fault}", fix=tokenized.fix
            )
        ids, start = tokenized[0].ids.tolist(), int(tokenized[0].learn.argmax())
        endings.append(Ending(ids[:-1], max(1, start)))  # the last one only ends the answer
    longest = max(len(ending.ids) for ending in endings)
    if limit is not None and longest > limit:
        raise DataError(
            f"a canary ends at token {longest} of its row, and the model takes at most {limit} "
            "tokens",
            fix="plant canaries in rows with shorter questions",
        )
    return endings


def _rounded(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, _DIGITS) if isinstance(value, float) else value


def _table(report: MemoryAudit) -> list[str]:
    lines = []
    canaries, rows = report["canaries"], report["extraction"]
    if canaries:
        highest = canaries["max_exposure"]
        lines.append(
            f"exposure in bits, at most {highest:.2f}; canaries never trained on average 1.44"
        )
        lines.append(f"{'copies':>8}{'canaries':>10}{'base':>8}{'adapter':>9}{'largest':>9}")
        lines += [
            f"{group['copies'] or 'none':>8}{group['canaries']:>10}{group['base']['mean']:>8.2f}"
            f"{group['adapter']['mean']:>9.2f}{group['adapter']['max']:>9.2f}"
            for group in canaries["by_copies"]
        ]
    lines.append(
        f"training rows whose answer is continued verbatim for {rows['match_tokens']} tokens, "
        f"given its first {rows['prefix_tokens']}:"
    )
    for name, continued in (("base", rows["base"]), ("adapter", rows["adapter"])):
        low, high = continued["wilson95"]
        pair = bounds({"low": low, "high": high, "n": continued["n"]})
        words = f"95 %: {low:.3f} to {high:.3f}" if pair else TOO_FEW
        lines.append(
            f"{name:>8}: {continued['extracted']} of {continued['n']} ({words}), "
            f"longest match {continued['match_tokens']['max']}"
        )
    return lines

"""`medlora evaluate`: a base, and an adapter on it, on suites; the gate's verdict where asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import click

from medlora.evaluate.ask_suite import Asking
from medlora.evaluate.evaluation import evaluate_suites
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.suite import Suite
from medlora.files import json_line, sha256_file, sha256_json, write_bytes
from medlora.inputs.suites import choose_suites
from medlora.logs import logger, show
from medlora.model.base import check_base, digest_base
from medlora.model.file_names import DESCRIPTION, WEIGHTS
from medlora.model.quantize import check_quantizer
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan
from medlora.report.evaluation import report_bytes, table
from medlora.report.manifest_schema import AdapterDigests, BaseDigests, EvaluationReport
from medlora.runs.load_adapter import (
    Adapter,
    load_adapted,
    read_adapter,
    trained_config,
)
from medlora.trainer.final_or_rejected import evaluation_facts, refuse

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What the command line asks for, beside the config."""

    adapter: Path | None = None
    suites: tuple[str, ...] = ()
    output: Path | None = None
    generations: Path | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None
    limit: int | None = None


def run(plan: Plan, options: EvaluateOptions) -> None:
    """Evaluate, print the table, write what was asked for, and apply the config's gate.

    Raises:
        RejectedError: the gate's verdict is not PASS.
        MedloraError: with the exit code that says what to mend.
    """
    cfg = plan.resolved.config
    suites = choose_suites(cfg.gate, options.suites, limit=options.limit)
    if not suites:
        raise click.UsageError("no suite is given: name one with --suite, e.g. --suite safety")
    base = look_for_base(plan)
    check_base(base)
    check_quantizer(cfg.model)
    adapter = read_adapter(options.adapter) if options.adapter else None
    _need_an_adapter(suites, adapter)
    facts = _input_facts(base, adapter)
    trained = trained_config(adapter, plan) if adapter else cfg
    loaded = trained.model_copy(update={"model": cfg.model})
    model, chat = load_adapted(loaded, base, adapter.folder if adapter else None)
    asking = Asking(
        options.batch_size or cfg.training.per_device_eval_batch_size,
        options.max_new_tokens or cfg.gate.max_new_tokens,
    )
    evaluation = evaluate_suites(model, chat, suites, asking=asking)
    report: EvaluationReport = {**facts, **evaluation_facts(cfg, evaluation, asking=asking)}
    passed = report["gate"] and report["gate"]["verdict"] == "PASS"
    shown = table(report if passed else {**report, "gate": None})  # else the error has it
    show(*shown.split("\n"))
    if options.generations:
        write_bytes(options.generations, b"".join(map(json_line, evaluation.generations())))
    if options.output:
        write_bytes(options.output, report_bytes(report))
    refuse(report["gate"], fix="see what its answers lack, then train another adapter")


def _need_an_adapter(suites: Sequence[Suite], adapter: Adapter | None) -> None:
    """Refuse to ask a base alone what only an adapter's change says anything of."""
    compared = [suite for suite in suites if kind_of(suite).facts is None]
    if compared and adapter is None:
        raise click.UsageError(
            f"suite {compared[0].name} ({compared[0].kind}) compares an adapter with its "
            "base: name the adapter with --adapter"
        )


class _Inputs(TypedDict):
    base: BaseDigests
    adapter: AdapterDigests | None


def _input_facts(base: Path, adapter: Adapter | None) -> _Inputs:
    """Return the digests of base and adapter; say so if the adapter was trained on another base."""
    files = digest_base(base)
    digests: BaseDigests = {"sha256": sha256_json(files), "files": files}
    if adapter is None:
        return {"base": digests, "adapter": None}
    names = (DESCRIPTION, WEIGHTS)
    adapted: AdapterDigests = {
        "files": {name: sha256_file(adapter.folder / name) for name in names}
    }
    if adapter.manifest:
        trained_on = adapter.base["sha256"] if adapter.base else None
        is_its_base = trained_on == digests["sha256"]
        adapted["trained_on_this_base"] = is_its_base
        if not is_its_base:
            _log.warning("the adapter was trained on another base; see its manifest")
    return {"base": digests, "adapter": adapted}

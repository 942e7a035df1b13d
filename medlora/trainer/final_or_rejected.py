"""Where a trained adapter goes: to `final/`, or to `rejected/` where the config's gate says no."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from medlora.checkpoint.names import FINAL, REJECTED
from medlora.config import RunConfig
from medlora.data.chat.chat import Chat
from medlora.errors import DataError, RejectedError, below, listed
from medlora.evaluate.ask_suite import Asking
from medlora.evaluate.evaluation import Evaluation, evaluate_suites
from medlora.evaluate.gate import apply_gate
from medlora.evaluate.generate import encode_prompt
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.schema import GateResult
from medlora.evaluate.suite import Suite
from medlora.files import remove
from medlora.inputs.prepare import InputFiles, positions
from medlora.inputs.suites import gate_names
from medlora.logs import logger, say
from medlora.report.evaluation import SCHEMA, gate_lines, report_bytes
from medlora.report.fingerprint import Inputs, differences
from medlora.report.manifest_schema import EvaluationReport, RunFacts
from medlora.report.run_manifest import image, software
from medlora.runs.folder import read_end

_log = logger(__name__)
_MORE_PROMPTS = (
    "these prompts are too few to tell, or were not scored (the lines say which); add prompts to "
    "the suites of the gate and run it again: the same adapter is judged anew"
)
REPORT = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Release:
    """A folder's name, what its manifest states of the gate, and the report that it holds."""

    folder: str = FINAL
    gate: GateResult | None = None
    report: EvaluationReport | None = None

    @property
    def facts(self) -> RunFacts:
        """What the manifest states."""
        status = "finished" if self.folder == FINAL else "rejected"
        return {"kind": "run", "status": status, "gate": self.gate}

    @property
    def files(self) -> dict[str, bytes]:
        """What the folder holds beside the adapter."""
        return {} if self.report is None else {REPORT: report_bytes(self.report)}


def check_prompts(input_files: InputFiles, chat: Chat) -> None:
    """Refuse a prompt of the gate that the base cannot take, before hours are spent on an adapter.

    Args:
        input_files: has the base and the gate's suites.
        chat: of the base.

    Raises:
        DataError: there are such prompts, all of them in one message.
    """
    problems, limit = [], positions(input_files.base)
    for suite in input_files.suites:
        answered = kind_of(suite).answered
        if answered is None:
            continue
        for item in suite.items:
            try:
                encode_prompt(chat, answered(item)["prompt"], limit=limit)
            except DataError as error:
                problems.append(f"{suite.file}:{item.line}: {error.headline}")
    if problems:
        raise DataError(
            listed(problems, what="gate.suites cannot be asked"), fix="shorten these prompts"
        )


def judge_adapter(
    model: PeftModel,
    chat: Chat,
    cfg: RunConfig,
    suites: Sequence[Suite],
    *,
    poll: Callable[[], None],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> Release:
    """Return where a trained adapter goes.

    Args:
        model: base and adapter, as trained.
        chat: of the base.
        cfg: the run config.
        suites: those of its gate; none means that there is no gate.
        poll: called wherever time passes; what it raises ends the judging.
        autocast: makes the context that the model computes in.
    """
    if not suites:
        return Release()
    _log.info("gate: base and adapter on %s", ", ".join(suite.name for suite in suites))
    asking = Asking(cfg.training.per_device_eval_batch_size, cfg.gate.max_new_tokens, poll)
    with autocast():
        evaluation = evaluate_suites(model, chat, suites, asking=asking)
    report = evaluation_facts(cfg, evaluation, asking=asking)
    gate: GateResult = {
        **_gate_result(cfg, evaluation),
        "suites": {suite.name: suite.sha256 for suite in suites},
        "checker": evaluation.ruleset,
    }
    folder = FINAL if gate["verdict"] == "PASS" else REJECTED
    return Release(folder, gate, report)


def settle(run: Path, release: Release) -> None:
    """Say where the adapter is, once it is there; raise the gate's verdict where it is rejected.

    Raises:
        RejectedError: the verdict is not PASS.
    """
    if release.folder == REJECTED:
        refuse_rejected(run / REJECTED, release.gate)
    if release.gate:
        say("", *gate_lines(release.gate))
    if (run / REJECTED).exists():  # by an earlier gate, whose word no longer counts
        remove(run / REJECTED)
    say(f"adapter and manifest: {run / FINAL}")


def check_rejected(rejected: Path, inputs: Inputs) -> None:
    """Say so if this very run was rejected; return where it was another, or is made anew.

    Raises:
        RejectedError: it was, by the same gate.
        IntegrityError: it is damaged, and so is every checkpoint beside it.
        StorageError: it cannot be read.
    """
    manifest = read_end(rejected)
    if manifest is not None and not differences(manifest.get("inputs", {}), inputs.facts["inputs"]):
        refuse_rejected(rejected, manifest.get("gate"))


def refuse_rejected(rejected: Path, gate: GateResult | None) -> None:
    """Raise what the gate said of an adapter that it rejected."""
    refuse(
        gate,
        fix="change data or config and train under another run_name or with --fresh",
        kept=f"the adapter is in {rejected}; ",
    )


def evaluation_facts(cfg: RunConfig, evaluation: Evaluation, *, asking: Asking) -> EvaluationReport:
    """Return what a report states of an evaluation; no path, no time, no text."""
    return {
        "schema": SCHEMA,
        "kind": "evaluation",
        "suites": evaluation.summaries,
        "checker": evaluation.ruleset,
        "max_new_tokens": asking.max_new_tokens,
        "software": software(),
        "image": image(),
        "gate": _gate_result(cfg, evaluation) if cfg.gate.suites else None,
    }


def _gate_result(cfg: RunConfig, evaluation: Evaluation) -> GateResult:
    names = gate_names(cfg.gate)
    return apply_gate(cfg.gate, {name: evaluation.summaries[name] for name in names})


def refuse(gate: GateResult | None, *, fix: str, kept: str = "") -> None:
    """Raise the gate's verdict if there is one and it is not PASS.

    Args:
        gate: what `evaluation_facts` states of it.
        fix: what to do about an adapter that failed; where nothing is decided, more prompts do it.
        kept: where the adapter is, for a message, if this run has it.

    Raises:
        RejectedError: it is not.
    """
    if gate and gate["verdict"] != "PASS":
        undecided = gate["verdict"] == "INCONCLUSIVE"
        raise RejectedError(
            below(f"the gate's verdict is {gate['verdict']}", gate_lines(gate), indent=""),
            fix=f"{kept}{_MORE_PROMPTS if undecided else fix}",
        )

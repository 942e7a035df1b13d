"""`medlora check`: whether a run would go well here, before anything is trained.

A check is a list of sections, each of which adds to the report what it found, and to the errors
what would stop a run.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from medlora.checkpoint.names import FINAL, REJECTED
from medlora.checkpoint.resume import newest_proven
from medlora.config import RunConfig, refuse_conflicts
from medlora.data.data_files import DataFiles
from medlora.data.split import Split
from medlora.errors import MedloraError
from medlora.files import json_bytes, write_bytes
from medlora.inputs.audit import Audit, audit_files, refuse_leakage, report_on
from medlora.inputs.chat import dated
from medlora.inputs.prepare import (
    InputFiles,
    Prepared,
    Tokenized,
    describe,
    find_files,
    find_inputs,
    fit,
    hold_out_rows,
    split_rows,
    tokenize_files,
)
from medlora.inputs.privacy import check_one_example_a_row, scan_files
from medlora.jobs.checks.machine import (
    disk_line,
    kept_lines,
    look_at_devices,
    look_at_folders,
    place_lines,
)
from medlora.jobs.checks.memory import (
    can_be_loaded,
    can_be_timed,
    look_at_memory,
    memory_lines,
    memory_warnings,
    predicted_of_steps,
    probe_lines,
    refuse_too_small,
    settled,
)
from medlora.jobs.checks.training_answers import judge_targets
from medlora.logs import show
from medlora.model.base import check_base
from medlora.plan.device import this_device, this_machine
from medlora.plan.disk import Place, look_at_disk
from medlora.plan.memory_forecast import Forecast
from medlora.plan.quick_checks import look_at_once, look_for_base
from medlora.plan.resolve_run import Plan, no_config
from medlora.report.audit import page
from medlora.report.fingerprint import Inputs
from medlora.report.human_statements import read_statements
from medlora.runs.delivery import check_output
from medlora.runs.folder import change_checker, check_finished
from medlora.train.memory_estimate import CannotTellError
from medlora.trainer.final_or_rejected import check_prompts, check_rejected
from medlora.trainer.questions import choose_questions

T = TypeVar("T")


@dataclass(slots=True)
class Checked:
    """What the sections have found so far."""

    report: dict[str, Any] = field(default_factory=lambda: {"warnings": []})
    errors: list[MedloraError] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    input_files: InputFiles | None = None
    prepared: Prepared | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what would stop a run, and go on."""
        try:
            yield
        except MedloraError as error:
            self._note(error)

    def add(self, name: str, place: Place[T]) -> T:
        """Note what was found of the place, and return its facts."""
        self.report[name] = place.facts
        for error in place.errors:
            self._note(error)
        self.report["warnings"] += place.warnings
        return place.facts

    def _note(self, error: MedloraError) -> None:
        """Keep an error, once: several sections may meet it."""
        if str(error) not in map(str, self.errors):
            self.errors.append(error)


@dataclass(frozen=True, slots=True)
class Around:
    """Where a run would be.

    Attributes:
        gpus: how many the machine lets this process see.
        workers: that would share the run.
        refused: what was found before torch was loaded.
    """

    gpus: int = 0
    workers: int = 1
    refused: Sequence[MedloraError] = ()


def run(
    plan: Plan,
    *,
    suites: tuple[Path, ...] = (),
    output: Path | None = None,
    timed: bool | None = None,
    around: Around = Around(),
) -> None:
    """Check, print a page, write the report if wanted; trains nothing.

    Args:
        plan: what would be run; without a base model nothing is said of tokens and memory.
        suites: files whose prompts must not stand in the data, beside our own.
        output: where the report goes, as JSON.
        timed: whether a few steps are taken to tell how long a run would be, on a GPU where None;
            where False, the base is not even loaded.
        around: where it would run.

    Raises:
        MedloraError: the first of what would stop a run, with the exit code that it would have.
    """
    checked, workers = Checked(errors=list(around.refused)), around.workers
    if plan.has_model and not plan.has_config:
        checked.errors.append(no_config())
    if not plan.has_model:
        checked.report["warnings"].append(
            "no model is given: only the data was checked, and `train` needs a model"
        )
    elif not around.refused:
        with checked.noting():
            look_at_once(plan)
    if not around.refused:
        with checked.noting():
            resolved, machine = plan.resolved, this_machine(workers=workers)
            refuse_conflicts(resolved.config, machine, origins=resolved.origins)
    with checked.noting():
        plan = settled(plan, workers=workers) if plan.has_model else plan
    with checked.noting():
        plan = dated(plan)
    place = _check_place(plan, checked, gpus=around.gpus, workers=workers)
    with checked.noting():
        _check_data(plan, checked, suites=suites)
    checked.lines += place
    if plan.has_model:
        with checked.noting():
            _check_memory(plan, checked, workers=workers, timed=timed)
    _tell(checked, output)


def _tell(checked: Checked, output: Path | None) -> None:
    warnings = checked.report["warnings"]
    verdict = "error" if checked.errors else "warning" if warnings else "ok"
    report = {
        **checked.report,
        "errors": [error.problem for error in checked.errors],
        "verdict": verdict,
    }
    if output:
        write_bytes(output, json_bytes(report))
    for line in checked.lines:
        show(*line.split("\n"))
    for warning in warnings:
        show(f"warning: {warning}")
    show(f"verdict: {verdict}")
    for error in checked.errors[1:]:  # what decides stands last, alone called an error, as in train
        show(*f"also: {error}".split("\n"), err=True)
    for error in checked.errors:
        raise error


def _check_data(plan: Plan, checked: Checked, *, suites: tuple[Path, ...]) -> None:
    cfg = plan.resolved.config
    input_files = find_inputs(plan) if plan.has_model else None
    inputs = describe(input_files, plan) if input_files and _has_results(plan) else None
    is_done = False
    with checked.noting():
        is_done = inputs is not None and _check_ends(plan, inputs)
    with checked.noting():
        read_statements(plan.statements)
    files, sha256 = (input_files.data, input_files.sha256) if input_files else find_files(plan)
    privacy = scan_files(files, sha256, cfg)
    checked.report["privacy"] = privacy.facts()
    with checked.noting():
        privacy.refuse()
    audit = audit_files(files, sha256, cfg, suites=suites)
    # Tokens are the rows' text in numbers: not kept of what train would not take.
    tokenized = tokenize_files(input_files, cfg) if input_files and not checked.errors else None
    split = _split(audit, tokenized, files, cfg)
    report = report_on(audit, cfg, split=split, tokenized=tokenized)
    targets = judge_targets(audit, cfg.data)
    warnings = [*report["warnings"], *checked.report["warnings"]]
    checked.report |= {**report, "targets": targets, "warnings": warnings}
    checked.lines.append(page({**report, "privacy": privacy.facts(), "targets": targets}))
    with checked.noting():
        refuse_leakage(report, cfg.data)
    with checked.noting():
        if input_files and tokenized:
            checked.input_files = input_files
            checked.prepared = fit(tokenized, input_files, cfg, split=split)
            check_one_example_a_row(cfg, checked.prepared.facts["changes"]["train"])
    if input_files and checked.prepared:
        with checked.noting():
            choose_questions(input_files, checked.prepared, cfg)
        with checked.noting():
            check_prompts(input_files, checked.prepared.chat)
    with checked.noting():
        if inputs:
            _check_begun(plan, inputs, is_done=is_done)


def _check_ends(plan: Plan, inputs: Inputs) -> bool:
    """Refuse a result of other inputs, or one that the gate has rejected; tell if it is there.

    Raises:
        ConfigError: it has other inputs.
        RejectedError: it was rejected, by the same gate.
        IntegrityError: it is damaged for good.
    """
    run = plan.resolved.config.run_dir
    if (run / FINAL).exists():
        return check_finished(run / FINAL, inputs)
    if (run / REJECTED).exists():
        check_rejected(run / REJECTED, inputs)
    return False


def _check_begun(plan: Plan, inputs: Inputs, *, is_done: bool) -> None:
    """Refuse checkpoints of other inputs, and an output that holds something else.

    Raises:
        ConfigError: says which.
    """
    run = plan.resolved.config.run_dir
    if _has_output(plan):
        check_output(plan.resolved.config.training, run, inputs)
    begun = None if is_done else newest_proven(run)
    if begun:
        change_checker(inputs, ())(begun[1])


def _has_results(plan: Plan) -> bool:
    """Tell whether there is anything that a run's inputs are held against.

    Only then is the base read, from end to end.
    """
    run = plan.resolved.config.run_dir
    ends = any((run / name).exists() for name in (FINAL, REJECTED))
    return ends or _has_output(plan) or newest_proven(run) is not None


def _has_output(plan: Plan) -> bool:
    """Tell whether the result would go to a folder that is there, or into the run's own."""
    final_dir = plan.resolved.config.training.final_dir
    if final_dir is None:
        return False
    return Path(final_dir).is_dir() or Path(final_dir).resolve().is_relative_to(
        plan.resolved.config.run_dir.resolve()
    )


def _check_place(plan: Plan, checked: Checked, *, gpus: int, workers: int) -> list[str]:
    """Look at devices and folders; return what to say of them, behind the data."""
    devices = checked.add("devices", look_at_devices(plan, gpus_given=gpus))
    folders = checked.add("place", look_at_folders(plan, workers=workers))
    return [*place_lines(devices, folders), *kept_lines(plan)]


def _check_memory(plan: Plan, checked: Checked, *, workers: int, timed: bool | None) -> None:
    """Look at model, adapter, memory and disk; ask the base, and time a few steps on a GPU."""
    cfg, base = plan.resolved.config, look_for_base(plan)
    check_base(base)
    forecast = Forecast(base, cfg, this_device(), workers=workers)
    disk = checked.add("disk", look_at_disk(cfg, adapter_bytes=forecast.adapter))
    memory = None
    try:
        memory = look_at_memory(forecast, prepared=checked.prepared)
    except CannotTellError as error:  # it trains all the same
        checked.report["warnings"].append(error.headline)
    if memory:
        checked.report["memory"] = memory
        checked.report["warnings"] += memory_warnings(memory)
        checked.lines += memory_lines(memory)
        with checked.noting():
            refuse_too_small(memory)
    measured, steps = None, can_be_timed(cfg, wanted=timed)
    loaded = steps or can_be_loaded(forecast, memory, workers=workers, wanted=timed)
    if checked.input_files and checked.prepared and not checked.errors and loaded:
        from medlora.jobs.checks.timing import try_out  # all of training

        with checked.noting():
            measured = try_out(checked.input_files, checked.prepared, cfg, timed=steps)
    if measured:
        if memory:
            measured["predicted_bytes"] = predicted_of_steps(memory)
        checked.report["probe"] = measured
        checked.lines += probe_lines(measured)
    checked.lines.append(disk_line(disk))


def _split(
    audit: Audit, tokenized: Tokenized | None, files: DataFiles, cfg: RunConfig
) -> Split | None:
    if tokenized:
        return split_rows(tokenized, cfg, near=audit.near)
    return None if files.evaluation else hold_out_rows(audit.rows["train"], cfg, near=audit.near)

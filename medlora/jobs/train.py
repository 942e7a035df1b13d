"""`medlora train`: data, model and config in; adapter and evidence out."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.names import FINAL, REJECTED
from medlora.config import refuse_conflicts
from medlora.distributed.team import Team
from medlora.errors import StorageError
from medlora.files import sha256_json, sweep
from medlora.inputs.audit import audit_files, keep, refuse_leakage, report_on, stated_of
from medlora.inputs.chat import dated
from medlora.inputs.prepare import (
    Found,
    Prepared,
    describe,
    find_inputs,
    fit,
    split_rows,
    tokenize_files,
)
from medlora.inputs.privacy import check_privacy
from medlora.inputs.watch import Steady
from medlora.jobs.checks.machine import cache_warnings
from medlora.jobs.checks.memory import foresee
from medlora.logs import logger, say
from medlora.model.adapter import (
    adapted_modules,
    frozen_parameters,
    trainable_parameters,
)
from medlora.plan.device import device_type, this_machine
from medlora.plan.resolve import Plan
from medlora.report.fingerprint import Inputs
from medlora.report.manifest import SCHEMA, config_facts, hardware, image, software
from medlora.report.statements import read_statements
from medlora.runs import page, written
from medlora.runs.best_model import mend_best, refuse_lost
from medlora.runs.delivery import check_output, deliver
from medlora.runs.folder import change_checker, check_finished, reopen, run_folder, set_aside
from medlora.runs.mirror import Mirror, open_mirror
from medlora.runs.recovery import lost_best, stated_best
from medlora.runs.retention import delete_old_runs, point_to_latest
from medlora.runs.saves import Save
from medlora.runtime import Stop
from medlora.trainer import demo, huggingface
from medlora.trainer.auto_batch_size import settle_batch
from medlora.trainer.build import build_model, build_trainer, precision_of
from medlora.trainer.gate import Release, check_prompts, check_rejected, judge_adapter, settle
from medlora.trainer.outcome import TrainResult
from medlora.trainer.private import check_one_example_a_row
from medlora.trainer.questions import Questions, choose_questions

_log = logger(__name__)
_DIGITS = 12  # of a digest, which a float64 holds exactly


def run(
    plan: Plan,
    *,
    stop: Stop | None = None,
    fresh: bool = False,
    allow: tuple[str, ...] = (),
    team: Team | None = None,
) -> None:
    """Train one run to the end, going on where it was interrupted; or say that it is done.

    Args:
        plan: what to run.
        stop: where signals are noted.
        fresh: set what the run's folder holds aside and start over.
        allow: names of keys or inputs that may differ from the checkpoint's.
        team: the workers, each of which calls this alike; the first alone writes.

    Raises:
        MedloraError: with the exit code that says whether to mend the input or run again.
    """
    team = team or Team()
    try:
        machine = this_machine(workers=team.size)
        refuse_conflicts(plan.resolved.config, machine, origins=plan.resolved.origins)
        plan = settle_batch(plan, team=team, fresh=fresh)
        if team.leads:
            _lead(plan, stop=stop or Stop(), fresh=fresh, allow=allow, team=team)
        elif decided := team.together(tuple):  # by the first one, if there is something to do
            plan = dated(plan, date.fromordinal(int(decided[0])))
            _help(plan, find_inputs(plan), stop=stop or Stop(), team=team)
            team.wait()
    finally:
        team.leave()


def _lead(plan: Plan, *, stop: Stop, fresh: bool, allow: tuple[str, ...], team: Team) -> None:
    """Do the run as the worker that writes."""
    cfg = plan.resolved.config
    if plan.demo:
        demo.announce()
    _log.info("run %s, device %s", cfg.run_name, device_type())
    for line in cache_warnings(plan):
        _log.warning("%s", line)
    folder, mirror = run_folder(plan), open_mirror(plan)
    mirror.restore(fresh=fresh)
    plan = dated(plan, fresh=fresh)
    with closing(_Given(plan)) as given, ExitStack() as lock:
        if not fresh and _is_finished(plan, folder, given):
            lost = _complete(plan, folder, mirror)
            mirror.finish()
            mirror.deliver()
            team.wait()
            refuse_lost(folder, lost)
            return
        lock.enter_context(only_writer(folder))
        for line in sweep(folder):
            _log.warning("left where it is: %s", line)
        # Meanwhile: by the run that held the lock until now.
        if not fresh and _is_finished(plan, folder, given):
            team.wait()
            return
        day = plan.resolved.config.data.chat_template_date
        today = date.fromisoformat(day) if day else datetime.now(UTC).date()
        team.together(lambda: [float(today.toordinal())])  # there is something to do
        with mirror.claimed(fresh=fresh):
            result, release = _train(
                plan,
                given,
                stop=stop,
                team=team,
                attempt=_Attempt(folder, mirror, lock, allow, fresh=fresh),
            )
            lost = _conclude(plan, result, release, mirror)
        team.wait()
        refuse_lost(folder, lost)


def _conclude(plan: Plan, result: TrainResult, release: Release, mirror: Mirror) -> str | None:
    """Do what follows a result that is written; return what is lost beside it for good."""
    folder, training = run_folder(plan), plan.resolved.config.training
    say(*_summary(result, is_demo=plan.demo))
    if result.nothing_learnt:
        _log.warning(
            "this run has learnt nothing: %s; look at training.learning_rate, lora.lora_alpha "
            "and the data",
            result.nothing_learnt,
        )
    lost = mend_best(folder)
    page.leave(folder)  # of a rejected one too; it is mirrored with the rest
    if release.folder == FINAL:
        point_to_latest(plan)
        mirror.point_to_latest()
    written.leave(folder)
    mirror.finish()
    settle(folder, release)
    deliver(folder / FINAL, training.final_dir)
    mirror.deliver()
    delete_old_runs(folder, keep=training.keep_old_runs)
    return lost


class _Given:
    """What a run is given, each part read once, when it is first asked for.

    The base is watched from before it is hashed.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._watched = plan, ExitStack()

    @cached_property
    def found(self) -> Found:
        """Where the inputs are."""
        return find_inputs(self._plan)

    @cached_property
    def base(self) -> Steady:
        """The base's files."""
        return self._watched.enter_context(closing(Steady(self.found.base)))

    @cached_property
    def inputs(self) -> Inputs:
        """What a manifest states of them."""
        _ = self.base
        return describe(self.found, self._plan)

    def close(self) -> None:
        """Watch the base no longer."""
        self._watched.close()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """This start of a run, as the worker that writes knows it."""

    folder: Path
    mirror: Mirror
    lock: ExitStack  # of the folder
    allow: tuple[str, ...]
    fresh: bool

    def start_over(self, audit: dict[str, Any]) -> None:
        """Set aside what is there, if that is wanted; only once nothing can refuse the run."""
        if self.fresh:
            if set_aside(self.folder):
                with self.lock.pop_all():  # it went with the folder
                    self.lock.enter_context(only_writer(self.folder))
            self.mirror.set_aside()
            keep(audit, self.folder)

    def go_on(self) -> None:
        """Set aside what is damaged and made anew; only once the checkpoints have not refused."""
        if not self.fresh:
            reopen(self.folder)
            mend_best(self.folder)


def _complete(plan: Plan, folder: Path, mirror: Mirror) -> str | None:
    """Do what a run that was killed at its end, or robbed since, lacks beside its result.

    Returns:
        What is lost for good.
    """
    if not mirror.is_elsewhere:
        point_to_latest(plan)
    if page.is_left(folder) and (mirror.is_elsewhere or written.is_left(folder)):
        best = None if mirror.is_elsewhere else stated_best(folder)
        if best is None or lost_best(folder, best) is None:
            return None
    with only_writer(folder):
        sweep(folder)
        if not page.is_left(folder):  # it was killed just then
            page.leave(folder)
        if mirror.is_elsewhere:  # what is not here may well be there
            return None
        lost = mend_best(folder)
        if lost is None:
            written.leave(folder)
        return lost


def _is_finished(plan: Plan, folder: Path, given: _Given) -> bool:
    """Tell whether the result is there, and say so; refuse one of other inputs, or rejected."""
    if not (folder / FINAL).exists():
        if (folder / REJECTED).exists():
            check_rejected(folder / REJECTED, given.inputs)
        return False
    if not check_finished(folder / FINAL, given.inputs):
        return False
    check_output(plan.resolved.config.training, folder, given.inputs)
    say(f"{plan.resolved.config.run_name} is finished already: {folder / FINAL}")
    deliver(folder / FINAL, plan.resolved.config.training.final_dir)
    return True


@dataclass(frozen=True, slots=True)
class _Ready:
    """The rows of a run, what its manifest states of them, the audit, and what will be asked."""

    prepared: Prepared
    facts: dict[str, Any]
    audit: dict[str, Any]
    questions: Questions


def _prepare(plan: Plan, found: Found, team: Team, *, kept: bool) -> _Ready:
    """Scan, audit, tokenize and split the data; refuse what must not be trained on.

    Each machine's first worker does it before the others, who find it done.

    Args:
        plan: what to run.
        found: where the inputs are.
        team: the workers.
        kept: whether the audit is written into the run's folder before it may refuse.
    """
    cfg = plan.resolved.config
    with team.first_here():
        # Before anything is kept of the data.
        privacy = check_privacy(found.files, found.sha256, cfg)
        audit = audit_files(found.files, found.sha256, cfg)
        tokenized = tokenize_files(found, cfg)
        split = split_rows(tokenized, cfg, near=audit.near)
        found_out = report_on(audit, cfg, split=split, tokenized=tokenized)
        if kept:
            keep(found_out, run_folder(plan))
        refuse_leakage(found_out, cfg.data)
        prepared = fit(tokenized, found, cfg, split=split)
        check_one_example_a_row(cfg, prepared.facts["changes"]["train"])
        questions = choose_questions(found, prepared, cfg)
        check_prompts(found, prepared.chat)
        if team.size == 1:
            foresee(found.base, cfg, prepared=prepared)
    refuse_differing({"data": found.sha256, "tokens": prepared.facts}, team)
    facts = {**prepared.counts, "audit": stated_of(found_out), "privacy": privacy}
    return _Ready(prepared, facts, found_out, questions)


def refuse_differing(facts: Mapping[str, Any], team: Team) -> None:
    """Refuse inputs that are not the same for all workers, each of which has read them itself.

    Raises:
        StorageError: on all workers alike.
    """
    digest = float(int(sha256_json(facts)[:_DIGITS], 16))
    if len(set(team.together(lambda: [digest]))) > 1:
        raise StorageError(
            "data or tokenizer: not the same for all workers",
            fix="start again once nobody changes the files; every machine needs the same copy",
        )


def _help(plan: Plan, found: Found, *, stop: Stop, team: Team) -> None:
    """Do the part of a worker that is not the first: share the computing, write nothing."""
    cfg = plan.resolved.config
    with closing(Steady(found.base)) as base:  # the first worker's, which it watches on
        ready = _prepare(plan, found, team, kept=False)
        model = build_model(found.base, cfg, suites=found.suites)
        base.check_loaded()
    trainer = build_trainer(model, ready.prepared, cfg, facts={}, stop=stop, team=team)
    trainer.resume()
    with stop.gently():
        trainer.train(prompts=ready.questions.prompts)
        autocast = trainer.accelerator.autocast
        trainer.interruptibly(
            lambda poll: (
                team.in_step
                and judge_adapter(
                    model, ready.prepared.chat, cfg, found.suites, poll=poll, autocast=autocast
                )
            )
        )
        trainer.save(FINAL)


def _train(
    plan: Plan,
    given: _Given,
    *,
    stop: Stop,
    team: Team,
    attempt: _Attempt,
) -> tuple[TrainResult, Release]:
    """Train, judge, and write the final folder, or the one of what is rejected."""
    started, cfg = datetime.now(UTC), plan.resolved.config
    statements = read_statements(plan.statements).facts()
    found, base = given.found, given.base
    ready = _prepare(plan, found, team, kept=not attempt.fresh)
    inputs = given.inputs
    check_output(cfg.training, attempt.folder, inputs)
    model = build_model(inputs.base, cfg, suites=found.suites)
    base.check_loaded()
    facts = {
        "schema": SCHEMA,
        "demo": plan.demo,
        "run_name": cfg.run_name,
        "job": dict(plan.job),
        **inputs.facts,
        "base_model": {**inputs.facts["base_model"], "parameters": frozen_parameters(model)},
        "statements": statements,
        "data": {**inputs.facts["data"], **ready.facts},
        "allowed_changes": [],  # a resumed checkpoint may know of some
        "asked": ready.questions.facts,
        "software": software(),
        "image": image(),
    }
    before = demo.ask(model, ready.prepared.chat) if plan.demo else []

    def judge(
        poll: Callable[[], None] = lambda: None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> Release:
        return judge_adapter(
            model, ready.prepared.chat, cfg, found.suites, poll=poll, autocast=autocast
        )

    def stated(result: TrainResult, device: torch.device, release: Release) -> dict[str, Any]:
        final = _final_facts(plan, ready.prepared, model, result, started)
        return {**final, **release.facts, "compute": None, "hardware": hardware(device)}

    if cfg.training.engine == "huggingface":
        attempt.start_over(ready.audit)
        attempt.go_on()
        releases: list[Release] = []

        def conclude(result: TrainResult, device: torch.device) -> Save:
            releases.append(judge())
            release = releases[0]
            base.check()
            return Save(release.folder, stated(result, device, release), files=release.files)

        result = huggingface.run(
            model,
            ready.prepared,
            cfg,
            facts=facts,
            conclude=conclude,
            prompts=ready.questions.prompts,
        )
        release = releases[0]
    else:
        trainer = build_trainer(model, ready.prepared, cfg, facts=facts, stop=stop, team=team)
        trainer.committed, trainer.before_commit = attempt.mirror.push, base.check
        attempt.start_over(ready.audit)
        trainer.resume(check=change_checker(inputs, attempt.allow))
        attempt.go_on()
        with stop.gently():  # a signal after the last step must not cost the result
            result = trainer.train(prompts=ready.questions.prompts)
            autocast = trainer.accelerator.autocast
            release = trainer.interruptibly(lambda poll: judge(poll, autocast))
            trainer.save(
                release.folder,
                facts={
                    **stated(result, trainer.accelerator.device, release),
                    "compute": trainer.compute_facts,
                },
                files=release.files,
            )
    if plan.demo and not team.in_step:  # who would need the others to answer
        demo.show(before, demo.ask(model, ready.prepared.chat))
    return result, release


def _final_facts(
    plan: Plan,
    prepared: Prepared,
    model: PeftModel,
    result: TrainResult,
    started: datetime,
) -> dict[str, Any]:
    return {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config_facts(plan.resolved),
        "seeds": {"training.seed": plan.resolved.config.training.seed},
        "tokens": prepared.facts,
        "adapter": {
            "trainable_parameters": trainable_parameters(model),
            "modules": adapted_modules(model),
        },
        "precision": precision_of(plan.resolved.config),
        "result": asdict(result),
    }


def _summary(result: TrainResult, *, is_demo: bool) -> list[str]:
    lines = ["", f"{'DEMO ' if is_demo else ''}finished: {result.steps} steps in {result.wall_s} s"]
    if result.eval_loss is not None and result.base_eval_loss is not None:
        lines.append(
            f"held-out loss: base {result.base_eval_loss:.4f} -> adapter {result.eval_loss:.4f} "
            f"nats a token (best {result.best_eval_loss:.4f} at step {result.best_step})"
        )
    if result.nothing_learnt:
        lines.append(f"NOTHING LEARNT: {result.nothing_learnt}")
    return lines

"""`medlora train`: data, model and config in; adapter and evidence out."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from peft import PeftModel

from medlora.config import refuse_conflicts
from medlora.data.audit.schema import DataAudit
from medlora.distributed.team import Team
from medlora.errors import StorageError
from medlora.files import sha256_json
from medlora.inputs.audit import audit_files, keep, refuse_leakage, report_on, stated_of
from medlora.inputs.prepare import Prepared, fit, split_rows, tokenize_files
from medlora.inputs.privacy import check_one_example_a_row, check_privacy
from medlora.jobs.checks.machine import cache_warnings
from medlora.jobs.checks.memory import foresee
from medlora.logs import logger, say
from medlora.model.adapter import adapted_modules, frozen_parameters, trainable_parameters
from medlora.plan.device import device_type, precision_of, this_device, this_machine
from medlora.plan.resolve_run import Plan
from medlora.report.human_statements import read_statements
from medlora.report.manifest_schema import DataFacts, RunFacts, StatementFacts
from medlora.report.run_manifest import SCHEMA, config_facts, hardware, image, software
from medlora.runs.folder import run_folder
from medlora.runtime import Stop
from medlora.trainer import embedded_demo
from medlora.trainer.attempt import Attempt, begin_attempt
from medlora.trainer.auto_batch_size import settle_batch
from medlora.trainer.build import TRAINERS, build_model
from medlora.trainer.context import RunContext
from medlora.trainer.final_or_rejected import Release, check_prompts, judge_adapter
from medlora.trainer.questions import Questions, choose_questions
from medlora.trainer.train_result import TrainResult
from medlora.trainer.trainer_interface import RunTrainer

_log = logger(__name__)


def run(
    plan: Plan,
    *,
    stop: Stop | None = None,
    fresh: bool = False,
    allow: tuple[str, ...] = (),
    team: Team | None = None,
) -> None:
    """Train one run to the end, going on where it was interrupted; or say that it is done.

    All workers take the same course; what only one of them does, the attempt knows.

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
    with ExitStack() as held:
        held.callback(team.leave)
        plan = _checked(plan, team, fresh=fresh)
        attempt = begin_attempt(plan, held, team=team, fresh=fresh, allow=allow)
        if attempt.is_due:
            plan, cfg, started = attempt.plan, attempt.plan.resolved.config, datetime.now(UTC)
            statements = read_statements(plan.statements).facts()
            attempt.watch_base()
            ready = _prepare(attempt, team)
            attempt.check_output()
            model = build_model(attempt.input_files.base, cfg, suites=attempt.input_files.suites)
            attempt.check_loaded()
            # Others would read the whole base once more, to state what the first one does.
            facts = _run_facts(attempt, ready, model, statements) if team.leads else RunFacts()
            context = attempt.context(RunContext(facts=facts, stop=stop or Stop(), team=team))
            before = (
                embedded_demo.ask(model, ready.prepared.chat) if plan.demo and team.leads else []
            )
            trainer = TRAINERS[cfg.training.engine](model, ready.prepared, cfg, context)
            attempt.start_over(ready.audit)
            trainer.resume(check=attempt.check_manifest)
            attempt.go_on()
            with trainer.gently():  # a signal after the last step must not cost the result
                result = trainer.train(prompts=ready.questions.prompts)
                release = _judge(trainer, model, ready, attempt, team)
                final = _final_facts(plan, ready.prepared, model, result, started)
                computed: RunFacts = {
                    "compute": trainer.compute_facts,
                    "hardware": hardware(trainer.device),
                }
                trainer.save(
                    release.folder,
                    facts={**final, **release.facts, **computed},
                    files=release.files,
                )
            if before and not team.in_step:  # or the others would be needed to answer
                embedded_demo.show(before, embedded_demo.ask(model, ready.prepared.chat))
            if team.leads:
                _tell(result, is_demo=plan.demo)
            attempt.conclude(release)
        team.wait()
        attempt.end()


def _checked(plan: Plan, team: Team, *, fresh: bool) -> Plan:
    """Return the plan with every number that is left to the machine; say what runs where."""
    machine = this_machine(workers=team.size)
    refuse_conflicts(plan.resolved.config, machine, origins=plan.resolved.origins)
    plan = settle_batch(plan, team=team, fresh=fresh)
    if team.leads:
        if plan.demo:
            embedded_demo.announce()
        _log.info("run %s, device %s", plan.resolved.config.run_name, device_type())
        for line in cache_warnings(plan):
            _log.warning("%s", line)
    return plan


@dataclass(frozen=True, slots=True)
class _Ready:
    """The rows of a run, what its manifest states of them, the audit, and what will be asked."""

    prepared: Prepared
    facts: DataFacts
    audit: DataAudit
    questions: Questions


def _prepare(attempt: Attempt, team: Team) -> _Ready:
    """Scan, audit, tokenize and split the data; refuse what must not be trained on.

    Each machine's first worker does it before the others, who find it done.

    Args:
        attempt: has the inputs.
        team: the workers.
    """
    input_files, cfg = attempt.input_files, attempt.plan.resolved.config
    with team.first_here():
        # Before anything is kept of the data.
        privacy = check_privacy(input_files.data, input_files.sha256, cfg)
        audit = audit_files(input_files.data, input_files.sha256, cfg)
        tokenized = tokenize_files(input_files, cfg)
        split = split_rows(tokenized, cfg, near=audit.near)
        report = report_on(audit, cfg, split=split, tokenized=tokenized)
        if attempt.keeps_audit:
            keep(report, run_folder(attempt.plan))
        refuse_leakage(report, cfg.data)
        prepared = fit(tokenized, input_files, cfg, split=split)
        check_one_example_a_row(cfg, prepared.facts["changes"]["train"])
        questions = choose_questions(input_files, prepared, cfg)
        check_prompts(input_files, prepared.chat)
        if team.size == 1:
            foresee(input_files.base, cfg, prepared=prepared)
    refuse_differing({"data": input_files.sha256, "tokens": prepared.facts}, team)
    facts: DataFacts = {**prepared.counts, "audit": stated_of(report), "privacy": privacy}
    return _Ready(prepared, facts, report, questions)


def refuse_differing(facts: Mapping[str, object], team: Team) -> None:
    """Refuse inputs that are not the same for all workers, each of which has read them itself.

    Raises:
        StorageError: on all workers alike.
    """
    digest = sha256_json(facts)
    if team.decide(digest != team.broadcast(digest)):
        raise StorageError(
            "data or tokenizer differ between workers",
            fix="run it again once nobody changes the files; every machine needs the same copy",
        )


def _run_facts(
    attempt: Attempt, ready: _Ready, model: PeftModel, statements: StatementFacts | None
) -> RunFacts:
    """Return what every manifest of the run states."""
    plan, inputs = attempt.plan, attempt.inputs.facts
    return {
        "schema": SCHEMA,
        "demo": plan.demo,
        "run_name": plan.resolved.config.run_name,
        "job": dict(plan.job),
        "inputs": inputs["inputs"],
        "data": {**inputs["data"], **ready.facts},
        "base_model": {**inputs["base_model"], "parameters": frozen_parameters(model)},
        "statements": statements,
        "allowed_changes": [],  # a resumed checkpoint may know of some
        "asked": ready.questions.facts,
        "software": software(),
        "image": image(),
    }


def _judge(
    trainer: RunTrainer, model: PeftModel, ready: _Ready, attempt: Attempt, team: Team
) -> Release:
    """Return where the trained adapter goes: as the first worker says."""
    if not team.leads and not team.in_step:
        return trainer.interruptibly(lambda _: Release())
    return trainer.interruptibly(
        lambda poll: judge_adapter(
            model,
            ready.prepared.chat,
            attempt.plan.resolved.config,
            attempt.input_files.suites,
            poll=poll,
            autocast=trainer.autocast,
        )
    )


def _final_facts(
    plan: Plan, prepared: Prepared, model: PeftModel, result: TrainResult, started: datetime
) -> RunFacts:
    """Return what the result's manifest states of how it came about."""
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
        "precision": precision_of(plan.resolved.config.training, this_device()),
        "result": result.facts,
    }


def _tell(result: TrainResult, *, is_demo: bool) -> None:
    """Say how the training came out."""
    lines = ["", f"{'DEMO ' if is_demo else ''}finished: {result.steps} steps in {result.wall_s} s"]
    if result.eval_loss is not None and result.base_eval_loss is not None:
        lines.append(
            f"held-out loss: base {result.base_eval_loss:.4f} -> adapter "
            f"{result.eval_loss:.4f} nats per target token (best "
            f"{result.best_eval_loss:.4f} at step {result.best_step})"
        )
    if result.nothing_learnt:
        lines.append(f"NOTHING LEARNT: {result.nothing_learnt}")
    say(*lines)
    if result.nothing_learnt:
        _log.warning(
            "this run has learnt nothing: %s; check training.learning_rate, "
            "lora.lora_alpha and the data",
            result.nothing_learnt,
        )

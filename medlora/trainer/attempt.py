"""One start of a run around its training: the folder, its lock and mirror, and what is resumed.

The worker that writes has a `LeadingAttempt`; every other one an `Attempt`, which has the inputs
and the date from it and writes nothing.  Both are called alike.
"""

from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cached_property

from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.names import FINAL, REJECTED
from medlora.checkpoint.schema import Manifest
from medlora.data.audit.schema import DataAudit
from medlora.distributed.team import Team
from medlora.files import sweep
from medlora.inputs.audit import keep
from medlora.inputs.chat import dated
from medlora.inputs.prepare import InputFiles, describe, find_inputs
from medlora.inputs.watch_base import Steady
from medlora.logs import logger, say
from medlora.plan.resolve_run import Plan
from medlora.report.fingerprint import Inputs
from medlora.report.manifest_schema import RunFacts
from medlora.runs import page, written
from medlora.runs.best_model_rebuild import mend_best, refuse_lost
from medlora.runs.delivery import check_output, deliver
from medlora.runs.folder import change_checker, check_finished, reopen, run_folder, set_aside
from medlora.runs.latest_run import delete_old_runs, point_to_latest
from medlora.runs.lost_files import lost_best, stated_best
from medlora.runs.mirror import open_mirror
from medlora.trainer.context import RunContext
from medlora.trainer.final_or_rejected import Release, check_rejected, settle

_log = logger(__name__)


class Attempt:
    """A worker's that writes nothing: it has the inputs, and every act is the first worker's.

    Args:
        plan: what to run, with the date that the first worker has decided.
        held: closes what is held, in the end.
        is_due: whether there is something to do.

    Attributes:
        plan: what to run.
        is_due: whether there is something to do; false where the run is finished already.
        keeps_audit: whether the audit is written into the run's folder before it may refuse.
    """

    keeps_audit = False

    def __init__(self, plan: Plan, held: ExitStack, *, is_due: bool = True) -> None:
        self.plan, self.is_due, self._held = plan, is_due, held

    @cached_property
    def input_files(self) -> InputFiles:
        """Where the inputs are."""
        return find_inputs(self.plan)

    @cached_property
    def base(self) -> Steady:
        """The base's files, watched from when this is first asked for."""
        return self._held.enter_context(closing(Steady(self.input_files.base)))

    @cached_property
    def inputs(self) -> Inputs:
        """What a manifest states of the inputs."""
        self.watch_base()
        return describe(self.input_files, self.plan)

    def watch_base(self) -> None:
        """Watch the base's files from now on; call it before they are hashed or loaded."""
        _ = self.base

    def check_loaded(self) -> None:
        """Refuse a base that changed while it was loaded; the first worker watches on."""
        self.base.check_loaded()
        self.base.close()

    def context(self, context: RunContext) -> RunContext:
        """Return what the trainer's run is part of, with this attempt's say in its commits."""
        return context

    def check_output(self) -> None:
        """Refuse a folder that the result cannot go to, before anything is trained."""

    def start_over(self, audit: DataAudit) -> None:
        """Set aside what is there, if that is wanted; only once nothing can refuse the run."""

    def check_manifest(self, manifest: Manifest) -> RunFacts:
        """Refuse a checkpoint of other inputs; return what later manifests have to state."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Set aside what is damaged and made anew; only once the checkpoints have not refused."""

    def conclude(self, release: Release) -> None:
        """Do what follows a result that is written."""

    def end(self) -> None:
        """Refuse, once all workers are done, what is lost for good beside a finished result."""


class LeadingAttempt(Attempt):
    """That of the worker that writes.

    Args:
        plan: what to run.
        held: as for `Attempt`.
        fresh: set what the run's folder holds aside and start over.
        allow: names of keys or inputs that may differ from the checkpoint's.

    Attributes:
        day: what a chat template takes for today.

    Raises:
        RunInUseError: another run writes into the folder.
        ConfigError: the folder has the result of other inputs.
        RejectedError: it has the same run's, which the gate rejected.
        IntegrityError: its result is damaged, and so is every checkpoint beside it.
        StorageError: it cannot be read or written.
    """

    def __init__(self, plan: Plan, held: ExitStack, *, fresh: bool, allow: tuple[str, ...]) -> None:
        self._folder, self._mirror = run_folder(plan), open_mirror(plan)
        self._fresh, self._allow, self._lost = fresh, allow, None
        self._mirror.restore(fresh=fresh)
        super().__init__(dated(plan, fresh=fresh), held)
        self.keeps_audit = not fresh
        day = self.plan.resolved.config.data.chat_template_date
        self.day = date.fromisoformat(day) if day else datetime.now(UTC).date()
        self._lock = ExitStack()
        if not fresh and self._is_finished():
            self.is_due = False
            self._lost = self._complete()
            self._mirror.finish()
            self._mirror.deliver()
            return
        held.enter_context(self._lock)
        self._lock.enter_context(only_writer(self._folder))
        for line in sweep(self._folder):
            _log.warning("the remains of an interrupted write could not be deleted: %s", line)
        # Meanwhile: by the run that held the lock until now.
        self.is_due = fresh or not self._is_finished()

    def claim(self) -> None:
        """Have the mirror refuse whoever wrote there before, until `conclude`."""
        self._claim = self._held.enter_context(ExitStack())
        self._claim.enter_context(self._mirror.claimed(fresh=self._fresh))

    def check_loaded(self) -> None:
        """Refuse a base that changed while it was loaded; it is watched on."""
        self.base.check_loaded()

    def context(self, context: RunContext) -> RunContext:
        """Return the context with the base looked at before commits, and the mirror told of them.

        A base that somebody has written into is not what the manifests state.
        """
        return replace(context, before_commit=self.base.check, on_commit=self._mirror.push)

    def check_output(self) -> None:
        """Refuse a folder that the result cannot go to, before anything is trained."""
        check_output(self.plan.resolved.config.training, self._folder, self.inputs)

    def start_over(self, audit: DataAudit) -> None:
        """Set aside what is there, if that is wanted; only once nothing can refuse the run."""
        if self._fresh:
            if set_aside(self._folder):
                with self._lock.pop_all():  # it went with the folder
                    self._lock.enter_context(only_writer(self._folder))
            self._mirror.set_aside()
            keep(audit, self._folder)

    def check_manifest(self, manifest: Manifest) -> RunFacts:
        """Refuse a checkpoint of other inputs; return what later manifests have to state."""
        return change_checker(self.inputs, self._allow)(manifest)

    def go_on(self) -> None:
        """Set aside what is damaged and made anew; only once the checkpoints have not refused."""
        if not self._fresh:
            reopen(self._folder)
            mend_best(self._folder)

    def conclude(self, release: Release) -> None:
        """Leave the page, point to the latest, deliver; say where the adapter is.

        Raises:
            RejectedError: the gate rejected it.
        """
        folder, training = self._folder, self.plan.resolved.config.training
        self._lost = mend_best(folder)
        page.leave(folder)  # of a rejected one too; it is mirrored with the rest
        if release.folder == FINAL:
            point_to_latest(self.plan)
            self._mirror.point_to_latest()
        written.leave(folder)
        self._mirror.finish()
        settle(folder, release)
        deliver(folder / FINAL, training.final_dir)
        self._mirror.deliver()
        delete_old_runs(folder, keep=training.keep_old_runs)
        self._claim.close()

    def end(self) -> None:
        """Refuse, once all workers are done, what is lost for good beside a finished result."""
        refuse_lost(self._folder, self._lost)

    def _is_finished(self) -> bool:
        """Tell whether the result is there, and say so; refuse one of other inputs, or rejected."""
        folder, cfg = self._folder, self.plan.resolved.config
        if not (folder / FINAL).exists():
            if (folder / REJECTED).exists():
                check_rejected(folder / REJECTED, self.inputs)
            return False
        if not check_finished(folder / FINAL, self.inputs):
            return False
        check_output(cfg.training, folder, self.inputs)
        say(f"{cfg.run_name} is finished already: {folder / FINAL}")
        deliver(folder / FINAL, cfg.training.final_dir)
        return True

    def _complete(self) -> str | None:
        """Do what a run that was killed at its end, or robbed since, lacks beside its result.

        Returns:
            What is lost for good.
        """
        folder, is_elsewhere = self._folder, self._mirror.is_elsewhere
        if not is_elsewhere:
            point_to_latest(self.plan)
        if page.is_left(folder) and (is_elsewhere or written.is_left(folder)):
            best = None if is_elsewhere else stated_best(folder)
            if best is None or lost_best(folder, best) is None:
                return None
        with only_writer(folder):
            sweep(folder)
            if not page.is_left(folder):  # it was killed just then
                page.leave(folder)
            if is_elsewhere:  # what is not here may well be there
                return None
            lost = mend_best(folder)
            if lost is None:
                written.leave(folder)
            return lost


def begin_attempt(
    plan: Plan, held: ExitStack, *, team: Team, fresh: bool, allow: tuple[str, ...]
) -> Attempt:
    """Lock the run's folder and find out whether there is something to do, for all workers.

    Args:
        plan: what to run.
        held: closes what the attempt holds, in the end.
        team: the workers, each of which calls this alike.
        fresh: set what the run's folder holds aside and start over.
        allow: names of keys or inputs that may differ from the checkpoint's.

    Raises:
        MedloraError: see `LeadingAttempt`.
    """
    if team.leads:
        attempt = LeadingAttempt(plan, held, fresh=fresh, allow=allow)
        team.broadcast(attempt.day.isoformat() if attempt.is_due else None)
        if attempt.is_due:
            attempt.claim()
        return attempt
    day: str | None = team.broadcast(None)
    if day is None:
        return Attempt(plan, held, is_due=False)
    return Attempt(dated(plan, date.fromisoformat(day)), held)

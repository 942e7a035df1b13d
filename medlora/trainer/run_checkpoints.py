"""A run's checkpoints: resumed from, written behind the loop's back, and the last one of a stop."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.background_writer import Writer
from medlora.checkpoint.names import PROGRESS
from medlora.checkpoint.resume import newest_valid
from medlora.checkpoint.schema import Manifest
from medlora.checkpoint.state import OPTIMIZER, Progress, Snapshot, restore_state
from medlora.distributed.team import InterruptError, PeerLostError
from medlora.errors import ConfigError, MedloraError, StoppedError
from medlora.logs import logger
from medlora.model.adapter import described_files, saved_files
from medlora.model.file_names import WEIGHTS
from medlora.report.manifest_schema import RunFacts
from medlora.report.metrics_jsonl import METRICS, releasable
from medlora.runs.folder_contents import Save, checkpoint, is_saved, write_all
from medlora.trainer.compute_engine import Engine
from medlora.trainer.context import RunContext

_log = logger(__name__)
_RESUMED = (WEIGHTS, OPTIMIZER, PROGRESS, METRICS)
CheckManifest = Callable[[Manifest], RunFacts]


class Commits:
    """Writes and restores the state of a run; on workers that do not lead, it writes nothing.

    Args:
        folder: of the run.
        engine: whose state is kept.
        tokenizer: saved with each checkpoint.
        context: what the run is part of.
        keep: how many step checkpoints stay.
        on_written: is told the name of the last folder, once it is written whole.

    Attributes:
        waited_s: seconds that the loop has waited for checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        context: RunContext,
        *,
        keep: int,
        on_written: Callable[[str], None],
    ) -> None:
        self.waited_s, self._on_written = 0.0, on_written
        self._folder, self._engine, self._context, self._keep = folder, engine, context, keep
        self._facts: RunFacts = {**context.facts}
        self._unchanging = {**described_files(engine.peft_model), **saved_files(tokenizer)}
        self._snapshot, self._writer = Snapshot(engine.peft_model), Writer()
        if engine.team.leads:
            self._writer.submit(self._snapshot.reserve)

    def resume(self, check: CheckManifest) -> tuple[Progress, bytes] | None:
        """Put the newest checkpoint that proves itself into the engine, on all workers.

        Args:
            check: gets the checkpoint's manifest before anything is loaded; what it raises
                keeps the run from going on, what it returns joins the facts.

        Returns:
            Its progress and the content of its metrics.jsonl; None without a checkpoint.

        Raises:
            ConfigError: the checkpoint is whole and another version's.
        """
        engine = self._engine
        files = self._newest_files(check) if engine.team.leads else None
        files = engine.team.broadcast_files(files, _RESUMED)
        if not files:
            return None
        try:
            progress = restore_state(engine.peft_model, engine.adamw, files)
        except (KeyError, TypeError, ValueError) as error:  # whole, and yet not what we write
            raise ConfigError(
                "the newest checkpoint was written by another version "
                f"({type(error).__name__}: {error})",
                fix="go on with the versions that its manifest states, or start over with --fresh",
            ) from error
        if engine.private:
            engine.private.restore(progress.privacy)
        if engine.accelerator.scaler and progress.scaler:
            engine.accelerator.scaler.load_state_dict(progress.scaler)
        return progress, files[METRICS]

    def _newest_files(self, check: CheckManifest) -> dict[str, bytes] | None:
        newest = newest_valid(self._folder) if self._folder.is_dir() else None
        if newest is None:
            return None
        folder, manifest = newest
        self._facts.update(check(manifest))
        return {name: (folder / name).read_bytes() for name in _RESUMED}

    def save(self, saves: Sequence[Save], progress: Progress, metrics: bytes) -> None:
        """Write these folders behind the loop's back, then prune.

        The loop waits for the writing before, if that is not done, and for a copy in memory.

        Args:
            saves: what to write.
            progress: of the run; nobody may change it afterwards.
            metrics: content of metrics.jsonl.
        """
        if not self._engine.team.leads:
            return
        self._context.before_commit()
        began = time.monotonic()
        self._writer.wait()
        self._snapshot.take(self._engine.adamw)
        if self._engine.private:
            saves = paid_first(saves, step=progress.step)
        facts: RunFacts = {"step": progress.step, **self._facts, **self._private_facts()}
        self._writer.submit(partial(self._write, saves, progress, metrics, facts))
        self.waited_s += time.monotonic() - began

    def _private_facts(self) -> RunFacts:
        private = self._engine.private
        return {"differential_privacy": private.ledger.facts} if private else {}

    def _write(
        self, saves: Sequence[Save], progress: Progress, metrics: bytes, facts: RunFacts
    ) -> None:
        adapter_file = self._snapshot.adapter_file()
        resumable = any(save.resumable for save in saves)
        shown = releasable(metrics) if self._engine.private else metrics
        state = {METRICS: metrics, **self._snapshot.state_files(progress)} if resumable else {}
        write_all(
            self._folder,
            saves,
            files={**self._unchanging, METRICS: shown, **adapter_file},
            state=state,
            facts=facts,
            keep=self._keep,
        )
        self._on_written(saves[-1].name)
        if self._context.on_commit:
            names = [save.name for save in saves]
            self._context.on_commit(names, keep=self._keep, step=facts["step"])

    def poll(self) -> None:
        """Raise what ends this worker's part: a writing that failed, or a signal.

        Where a forward pass takes all workers, `poll_all` asks all of them.

        Raises:
            InterruptError: a signal was noted.
            StorageError: the last checkpoint could not be written.
        """
        self._writer.check()
        if self._context.stop.requested:
            raise InterruptError

    def poll_all(self) -> None:
        """Raise what ends any worker's part, on all of them, where they go in step."""
        self._engine.team.poll(self.poll)

    def wait(self) -> None:
        """Wait until all is written, on all workers; raise what the writing raised."""
        self._engine.team.lead(self._writer.wait)

    def settle(self) -> None:
        """Let the writing end after a failure, which is the news; a second one is a line."""
        try:
            self._writer.wait()
        except MedloraError as error:
            _log.warning("a checkpoint was not written: %s", error.headline)

    def stop(
        self, cause: InterruptError | PeerLostError, progress: Progress, metrics: bytes
    ) -> NoReturn:
        """Commit the last completed step and end with 143.

        Raises:
            StoppedError: says by what, and what is committed.
            StorageError: it cannot be written.
        """
        name, team = f"step_{progress.step}", self._engine.team
        if team.leads:
            self._writer.wait()
            if progress.step and not is_saved(self._folder / name, progress):
                self.save([checkpoint(name, needed=True)], progress, metrics)
                self._writer.wait()
        alone = isinstance(cause, PeerLostError)
        if not alone:
            team.wait()  # whoever leaves early is taken for lost, and the others are ended
        where = f"{name} is committed" if progress.step else "no step was done"
        requested = self._context.stop.requested or "a worker"
        by = "another worker is gone" if alone else f"stopped by {requested}"
        raise StoppedError(
            f"{by}; {where}",
            fix="run it again: it goes on from there"
            + ("" if self._engine.private else " and ends with the same bits"),
        )


def paid_first(saves: Sequence[Save], *, step: int) -> list[Save]:
    """Return what to write so that nothing gets out whose steps no checkpoint has counted.

    A best model without a checkpoint would outlive a kill, and a private run would do its steps
    anew without counting both.

    Args:
        saves: what is due.
        step: that the run has done.
    """
    resumable = [save for save in saves if save.resumable]
    if not resumable and step:
        resumable = [checkpoint(f"step_{step}", needed=True)]
    return [*resumable, *(save for save in saves if not save.resumable)]

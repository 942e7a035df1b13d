"""The seed's trainer: an engine, its checkpoints and its observer, and what is due after a step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from medlora.config import RunConfig, from_mapping, refuse_conflicts
from medlora.data.chat.chat import Chat
from medlora.distributed.team import InterruptError, PeerLostError
from medlora.evaluate.loss import HeldOut, held_out_loss
from medlora.files import make_folder
from medlora.logs import logger
from medlora.plan.device import this_machine
from medlora.report.manifest_schema import ComputeFacts, RunFacts
from medlora.runs.folder import check_local
from medlora.runs.folder_contents import adapter
from medlora.train.garbage import uncollected
from medlora.train.loop import StepResult
from medlora.trainer.compute_engine import build_engine
from medlora.trainer.context import RunContext
from medlora.trainer.duties import Duties
from medlora.trainer.observer import Observer
from medlora.trainer.questions import check_questions
from medlora.trainer.run_checkpoints import CheckManifest, Commits
from medlora.trainer.train_result import TrainResult

_log = logger(__name__)
T = TypeVar("T")


class MedicalLoRATrainer:
    """Train a PEFT model's adapter; `train()` does all of it, `steps()` yields each step.

    Writes `best_model/`, `epoch_N/`, `step_N/`, `metrics.jsonl`, what `report_to` names and the
    curves (where matplotlib is there) into `<output_dir>/<run_name>`, each checkpoint whole or
    not at all.  A run that was interrupted, at whatever moment, goes on after `resume()` and
    ends with the same bits.

    Args:
        model: a PeftModel whose adapter alone trains; moved to the GPU if there is one.
        tokenizer: saved with each checkpoint; or a `Chat`, with what the config says of it.
        train_dataloader: yields dicts of int64 [B, T]: input_ids, attention_mask, labels
            (-100 where no loss is); or, made by `train_loader`, a step's micro-batches.  Its
            sampler's `set_epoch`, if any, is called.
        eval_dataloader: the same for held-out rows.
        config: a RunConfig or a dict of the same keys; defaults where None.
        context: what the run is part of: workers, signals, facts for the manifests.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
        DivergedError: no number that the model computes is finite.
    """

    def __init__(
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase | Chat,
        train_dataloader: DataLoader[Any],
        eval_dataloader: DataLoader[Any] | None = None,
        config: RunConfig | Mapping[str, Any] | None = None,
        context: RunContext | None = None,
    ) -> None:
        self.config = config if isinstance(config, RunConfig) else from_mapping(config or {})
        self.context = context or RunContext()
        check_local(self.config.training.output_dir)
        refuse_conflicts(self.config, this_machine(workers=self.context.team.size))
        self.engine = build_engine(model, train_dataloader, self.config, team=self.context.team)
        self.model, self.eval_dataloader = self.engine.model, eval_dataloader
        self.tokenizer = tokenizer.tokenizer if isinstance(tokenizer, Chat) else tokenizer
        self.folder = self.config.run_dir
        self._observer = Observer(self.engine, self.config, tokenizer)
        self._commits = Commits(
            self.folder,
            self.engine,
            self.tokenizer,
            self.context,
            keep=self.config.training.save_total_limit,
            on_written=self._observer.view.saved,
        )
        self._duties = Duties(
            self.config, self.context, self.engine, self._observer, self._commits, self.evaluate
        )

    def steps(self) -> Iterator[StepResult]:
        """Return the steps from the present one on, each taken when it is asked for.

        Nothing is saved or evaluated.
        """
        self.model.train()
        return self.engine.steps(self._duties.drive())

    def evaluate(self) -> HeldOut | None:
        """Return the held-out loss in nats a target, None without evaluation rows."""
        if self.eval_dataloader is None:
            return None
        return held_out_loss(
            self.model,
            self.eval_dataloader,
            device=self.device,
            poll=self._commits.poll,
            forward=self.engine.forward,
            team=self.engine.team,
        )

    def resume(self, *, check: CheckManifest = lambda _: {}) -> int:
        """Go on from the newest checkpoint that proves itself; return its step, 0 for none.

        Damaged ones are set aside with a line each.

        Args:
            check: gets the checkpoint's manifest before anything is loaded; what it raises
                keeps the run from going on, what it returns joins the facts.

        Raises:
            ConfigError: the checkpoint is whole and another version's.
        """
        resumed = self._commits.resume(check)
        if resumed is None:
            return 0
        self._duties.progress, metrics = resumed
        step, total = self._duties.progress.step, self.engine.total_steps
        self._observer.restart(metrics)
        if self.engine.team.leads:
            _log.info("going on from step_%d of %d steps", step, total)
        return step

    def train(self, *, prompts: Sequence[str] = ()) -> TrainResult:
        """Train to the end: evaluate and save when due, keep the best, return the outcome.

        Args:
            prompts: what the model is asked every `training.generation_steps`; how it answers
                is recorded as numbers, never a text.

        Raises:
            ConfigError: there is something to ask about, and no prompt.
            DataError: a prompt cannot be asked.
            StoppedError: a signal asked for it; the last completed step is committed.
            DivergedError: too many steps in a row were not finite.
            StorageError: a checkpoint cannot be written; older ones are as they were.
            OutOfMemoryError: a single row does not fit.
        """
        check_questions(self.config.training, prompts)
        if self.engine.team.leads:
            make_folder(self.folder)
        progress = self._duties.progress
        self._observer.begin(progress, prompts)
        try:
            with self.gently(), uncollected(), self._observer.view as view:
                self._duties.catch_up()
                for result in () if self._duties.progress.ended else self.steps():
                    view.show(result, trained_s=self._observer.trained_s)
                    self._duties.after(result)
                    if self._duties.progress.ended:
                        _log.info("ending at step %d: %s", result.step, self._duties.progress.ended)
                        break
                with view.doing("writing the last checkpoint"):
                    self._commits.wait()
        except (InterruptError, PeerLostError) as cause:
            self._commits.stop(cause, self._duties.stated_progress, self._observer.metrics)
        except BaseException:
            self._commits.settle()
            raise
        self._observer.close()
        return self._duties.result()

    def save(
        self,
        name: str,
        *,
        facts: RunFacts | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Path:
        """Write adapter, tokenizer and metrics as a folder of this run; return it.

        Args:
            name: of the folder.
            facts: JSON values for its manifest.
            files: what it holds beside the adapter, {file name: content}.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        saves = [adapter(name, facts or {}, files)]
        self._commits.save(saves, self._duties.stated_progress, self._observer.metrics)
        self._commits.wait()
        return self.folder / name

    def interruptibly(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Return what some work after the training comes to, which a signal may end.

        Each of several workers does its own; all of them go on once all have done it.

        Args:
            work: is given what it has to call wherever time passes.

        Raises:
            StoppedError: a signal asked for it; the last step is committed, and the work is done
                anew when the run is started again.
        """
        try:
            with self.gently(), self.engine.team.all_gather_or_raise():
                return work(self._commits.poll_all)
        except (InterruptError, PeerLostError) as cause:
            self._commits.stop(cause, self._duties.stated_progress, self._observer.metrics)

    def gently(self) -> AbstractContextManager[None]:
        """Only note signals within the block: they end the run where nothing is half done."""
        return self.context.stop.gently()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context that the model computes in."""
        context: AbstractContextManager[Any] = self.engine.accelerator.autocast()
        return context

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.engine.accelerator.device
        return device

    @property
    def compute_facts(self) -> ComputeFacts:
        """Which of the ways to compute this run took, as the manifest states them."""
        return self.engine.facts

"""The seed's trainer: the loop of `train.loop` with evaluation, checkpoints and exact resume."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.names import BEST, PROGRESS
from medlora.checkpoint.resume import newest_valid
from medlora.checkpoint.state import OPTIMIZER, Progress, Snapshot, restore_state
from medlora.checkpoint.writer import Writer
from medlora.config import RunConfig, from_mapping, refuse_conflicts
from medlora.data.chat.chat import Chat
from medlora.data.layout import Collate
from medlora.distributed.team import InterruptError, PeerLostError, Team
from medlora.errors import ConfigError, MedloraError, StoppedError
from medlora.evaluate.loss import HeldOut, held_out_loss
from medlora.files import make_folder
from medlora.logs import logger
from medlora.model.adapter import described_files, saved_files
from medlora.model.attention import attend_by_record
from medlora.model.frozen import frozen_linears
from medlora.model.kernels import compile_layers, liger_kernels
from medlora.model.linear import lean_linears
from medlora.model.names import WEIGHTS
from medlora.model.sharded import shard_base
from medlora.plan.device import device_type, has_bf16, memory_in_use, this_machine
from medlora.report.history import METRICS, releasable
from medlora.report.monitor import TrainingMonitor
from medlora.report.progress import ProgressView
from medlora.runs.folder import check_local
from medlora.runs.saves import (
    Committed,
    Save,
    adapter,
    checkpoint,
    is_saved,
    write_all,
)
from medlora.runtime import Stop
from medlora.train.determinism import set_deterministic
from medlora.train.forward import Forward
from medlora.train.garbage import uncollected
from medlora.train.loop import StepResult, steps_in_epoch, total_steps, train_steps
from medlora.train.memory import Fit, is_out_of_memory, plan_activations
from medlora.train.optim import build_optimizer, loraplus
from medlora.train.precision import choose_precision
from medlora.trainer import outcome
from medlora.trainer.learned import nothing_learnt
from medlora.trainer.outcome import TrainResult
from medlora.trainer.private import PrivateTraining, paid_first
from medlora.trainer.questions import check_questions
from medlora.trainer.schedule import Due, due_after
from medlora.trainer.stop_rules import (
    check_base_computes,
    check_base_loss,
    check_diverged,
    note_convergence,
    note_standstill,
)

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
        facts: JSON values that each checkpoint's manifest repeats.
        stop: where signals are noted; without one, none is.
        team: the workers, each of which has a trainer like this and calls the same methods;
            the first alone writes.  All of torch.distributed's where it is None.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
        DivergedError: no number that the model computes is finite.

    Attributes:
        committed: is told the names of folders once they are written, with `keep` and `step`, in
            the thread that writes; what it raises ends the run as a failed writing does.
        before_commit: is called before anything is written; what it raises ends the run, and
            what was committed before stays.
    """

    committed: Committed | None = None
    before_commit: Callable[[], None] | None = None
    _prompts: tuple[str, ...] = ()

    def __init__(  # noqa: PLR0913  (the seed's five, and two for jobs)
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase | Chat,
        train_dataloader: DataLoader[Any],
        eval_dataloader: DataLoader[Any] | None = None,
        config: RunConfig | Mapping[str, Any] | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        stop: Stop | None = None,
        team: Team | None = None,
    ) -> None:
        self.config = config if isinstance(config, RunConfig) else from_mapping(config or {})
        self._speaker = tokenizer
        self.tokenizer = tokenizer.tokenizer if isinstance(tokenizer, Chat) else tokenizer
        self.train_dataloader = train_dataloader
        self.eval_dataloader = eval_dataloader
        self.team = team or Team()
        check_local(self.config.training.output_dir)
        refuse_conflicts(self.config, this_machine(workers=self.team.size))
        cfg, private = self.config.training, self.config.is_private
        self.precision = choose_precision(cfg, device=device_type(), bf16_supported=has_bf16())
        set_deterministic(cfg.deterministic)
        sharded = cfg.sharding == "full" and self.team.size > 1
        self.accelerator = Accelerator(mixed_precision=self.precision)
        self._bare, self._lean = model, cfg.lean_lora and not private  # no hook can watch these
        self._change_layers()
        faster = loraplus(model, self.config.lora.loraplus_lr_ratio)
        self._adamw = build_optimizer(
            model.parameters(), cfg, multipliers=faster, fused=self.precision != "fp16"
        )
        self.model = self._placed(model) if not sharded else self._sharded(model)
        self.optimizer = self.accelerator.prepare_optimizer(self._adamw)
        self.forward = Forward(
            self.model, autocast=self.accelerator.autocast, targets_only=cfg.targets_only_loss
        )
        check_base_computes(model, is_finite=self.forward.is_finite)
        self.recomputes = False if private else self._choose_recomputation()
        self._private = self._make_private() if private else None
        if cfg.torch_compile:  # after the probes, whose shapes never come again
            compile_layers(model)
        self.folder = Path(cfg.output_dir) / self.config.run_name
        self.progress = Progress()
        self._facts = dict(facts or {})
        self._stop = stop or Stop()
        self._history = TrainingMonitor(self.config)
        self._unchanging = {**described_files(model), **saved_files(self.tokenizer)}
        self._snapshot, self._writer = Snapshot(model), Writer()
        if self.team.leads:
            self._writer.submit(self._snapshot.reserve)
        # In this attempt: waiting for checkpoints; in steps alone, without all that is between.
        self._waited_s = self._trained_s = 0.0
        self._began = time.monotonic()
        self._lap = (0.0, 0)  # seconds in steps, and tokens, at the last logged step
        self._view = self._progress_view()

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return total_steps(self.train_dataloader, self.config.training)

    def steps(self) -> Iterator[StepResult]:
        """Train on from the present step, yielding after each; nothing is saved or evaluated."""
        self.model.train()
        fit, began = Fit(self.progress.micro_batch_rows), time.monotonic()
        for result in self._steps(fit):
            self._trained_s += time.monotonic() - began
            self.progress.micro_batch_rows = fit.rows
            self._count(result)
            yield result
            began = time.monotonic()

    def _steps(self, fit: Fit) -> Iterator[StepResult]:
        start, poll = self.progress.step, self._poll
        if self._private:
            return self._private.steps(self.optimizer, start=start, fit=fit, poll=poll)
        return train_steps(
            self.accelerator,
            self.model,
            self.optimizer,
            self.train_dataloader,
            self.config.training,
            start=start,
            poll=poll,
            fit=fit,
            forward=self.forward,
            team=self.team,
        )

    def evaluate(self) -> HeldOut | None:
        """Return the held-out loss in nats a target, None without evaluation rows."""
        if self.eval_dataloader is None:
            return None
        return held_out_loss(
            self.model,
            self.eval_dataloader,
            device=self.accelerator.device,
            poll=self._poll,
            forward=self.forward,
            team=self.team,
        )

    def resume(self, *, check: Callable[[dict[str, Any]], Mapping[str, Any]] = lambda _: {}) -> int:
        """Go on from the newest checkpoint that proves itself; return its step, 0 for none.

        Damaged ones are set aside with a line each.

        Args:
            check: gets the checkpoint's manifest before anything is loaded; what it raises
                keeps the run from going on, what it returns joins the `facts`.

        Raises:
            ConfigError: the checkpoint is whole and another version's.
        """
        files = self._newest_files(check) if self.team.leads else None
        files = self.team.from_first(files, (WEIGHTS, OPTIMIZER, PROGRESS, METRICS))
        if not files:
            return 0
        try:
            self.progress = restore_state(self._bare, self._adamw, files)
        except (KeyError, TypeError, ValueError) as error:  # whole, and yet not what we write
            raise ConfigError(
                "the newest checkpoint was written by another version "
                f"({type(error).__name__}: {error})",
                fix="go on with the versions that its manifest states, or start over with --fresh",
            ) from error
        if self._private:
            self._private.restore(self.progress.privacy)
        if self.accelerator.scaler and self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        if self.team.leads:
            self._history.restart(files[METRICS])
            _log.info("going on from step_%d of %d steps", self.progress.step, self.total_steps)
        return self.progress.step

    def _newest_files(
        self, check: Callable[[dict[str, Any]], Mapping[str, Any]]
    ) -> dict[str, bytes] | None:
        found = newest_valid(self.folder) if self.folder.is_dir() else None
        if found is None:
            return None
        folder, manifest = found
        self._facts.update(check(manifest))
        names = (WEIGHTS, OPTIMIZER, PROGRESS, METRICS)
        return {name: (folder / name).read_bytes() for name in names}

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
        self._prompts = tuple(prompts)
        if self.team.leads:
            make_folder(self.folder)
        self._began = time.monotonic() - self.progress.wall_s
        self._lap = (self._trained_s, self.progress.tokens)
        self._view.seen.step = self.progress.step
        try:
            with self._stop.gently(), uncollected():
                self._train()
        except (InterruptError, PeerLostError) as cause:
            self._commit_stop(cause)
        except BaseException:
            self._settle()
            raise
        if self.team.leads:
            self._history.close()
        return self._result()

    def save(
        self,
        name: str,
        *,
        facts: Mapping[str, Any] | None = None,
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
        self._commit([adapter(name, facts or {}, files)])
        self.team.lead(self._writer.wait)
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
            with self._stop.gently():
                done: list[T] = []

                def share() -> Sequence[float]:
                    done.append(work(self._poll_all))
                    return ()

                self.team.together(share)
                return done[0]
        except (InterruptError, PeerLostError) as cause:
            self._commit_stop(cause)

    @property
    def compute_facts(self) -> dict[str, Any]:
        """Which of the ways to compute this run took, as the manifest states them."""
        cfg, collate = self.config.training, getattr(self.train_dataloader, "collate_fn", None)
        return {
            "layout": collate.layout if isinstance(collate, Collate) else "as given",
            "attention": self._bare.config._attn_implementation,  # noqa: SLF001  (its only name)
            "targets_only_loss": self.forward.targets_only,
            "lean_lora": self._lean,
            "gradient_checkpointing": self.recomputes,
            "onednn": self._packs_weights,
            "sharding": "full" if self.team.in_step else "none",
            "torch_compile": cfg.torch_compile,
            "use_liger_kernel": cfg.use_liger_kernel,
            "deterministic": cfg.deterministic,
            "workers": self.team.size,
            "gradient_reduction": cfg.gradient_reduction,
        }

    def _placed(self, model: PeftModel) -> Any:  # noqa: ANN401  (accelerate's own type)
        """Return the model on this worker's device.

        Never in a wrapper that adds up gradients: the loop does, in an order of its own.
        """
        return self.accelerator.prepare_model(model, evaluation_mode=True)

    def _sharded(self, model: PeftModel) -> PeftModel:
        shard_base(model, device=self.accelerator.device, workers=self.team.size)
        self.team.in_step = True
        return model

    def _change_layers(self) -> None:
        """Have the layers compute the same in other ways, as the config says."""
        cfg, base = self.config.training, self._bare.get_base_model()
        attend_by_record(base)
        if self._lean:
            lean_linears(self._bare)
        if cfg.use_liger_kernel:
            liger_kernels(base)
        if self._packs_weights:
            frozen_linears(self._bare)

    @property
    def _packs_weights(self) -> bool:
        """Tell whether the CPU gets its frozen weights in an order of its own."""
        cfg = self.config.training
        return cfg.onednn and device_type() == "cpu" and cfg.sharding == "none"

    def _choose_recomputation(self) -> bool:
        """Recompute activations where the config says so, or where they do not fit."""
        wanted, collate = (
            self.config.training.gradient_checkpointing,
            getattr(self.train_dataloader, "collate_fn", None),
        )
        if wanted == "auto" and isinstance(collate, Collate):
            self.model.train()
            plan = plan_activations(
                self.model,
                self.forward,
                positions=collate.positions,
                device=self.accelerator.device,
            )
            _log.info(
                "activations: %.1f GiB of %.1f free%s",
                plan.needed / 2**30,
                plan.free / 2**30,
                "" if plan.fit else ", so they are recomputed",
            )
            wanted = bool(self.team.any(torch.tensor([not plan.fit])))
        if wanted:
            self._bare.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        return bool(wanted)

    def _make_private(self) -> PrivateTraining:
        return PrivateTraining(
            self._bare,
            self.train_dataloader,
            self.config,
            accelerator=self.accelerator,
            forward=self.forward,
        )

    def _commit(self, saves: Sequence[Save]) -> None:
        """Write these folders behind the loop's back, then prune.

        The loop waits for the writing before, if that is not done, and for a copy in memory.
        """
        if not self.team.leads:
            return
        if self.before_commit:
            self.before_commit()
        began = time.monotonic()
        self._writer.wait()
        self._snapshot.take(self._adamw)
        if self._private:
            saves = paid_first(saves, step=self.progress.step)
        progress, metrics = self._stated_progress(), self._history.content
        self._writer.submit(partial(self._write, saves, progress, metrics, self._present_facts()))
        self._waited_s += time.monotonic() - began

    def _present_facts(self) -> dict[str, Any]:
        private = self._private.facts if self._private else {}
        return {"step": self.progress.step, **self._facts, **private}

    def _write(
        self, saves: Sequence[Save], progress: Progress, metrics: bytes, facts: dict[str, Any]
    ) -> None:
        adapter_file = self._snapshot.adapter_file()
        resumable = any(one.resumable for one in saves)
        shown = releasable(metrics) if self._private else metrics
        state = {METRICS: metrics, **self._snapshot.state_files(progress)} if resumable else {}
        write_all(
            self.folder,
            saves,
            files={**self._unchanging, METRICS: shown, **adapter_file},
            state=state,
            facts=facts,
            keep=self.config.training.save_total_limit,
        )
        self._view.saved(saves[-1].name)
        if self.committed:
            names = [one.name for one in saves]
            self.committed(names, keep=self.config.training.save_total_limit, step=facts["step"])

    def _stated_progress(self) -> Progress:
        scaler = self.accelerator.scaler
        return replace(
            self.progress,
            wall_s=time.monotonic() - self._began,
            scaler=scaler.state_dict() if scaler else None,
        )

    def _settle(self) -> None:
        """Let the writing end after a failure, which is the news; a second one is a line."""
        try:
            self._writer.wait()
        except MedloraError as error:
            _log.warning("a checkpoint was not written: %s", error.headline)

    def _train(self) -> None:
        with self._view:
            if self.progress.step == 0:
                self._look_at_base()
            if self.progress.pending:
                self._after(outcome.step_from_json(self.progress.pending))
            for result in () if self.progress.ended else self.steps():
                self._view.show(result, trained_s=self._trained_s)
                self._after(result)
                if self.progress.ended:
                    _log.info("ending at step %d: %s", result.step, self.progress.ended)
                    break
            with self._view.doing("writing the last checkpoint"):
                self.team.lead(self._writer.wait)

    def _look_at_base(self) -> None:
        if self.team.leads:
            self._history.restart()
        base = self._evaluated(step=0, epoch=0.0)
        check_base_loss(base, self._bare)
        self.progress.base = self.progress.latest = base
        if self.config.training.generation_steps is not None:
            self._ask(step=0)

    def _progress_view(self) -> ProgressView:
        return ProgressView(
            name=self.config.run_name,
            total_steps=self.total_steps,
            epochs=self.total_steps / max(1, self._steps_per_epoch),
            memory=partial(memory_in_use, self.accelerator.device),
            show=self.team.leads,
        )

    def _count(self, result: StepResult) -> None:
        outcome.count(self.progress, result, steps_per_epoch=self._steps_per_epoch)
        if self._private:
            self.progress.privacy = self._private.ledger.state

    def _after(self, result: StepResult) -> None:
        """Do what is due after a step: log, evaluate, ask, save.

        Interrupted in between, the step counts and all of this is done again on resuming.
        """
        cfg, recorded, counted = self.config.training, self._history.content, replace(self.progress)
        due = due_after(
            result, cfg, total_steps=self.total_steps, steps_per_epoch=self._steps_per_epoch
        )
        try:
            if due.log:
                self._record(result)
            check_diverged(self.progress, result, cfg, model=self._bare)
            if due.evaluate:
                loss = self._evaluated(step=result.step, epoch=result.epoch)
                self.progress.latest = loss
                note_standstill(self.progress, loss, cfg)
            if due.ask:
                self._ask(step=result.step)
            note_convergence(self.progress, result, cfg)
        except (InterruptError, PeerLostError):
            if self.team.leads:
                self._history.restart(recorded)
            self.progress = replace(counted, pending=outcome.step_as_json(result))
            raise
        self.progress.pending = None
        self._save_what_is_due(result, due)

    def _save_what_is_due(self, result: StepResult, due: Due) -> None:
        best, saves = self.progress.best, []
        if due.evaluate and best and best[0] == result.step:
            saves.append(adapter(BEST, {"eval_loss": best[1]}))
        if due.save_epoch:
            epoch = round(result.epoch)
            saves.append(checkpoint(f"epoch_{epoch}", epoch=epoch))
        if self._stop.take_save_request() or due.save:
            saves.append(checkpoint(f"step_{result.step}"))
        if saves:
            self._commit(saves)

    def _record(self, result: StepResult) -> None:
        if not self.team.leads:
            return
        trained_s, (then, tokens) = self._trained_s, self._lap
        self._history.record_step(
            result,
            tokens_seen=self.progress.tokens,
            targets_seen=self.progress.targets,
            tokens_per_s=round((self.progress.tokens - tokens) / max(trained_s - then, 1e-9), 1),
            wall_s=round(time.monotonic() - self._began, 3),
            **memory_in_use(self.accelerator.device),
        )
        self._lap = (trained_s, self.progress.tokens)

    def _evaluated(self, *, step: int, epoch: float) -> float | None:
        with self._view.doing("evaluating on held-out rows"):
            held_out = self.evaluate()
        if held_out is None:
            return None
        self._view.evaluated(step, held_out.loss)
        if self.team.leads:
            self._history.record_eval(held_out, step=step, epoch=epoch)
        name = "base" if step == 0 else f"step {step}"
        _log.info("%s: held-out loss %.4f nats a token", name, held_out.loss)
        best = self.progress.best
        if step and (best is None or held_out.loss < best[1]):
            self.progress.best = (step, held_out.loss)
        return held_out.loss

    def _ask(self, *, step: int) -> None:
        """Record how the model answers; a look that memory has no room for is left out."""
        self.team.lead(partial(self._ask_here, step))

    def _ask_here(self, step: int) -> None:
        try:
            with self.accelerator.autocast():
                self._history.log_model_performance(
                    self.model,
                    self._speaker,
                    self._prompts,
                    step,
                    poll=self._poll_all,
                    keep=self.team.leads,
                )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            _log.warning("step %d: out of memory while the model answered; on without", step)

    def _poll(self) -> None:
        """Raise what ends this worker's part; where passes take all, `Team.poll` asks for all."""
        self._writer.check()
        if self._stop.requested:
            raise InterruptError

    def _poll_all(self) -> None:
        self.team.poll(self._poll)

    def _commit_stop(self, cause: InterruptError | PeerLostError) -> NoReturn:
        """Commit the last completed step and end with 143."""
        name = f"step_{self.progress.step}"
        if self.team.leads:
            self._writer.wait()
            if self.progress.step and not is_saved(self.folder / name, self.progress):
                self._commit([checkpoint(name, needed=True)])
                self._writer.wait()
        alone = isinstance(cause, PeerLostError)
        if not alone:
            self.team.wait()  # whoever leaves early is taken for lost, and the others are ended
        where = f"{name} is committed" if self.progress.step else "no step was done"
        by = (
            "another worker is gone"
            if alone
            else f"stopped by {self._stop.requested or 'a worker'}"
        )
        raise StoppedError(
            f"{by}; {where}",
            fix="run it again: it goes on from there"
            + ("" if self._private else " and ends with the same bits"),
        )

    def _result(self) -> TrainResult:
        wall_s = time.monotonic() - self._began
        memory = memory_in_use(self.accelerator.device)
        result = outcome.state(
            self.progress,
            wall_s=wall_s,
            waited_s=self._waited_s,
            peak_bytes=memory["memory_peak_bytes"],
        )
        why = nothing_learnt(self._bare, self._history.content)
        result = replace(result, nothing_learnt=why)
        return outcome.without_sums_over_rows(result) if self._private else result

    @property
    def _steps_per_epoch(self) -> int:
        return steps_in_epoch(self.train_dataloader, self.config.training)

"""The same run on Hugging Face's Trainer: its arguments, its collator, its best model.

What stays Trainer's own: checkpoints are `checkpoint-N` in its format, pickles among them;
`eval_loss` is a mean of batch means; `save_epochs` and `max_skipped_steps` have no counterpart,
and a loss that is not a number does not end the run.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, overload

import numpy as np
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments

from medlora.checkpoint.folder_format import write_checkpoint
from medlora.config import RunConfig, TrainingConfig, from_mapping, refuse_conflicts
from medlora.data.batches import eval_loader, pad_id_of
from medlora.data.chat.chat import Chat
from medlora.data.huggingface_batches import PadFeatures
from medlora.data.micro_batches import IGNORE, Collate
from medlora.data.token_rows import Row, Rows
from medlora.evaluate.checker_protocols import ResponseChecker
from medlora.evaluate.huggingface_safety_callback import MedicalSafetyCallback
from medlora.evaluate.loss import held_out_loss
from medlora.files import TEMPORARY
from medlora.inputs.prepare import Prepared
from medlora.model.adapter import adapter_files, saved_files
from medlora.plan.device import (
    device_type,
    memory_in_use,
    precision_of,
    this_device,
    this_machine,
)
from medlora.report.manifest_schema import RunFacts
from medlora.report.metrics_jsonl import METRICS
from medlora.report.metrics_recorder import TrainingMonitor
from medlora.runs.cards import with_papers
from medlora.train.optim import fitting_warmup
from medlora.trainer.context import RunContext
from medlora.trainer.huggingface_callbacks import AskWhenDue, KeepBest, ToMonitor
from medlora.trainer.learning_check import nothing_learnt
from medlora.trainer.questions import check_questions
from medlora.trainer.run_checkpoints import CheckManifest
from medlora.trainer.train_result import TrainResult

T = TypeVar("T")


class _Arguments(TrainingArguments):  # type: ignore[misc]  # it has no types
    """Trainer's arguments, with our rule for a warm-up that the run is too short for."""

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Return the steps of warm-up of a run of so many steps."""
        steps: int = super().get_warmup_steps(num_training_steps)
        is_share = self.warmup_steps < 1
        return steps if is_share else fitting_warmup(steps, total_steps=num_training_steps)


def create_training_arguments(
    config: RunConfig | Mapping[str, Any], *, evaluation: bool = True
) -> TrainingArguments:
    """Return our training section as Trainer's arguments.

    `eval_steps` and `save_steps` are both taken as they are, also where the second is no
    multiple of the first: `KeepBest`, which `setup_trainer` adds, saves at every new best
    evaluation, so the best model is always there to be loaded at the end.  A Trainer without
    it finds the best among the periodic checkpoints alone.

    Args:
        config: a RunConfig or nested dicts of the same keys.
        evaluation: whether there are evaluation rows.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
    """
    run = _validated(config)
    cfg = run.training.model_copy(update={"engine": "huggingface"})
    refuse_conflicts(run.model_copy(update={"training": cfg}), this_machine())
    device = this_device()
    precision = precision_of(cfg, device)
    arguments = _Arguments(
        output_dir=cfg.output_dir,
        run_name=run.run_name,
        num_train_epochs=cfg.num_train_epochs,
        max_steps=cfg.max_steps or -1,
        per_device_train_batch_size=cfg.micro_batch_rows,
        per_device_eval_batch_size=cfg.per_device_eval_batch_size,
        gradient_accumulation_steps=cfg.gradient_accumulation_steps,
        learning_rate=cfg.learning_rate,
        **_schedule(cfg),
        warmup_steps=cfg.warmup_steps if cfg.warmup_ratio is None else cfg.warmup_ratio,
        max_grad_norm=cfg.max_grad_norm,
        optim="adamw_torch",
        weight_decay=cfg.weight_decay,
        adam_beta1=cfg.adam_beta1,
        adam_beta2=cfg.adam_beta2,
        adam_epsilon=cfg.adam_epsilon,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=device.kind == "cpu",
        gradient_checkpointing=bool(cfg.gradient_checkpointing),  # `auto` knows our loop alone
        gradient_checkpointing_kwargs={"use_reentrant": False},
        torch_compile=cfg.torch_compile,
        use_liger_kernel=cfg.use_liger_kernel,
        logging_steps=cfg.logging_steps,
        logging_nan_inf_filter=False,  # the filter would show the mean so far in place of NaN
        eval_strategy="steps" if evaluation else "no",
        eval_steps=cfg.eval_steps if evaluation else None,
        save_strategy="steps",
        save_steps=cfg.save_steps,
        save_total_limit=cfg.save_total_limit,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        seed=cfg.seed,
        dataloader_pin_memory=cfg.dataloader_pin_memory and device.kind == "cuda",
        remove_unused_columns=False,
        report_to=[],  # `ToMonitor` serves our trackers
    )
    # Afterwards, for at construction it demands save_steps to be a multiple of eval_steps.
    # Even a multiple does not save the best: only a save at each new best does.
    arguments.load_best_model_at_end = evaluation
    # Inside a Kubeflow job it adds a tracker of its own that sends metrics over the network.
    arguments.report_to = []
    return arguments


def _schedule(cfg: TrainingConfig) -> dict[str, Any]:
    """Return Trainer's names for our schedule."""
    match cfg.lr_scheduler_type:
        case "cosine":
            kwargs = {"min_lr_rate": cfg.min_lr_rate}
            return {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": kwargs}
        case "linear":
            return {"lr_scheduler_type": "linear"}
        case "constant":
            return {"lr_scheduler_type": "constant_with_warmup"}


class HuggingFaceTrainer:
    """Trains a whole run on Trainer, as `training.engine: huggingface` asks.

    The result holds the best model of all evaluations, or the last without evaluation rows.
    Nothing of Trainer's own stays: its checkpoints are pickled, and none is ever read again,
    so a run that was interrupted starts over.

    Args:
        model: the adapted model.
        prepared: both splits as rows.
        cfg: the run config.
        context: what the run is part of.

    Raises:
        ConfigError: Trainer cannot do what the config asks for.
    """

    compute_facts = None

    def __init__(
        self, model: PeftModel, prepared: Prepared, cfg: RunConfig, context: RunContext
    ) -> None:
        self._model, self._prepared, self._cfg, self._context = model, prepared, cfg, context
        self._folder = cfg.run_dir
        self._monitor = TrainingMonitor(cfg)
        self._steps = 0
        self.device = torch.device(device_type())

    def gently(self) -> AbstractContextManager[None]:
        """Let signals end the process: Trainer would not look at what is noted."""
        return nullcontext()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context that changes nothing."""
        return nullcontext()

    def resume(self, *, check: CheckManifest) -> int:  # noqa: ARG002  (there is no checkpoint)
        """Start over."""
        return 0

    def train(self, *, prompts: Sequence[str]) -> TrainResult:
        """Train to the end.

        Args:
            prompts: what the model is asked every `training.generation_steps`.
        """
        began, prepared, cfg = time.monotonic(), self._prepared, self._cfg
        with TemporaryDirectory(prefix=TEMPORARY, dir=self._folder) as scratch:
            own = cfg.training.model_copy(
                update={"output_dir": scratch, "report_to": [], "generation_steps": None}
            )
            trainer = setup_trainer(
                self._model,
                prepared.tokenizer,
                _Features(prepared.train),
                _Features(prepared.evaluation) if prepared.evaluation else None,
                cfg.model_copy(update={"training": own}),
            )
            _watch(trainer, self._monitor, cfg.training, prompts, chat=prepared.chat)
            base = _held_out(trainer, prepared)
            trainer.train()
            after = _held_out(trainer, prepared)
            self.device, self._steps = trainer.args.device, trainer.state.global_step
            return TrainResult(
                steps=self._steps,
                tokens=None,
                targets=None,
                train_loss=None,
                base_eval_loss=base,
                eval_loss=after,
                best_eval_loss=after,
                best_step=getattr(trainer.state, "best_global_step", None),
                skipped_steps=0,
                wall_s=round(time.monotonic() - began, 1),
                nothing_learnt=nothing_learnt(self._model, self._monitor.content),
                memory_peak_bytes=memory_in_use(self.device)["memory_peak_bytes"],
            )

    def interruptibly(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Do some work after the training; a signal ends the process."""
        return work(lambda: None)

    def save(self, name: str, *, facts: RunFacts, files: Mapping[str, bytes]) -> Path:
        """Write adapter, tokenizer and metrics as a folder of this run; return it.

        Args:
            name: of the folder.
            facts: JSON values for its manifest.
            files: what it holds beside the adapter, {file name: content}.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        self._context.before_commit()
        content = {
            **adapter_files(self._model),
            **saved_files(self._prepared.tokenizer),
            METRICS: self._monitor.content,
            **files,
        }
        stated: RunFacts = {"step": self._steps, **self._context.facts, **facts}
        write_checkpoint(self._folder / name, with_papers(content, stated), stated)
        return self._folder / name


class _Features(Sequence[dict[str, list[int]]]):
    """Rows as Trainer takes them, each made when it is asked for."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, list[int]]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, list[int]]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, list[int]] | list[dict[str, list[int]]]:
        if isinstance(index, slice):
            return [_feature(row) for row in self._rows[index]]
        return _feature(self._rows[index])


def _feature(row: Row) -> dict[str, list[int]]:
    return {
        "input_ids": row.ids.tolist(),
        "labels": np.where(row.learn, row.ids, IGNORE).tolist(),
    }


def _held_out(trainer: Trainer, prepared: Prepared) -> float | None:
    """Return the loss a token of the evaluation rows, which Trainer itself does not compute."""
    rows = prepared.evaluation
    if not rows:
        return None
    tokenizer = prepared.tokenizer
    pad = pad_id_of(tokenizer.pad_token_id, tokenizer.eos_token_id)
    size = trainer.args.per_device_eval_batch_size
    collate = Collate("plain", batch_size=size, max_length=prepared.facts["max_length"], pad_id=pad)
    batches = eval_loader(rows, collate, batch_size=size)
    return held_out_loss(trainer.model, batches, device=trainer.args.device).loss


def setup_trainer(  # noqa: PLR0913  (the seed's six, and one of ours)
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    train_dataset: Any,  # noqa: ANN401  (whatever Trainer takes)
    eval_dataset: Any,  # noqa: ANN401
    config: RunConfig | Mapping[str, Any],
    safety_checker: ResponseChecker | None = None,
    *,
    prompts: Sequence[str] = (),
) -> Trainer:
    """Return Hugging Face's Trainer for an adapter, with the best model loaded at the end.

    The loss of a step is a mean over all its targets, however they fall into micro-batches.

    Args:
        model: a PeftModel.
        tokenizer: saved with each checkpoint; its padding token fills batches up.
        train_dataset: dicts of input_ids and labels (-100 where no loss is), and
            attention_mask if any position of a row is not to be seen.
        eval_dataset: the same for held-out rows, or None.
        config: a RunConfig or nested dicts of the same keys.
        safety_checker: asked about a few answers once an epoch.
        prompts: what the model is asked every `training.generation_steps`.

    Raises:
        ConfigError: the config or the device cannot do what was asked.
    """
    run = _validated(config)
    evaluation = eval_dataset is not None
    trainer = Trainer(
        model=model,
        args=create_training_arguments(run, evaluation=evaluation),
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        data_collator=PadFeatures(pad_id_of(tokenizer.pad_token_id, tokenizer.eos_token_id)),
        processing_class=tokenizer,
    )
    if evaluation:
        trainer.add_callback(KeepBest())
    if safety_checker:
        trainer.add_callback(MedicalSafetyCallback(safety_checker, eval_dataset))
    if run.training.report_to or run.training.generation_steps:
        _watch(trainer, TrainingMonitor(run), run.training, prompts)
    return trainer


def _watch(
    trainer: Trainer,
    monitor: TrainingMonitor,
    cfg: TrainingConfig,
    prompts: Sequence[str],
    *,
    chat: Chat | None = None,
) -> None:
    """Have a monitor get what Trainer logs, and how the model answers when that is due."""
    check_questions(cfg, prompts)
    trainer.add_callback(ToMonitor(monitor))
    if cfg.generation_steps:
        trainer.add_callback(AskWhenDue(monitor, prompts, every=cfg.generation_steps, chat=chat))


def _validated(config: RunConfig | Mapping[str, Any]) -> RunConfig:
    return config if isinstance(config, RunConfig) else from_mapping(config)

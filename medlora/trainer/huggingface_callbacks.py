"""What our policy adds to Hugging Face's Trainer: the best model, the numbers, the questions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import (
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from medlora.data.chat.chat import Chat
from medlora.report.metrics_recorder import TrainingMonitor

_OUR_NAMES = {"loss": "train_loss", "train_loss": "mean_train_loss"}  # the second: of all steps


class KeepBest(TrainerCallback):  # type: ignore[misc]  # (an untyped library)
    """Evaluates at each epoch's end too, and saves at every new best evaluation."""

    def __init__(self) -> None:
        self._evaluated_step = -1

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Ask for an evaluation, unless this very step had one."""
        del args, kwargs
        control.should_evaluate |= self._evaluated_step != state.global_step

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Ask for a checkpoint, if the loss is the lowest so far; Trainer updates its best next."""
        del args, kwargs
        self._evaluated_step = state.global_step
        best = math.inf if state.best_metric is None else state.best_metric
        control.should_save |= metrics.get("eval_loss", math.inf) < best


class ToMonitor(TrainerCallback):  # type: ignore[misc]  # (an untyped library)
    """Passes what Trainer logs on to a monitor, under our names."""

    def __init__(self, monitor: TrainingMonitor) -> None:
        self.monitor = monitor

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Record a line of numbers."""
        del args, control, kwargs
        if state.is_world_process_zero:
            named = {_OUR_NAMES.get(name, name): value for name, value in logs.items()}
            self.monitor.record_metrics(named, state.global_step)

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Draw the curves and finish the trackers."""
        del args, control, kwargs
        if state.is_world_process_zero:
            self.monitor.close()


class AskWhenDue(TrainerCallback):  # type: ignore[misc]  # (an untyped library)
    """Asks the model some questions every so many steps, and of the base and at the end."""

    def __init__(
        self,
        monitor: TrainingMonitor,
        prompts: Sequence[str],
        *,
        every: int,
        chat: Chat | None = None,
    ) -> None:
        """Keep what is asked, when, and in which chat; the trainer's tokenizer's where None."""
        self.monitor, self.prompts, self.every = monitor, tuple(prompts), every
        self.chat = chat

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Ask the base."""
        del args, control
        if state.global_step == 0:
            self._ask(state, **kwargs)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Ask, if it is time."""
        del args, control
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self._ask(state, **kwargs)

    def _ask(
        self,
        state: TrainerState,
        *,
        model: Any,  # noqa: ANN401
        processing_class: PreTrainedTokenizerBase,
        **_: Any,  # noqa: ANN401
    ) -> None:
        if state.is_world_process_zero:
            speaker = self.chat or processing_class
            self.monitor.log_model_performance(model, speaker, self.prompts, state.global_step)

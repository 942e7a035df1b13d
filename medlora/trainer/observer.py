"""What is noted of a run while it trains: its steps, evaluations and answers, and how long it took.

Numbers alone, for metrics.jsonl, the trackers, the curves and the view on a terminal.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.state import Progress
from medlora.config import RunConfig
from medlora.data.chat.chat import Chat
from medlora.evaluate.loss import HeldOut
from medlora.logs import logger
from medlora.plan.device import memory_in_use
from medlora.report.metrics_recorder import TrainingMonitor
from medlora.report.progress_display import ProgressView
from medlora.train.loop import StepResult
from medlora.train.step_in_pieces import is_out_of_memory
from medlora.trainer.compute_engine import Engine

_log = logger(__name__)


class Observer:
    """Notes what a run does; on workers that do not lead, it keeps nothing.

    Args:
        engine: that is observed.
        config: of the run.
        tokenizer: in which the model is asked.

    Attributes:
        view: what a person sees meanwhile.
        trained_s: seconds of this attempt in steps alone, without all that is between them.
        prompts: what the model is asked when that is due.
    """

    def __init__(
        self, engine: Engine, config: RunConfig, tokenizer: PreTrainedTokenizerBase | Chat
    ) -> None:
        self._engine, self._tokenizer = engine, tokenizer
        self._history = TrainingMonitor(config)
        self.prompts: tuple[str, ...] = ()
        self.trained_s = 0.0
        self._began = time.monotonic()
        self._lap = (0.0, 0)  # trained_s and tokens at the last recorded step
        self.view = ProgressView(
            name=config.run_name,
            total_steps=engine.total_steps,
            epochs=engine.total_steps / max(1, engine.steps_per_epoch),
            memory=partial(memory_in_use, engine.accelerator.device),
            show=engine.team.leads,
        )

    @property
    def wall_s(self) -> float:
        """Seconds of training, those of earlier attempts among them."""
        return time.monotonic() - self._began

    @property
    def metrics(self) -> bytes:
        """Content of metrics.jsonl so far."""
        return self._history.content

    def begin(self, progress: Progress, prompts: Sequence[str]) -> None:
        """Start the clock where an earlier attempt left it."""
        self.prompts = tuple(prompts)
        self._began = time.monotonic() - progress.wall_s
        self._lap = (self.trained_s, progress.tokens)
        self.view.seen.step = progress.step

    def restart(self, metrics: bytes = b"") -> None:
        """Begin metrics.jsonl anew, with nothing or with what a checkpoint holds."""
        if self._engine.team.leads:
            self._history.restart(metrics)

    def close(self) -> None:
        """Draw the curves and finish the trackers."""
        if self._engine.team.leads:
            self._history.close()

    def record_step(self, result: StepResult, progress: Progress) -> None:
        """Add a step, with its speed since the last one that was recorded."""
        if not self._engine.team.leads:
            return
        then, tokens = self._lap
        seconds = max(self.trained_s - then, 1e-9)
        self._history.record_step(
            result,
            tokens_seen=progress.tokens,
            targets_seen=progress.targets,
            tokens_per_s=round((progress.tokens - tokens) / seconds, 1),
            wall_s=round(self.wall_s, 3),
            **memory_in_use(self._engine.accelerator.device),
        )
        self._lap = (self.trained_s, progress.tokens)

    def record_evaluation(self, held_out: HeldOut, *, step: int, epoch: float) -> None:
        """Add an evaluation and say how it came out; step 0 is the base model."""
        self.view.evaluated(step, held_out.loss)
        if self._engine.team.leads:
            self._history.record_eval(held_out, step=step, epoch=epoch)
        name = "base" if step == 0 else f"step {step}"
        _log.info("%s: held-out loss %.4f nats a token", name, held_out.loss)

    def ask(self, *, step: int, poll: Callable[[], None]) -> None:
        """Record how the model answers; left out, with a line, where memory has no room for it.

        Args:
            step: after which this is; 0 is the base model.
            poll: called at every token; what it raises ends the asking.
        """
        engine = self._engine
        try:
            with engine.accelerator.autocast():
                self._history.log_model_performance(
                    engine.model,
                    self._tokenizer,
                    self.prompts,
                    step,
                    poll=poll,
                    keep=engine.team.leads,
                )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            _log.warning(
                "step %d: out of memory while sample answers were generated; training continues "
                "without them",
                step,
            )

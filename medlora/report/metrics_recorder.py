"""What a run measures, in one place: metrics.jsonl, trackers, the picture of its curves."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from medlora.config import Machine, RunConfig, from_mapping, refuse_conflicts
from medlora.data.chat.chat import Chat
from medlora.errors import MissingPartError
from medlora.evaluate.answer_behaviour import performance
from medlora.evaluate.generate import Poll
from medlora.evaluate.loss import HeldOut
from medlora.evaluate.writing_quality import response_quality
from medlora.files import make_folder, write_bytes
from medlora.logs import logger, say
from medlora.report.curves_png import draw
from medlora.report.metrics_jsonl import History, MetricsLine, read_lines
from medlora.report.trackers import Tracker, start_trackers
from medlora.train.loop import StepResult

CURVES = "training_curves.png"
_GIB = 1 << 30
_log = logger(__name__)


class TrainingMonitor:
    """Keeps a run's numbers, hands them to trackers and draws them; it never sees a text.

    A `History` with more outlets: what that records, this records too, and every line of
    metrics.jsonl becomes points of the curves.  Nothing is written before the first number.

    Args:
        config: a RunConfig or nested dicts of the same keys; `training.report_to` names the
            trackers.
        use_wandb: Weights & Biases even if `report_to` does not name it; always offline.

    Raises:
        MissingPartError: a tracker's package is not installed.

    Attributes:
        metrics_history: metric -> points (step, value); numbers that are not finite are left
            out (null in the file).  Memory is in GiB, as `memory_allocated`.
    """

    def __init__(self, config: RunConfig | Mapping[str, Any], use_wandb: bool = False) -> None:
        self.config = config if isinstance(config, RunConfig) else from_mapping(config)
        wanted = [*self.config.training.report_to, *(["wandb"] if use_wandb else [])]
        self.use_wandb = "wandb" in wanted
        self.folder = self.config.run_dir
        self.metrics_history: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._wanted = tuple(dict.fromkeys(wanted))
        asked = self.config.training.model_copy(update={"report_to": wanted})
        refuse_conflicts(self.config.model_copy(update={"training": asked}), Machine())
        self._trackers: list[Tracker] | None = None  # started by the first number
        self._history = History(self.folder)
        self._restarted = False

    @property
    def content(self) -> bytes:
        """All lines of metrics.jsonl so far."""
        return self._history.content

    def restart(self, content: bytes = b"") -> None:
        """Begin metrics.jsonl and the curves anew, with nothing or a checkpoint's lines."""
        make_folder(self.folder)
        self._history.restart(content)
        self._restarted = True
        self.metrics_history.clear()
        for line in read_lines(content):
            self._remember(_points(line), line.step)

    def record_step(self, result: StepResult, **more: float) -> None:
        """Add a training step, in silence."""
        self._begin()
        self._keep(self._history.record_step(result, **more))

    def record_eval(self, held_out: HeldOut, *, step: int, epoch: float) -> None:
        """Add an evaluation, in silence; step 0 is the base model."""
        self._begin()
        self._keep(self._history.record_eval(held_out, step=step, epoch=epoch))

    def record_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add numbers of any name, in silence."""
        numbers = {name: float(value) for name, value in metrics.items()}
        self._begin()
        self._keep(self._history.record_metrics(numbers, step=step))

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add numbers of any name and print them."""
        self.record_metrics(metrics, step)
        shown = " | ".join(f"{name}: {float(value):.4g}" for name, value in metrics.items())
        say(f"Step {step} | {shown}")

    def log_model_performance(
        self,
        model: Any,  # noqa: ANN401  (anything with transformers' generate)
        tokenizer: PreTrainedTokenizerBase | Chat,
        test_prompts: Sequence[str],
        step: int,
        *,
        poll: Poll = lambda: None,
        keep: bool = True,
    ) -> None:
        """Ask the model, greedy and without a random number, and log how it writes.

        Args:
            model: asked in evaluation mode; its mode is left as it was.
            tokenizer: without a chat template of its own it asks in the plain one.
            test_prompts: at least one.
            step: where in the run this is; 0 is the base model.
            poll: called at every token; what it raises ends the asking, and nothing is logged.
            keep: false on a worker that only helps with the asking.

        Raises:
            DataError: there is no prompt, or one that cannot be asked.
        """
        score = self._assess_response_quality
        measured = performance(model, tokenizer, test_prompts, score=score, poll=poll)
        if keep:
            self.log_metrics(
                {f"performance/{name}": value for name, value in measured.items()}, step
            )

    def plot_training_curves(self) -> Path:
        """Write training_curves.png into the run's folder; return its path.

        Raises:
            MissingPartError: matplotlib is not installed.
        """
        picture = draw(self.metrics_history, title=self.config.run_name)
        make_folder(self.folder)
        path = self.folder / CURVES
        write_bytes(path, picture)
        return path

    def close(self) -> None:
        """Draw the curves, if they can be drawn, and finish the trackers."""
        trackers, self._trackers = self._trackers or [], None
        try:
            path = self.plot_training_curves()
        except MissingPartError as error:  # a result is not lost for want of its picture
            _log.info("no %s: %s", CURVES, error.headline)
        else:
            for tracker in trackers:
                tracker.picture("training_curves", path)
        for tracker in trackers:
            tracker.close()

    def _assess_response_quality(self, response: str) -> float:
        """Return 0..1, see `evaluate.quality`: how it is written, not whether it is right."""
        return response_quality(response)

    def _begin(self) -> None:
        if not self._restarted:
            self.restart()
        if self._trackers is None:
            self._trackers = start_trackers(
                self._wanted,
                self._tracker_folder(),
                config=self.config,
                first_step=self._next_step(),
            )

    def _tracker_folder(self) -> Path:
        """Return the run's folder, or one of its name below `training.logging_dir`."""
        elsewhere = self.config.training.logging_dir
        return Path(elsewhere) / self.config.run_name if elsewhere else self.folder

    def _next_step(self) -> int:
        """Return the step that no point has reached yet, 0 for a new run."""
        return 1 + max((points[-1][0] for points in self.metrics_history.values()), default=-1)

    def _keep(self, line: MetricsLine) -> None:
        points = _points(line)
        self._remember(points, line.step)
        for tracker in self._trackers or ():
            tracker.log(points, line.step)

    def _remember(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self.metrics_history[name].append((step, value))


def _points(line: MetricsLine) -> dict[str, float]:
    """Return the curves' values in a line of metrics.jsonl."""
    return dict(_named(line))


def _named(line: MetricsLine) -> Iterator[tuple[str, float]]:
    for name, value in line.numbers.items():
        if name == "skipped" or value is None:
            continue
        if name == "memory_bytes":
            yield "memory_allocated", value / _GIB
        else:
            yield ("train_loss" if line.kind == "train" and name == "loss" else name), value

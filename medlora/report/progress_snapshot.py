"""What is seen of a run at one moment, as a line, as JSON values, and as a picture."""

from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from medlora.train.loop import StepResult

_GIB = 1 << 30
_BAR = 40  # columns


@dataclass(slots=True)
class Seen:
    """The numbers of a run so far; those of this attempt where a clock is in it."""

    name: str
    total_steps: int
    epochs: float
    began: float
    doing: str = "training"
    step: int = 0
    epoch: float = 0.0
    loss: float | None = None
    learning_rate: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)
    base: float | None = None
    best: float | None = None
    evaluation: tuple[int, float] | None = None
    checkpoint: tuple[str, float] | None = None
    _losses: float = 0.0
    _steps: int = 0
    _tokens: int = 0
    _trained_s: float = 0.0

    def add(self, result: StepResult, *, trained_s: float) -> None:
        """Take in a step, and the seconds that all steps of this attempt have taken."""
        self.step, self.epoch = result.step, result.epoch
        self.loss, self.learning_rate = result.loss, result.learning_rate
        self._losses += result.loss
        self._steps += 1
        self._tokens += result.tokens
        self._trained_s = trained_s

    @property
    def average(self) -> float:
        """Mean loss of the steps of this attempt."""
        return self._losses / max(1, self._steps)

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second of this attempt's steps, without evaluating and saving."""
        return self._tokens / max(self._trained_s, 1e-9)

    def left_s(self, now: float) -> float | None:
        """Seconds that the rest will take at the pace so far, None before the first step."""
        if not self._steps:
            return None
        return (now - self.began) / self._steps * (self.total_steps - self.step)

    def facts(self, now: float) -> dict[str, float | str | None]:
        """Return all of it as JSON values."""
        left = self.left_s(now)
        return {
            "step": self.step,
            "total_steps": self.total_steps,
            "epoch": round(self.epoch, 4),
            "loss": self.loss,
            "average_loss": self.average,
            "learning_rate": self.learning_rate,
            "tokens_per_s": round(self.tokens_per_s, 1),
            "eta_s": None if left is None else round(left, 1),
            **self.memory,
            "eval_loss": self.evaluation[1] if self.evaluation else None,
            "checkpoint": self.checkpoint[0] if self.checkpoint else None,
        }

    def line(self, now: float) -> str:
        """Return the same as a line."""
        parts = [
            f"step {self.step}/{self.total_steps}",
            f"epoch {self.epoch:.2f}",
            f"loss {self.loss or 0.0:.4f}",
            f"avg {self.average:.4f}",
            f"lr {self.learning_rate:.2e}",
            f"{self.tokens_per_s:,.0f} tokens/s",
            f"{clock(self.left_s(now))} left",
        ]
        return "  ".join(parts)


def render(seen: Seen, *, now: float) -> RenderableType:
    """Return the picture of a moment."""
    head = Text.assemble((seen.name, "bold"), f"  {seen.doing}")
    bars = Table.grid(padding=(0, 2))
    left = clock(seen.left_s(now))
    whole = f"{_percent(seen.step, seen.total_steps)}  {clock(now - seen.began)} gone, {left} left"
    bars.add_row(
        "run", _bar(seen.step, seen.total_steps), f"step {seen.step} of {seen.total_steps}", whole
    )
    in_epoch, number = _epoch(seen)
    bars.add_row("epoch", _bar(in_epoch, 1), f"{number} of {seen.epochs:g}", _percent(in_epoch, 1))
    details = Table.grid(padding=(0, 2))
    for name, text in _rows(seen, now):
        details.add_row(Text(name, style="dim"), text)
    return Group(head, bars, details)


def _epoch(seen: Seen) -> tuple[float, int]:
    """Return how far the present epoch is, and which it is, from 1."""
    done = int(seen.epoch)
    if seen.epoch == done and done:
        return 1.0, done
    return seen.epoch - done, done + 1


def _rows(seen: Seen, now: float) -> list[tuple[str, str]]:
    return [
        ("loss", _loss(seen)),
        ("speed", f"{seen.tokens_per_s:,.0f} tokens/s" if seen.step else "-"),
        ("memory", _memory(seen.memory)),
        ("last evaluation", _evaluation(seen)),
        ("last checkpoint", _checkpoint(seen, now)),
    ]


def _loss(seen: Seen) -> str:
    if seen.loss is None:
        return "-"
    rate = f"learning rate {seen.learning_rate:.2e}"
    return f"{seen.loss:.4f} nats a token, {seen.average:.4f} on average, {rate}"


def _memory(memory: dict[str, float]) -> str:
    if not memory:
        return "-"
    now, most = (memory.get(name, 0) / _GIB for name in ("memory_bytes", "memory_peak_bytes"))
    return f"{now:.2f} GiB, {most:.2f} at most"


def _evaluation(seen: Seen) -> str:
    base = f"base {seen.base:.4f}" if seen.base is not None else ""
    if seen.evaluation is None:
        return base or "none so far"
    step, loss = seen.evaluation
    best = "the best so far" if loss == seen.best else f"best {seen.best:.4f}"
    return f"step {step}: {loss:.4f} nats a token ({', '.join(filter(None, (best, base)))})"


def _checkpoint(seen: Seen, now: float) -> str:
    if seen.checkpoint is None:
        return "none so far"
    name, then = seen.checkpoint
    return f"{name}, {clock(now - then)} ago"


def _bar(done: float, whole: float) -> ProgressBar:
    return ProgressBar(total=max(whole, 1e-9), completed=done, width=_BAR)


def _percent(done: float, whole: float) -> str:
    return f"{done / max(whole, 1e-9):4.0%}"


def clock(seconds: float | None) -> str:
    """Return a time as h:mm:ss, with days where there are any."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(int(max(0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"

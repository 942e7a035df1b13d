"""The top of the page: what became of each run, and what a reader has to know first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from medlora.report.loss_comparability import TRAINING
from medlora.report.markdown import number
from medlora.report.page.comparable_runs import HELD_OUT, OTHER_ROWS, apart, are_apart, sets_of
from medlora.report.page.run_facts import Run
from medlora.report.page.series import GIB, points_of
from medlora.report.page.table import Cell, Section, facts, say, verdict

_Places = tuple[tuple[str, tuple[str, ...]], ...]
_LOSSES = (
    ("held-out loss of the base", "base_eval_loss"),
    ("held-out loss with the adapter", "eval_loss"),
    ("lowest held-out loss", "best_eval_loss"),
    ("at step", "best_step"),
    ("training loss, last epoch", "train_loss"),
)
_EFFORT: _Places = (
    ("training rows", ("data", "rows", "train")),
    ("held-out rows", ("data", "rows", "eval")),
    ("optimizer steps", ("result", "steps")),
    ("skipped steps", ("result", "skipped_steps")),
    ("tokens seen", ("result", "tokens")),
    ("trained parameters", ("adapter", "trainable_parameters")),
    ("parameters of the base", ("base_model", "parameters")),
)


def overview(runs: Sequence[Run]) -> Section:
    """Return the table of what became of each run."""
    outcome = [
        ("status", [status(run) for run in runs]),
        ("gate", [verdict(run.verdict) for run in runs]),
        *_losses(runs),
        ("started", [_moment(run.fact("started")) for run in runs]),
        ("finished", [_moment(run.fact("finished")) for run in runs]),
    ]
    effort = [
        *_rows(runs, _EFFORT),
        ("training time", [_duration(run.fact("result", "wall_s")) for run in runs]),
        ("peak memory", [_peak(run) for run in runs]),
        ("computed on", [say(_device(run)) for run in runs]),
    ]
    labels = [run.label for run in runs]
    tables = [facts("Result", labels, outcome), facts("Cost", labels, effort)]
    notes = ["Losses are in nats a token; step 0 is the base model."]
    if are_apart(runs, HELD_OUT) or are_apart(runs, TRAINING):
        notes.append(
            f'Losses that are called "{OTHER_ROWS}" were measured on different rows or tokens: '
            "none of them is better or worse than another."
        )
    return Section("overview", "Overview", tables, notes)


def status(run: Run) -> Cell:
    """Return what became of a run, in a word or two."""
    match run.fact("kind"), run.fact("status"):
        case "run", "rejected":
            return Cell("rejected by its gate", "bad")
        case "run", _:
            return Cell("finished", "good")
        case _:
            return Cell(f"not finished, at step {run.fact('step')}", "unsure")


def headline(run: Run) -> str:
    """Return a run's outcome in a sentence."""
    base, own = run.fact("result", "base_eval_loss"), run.fact("result", "eval_loss")
    if base is None or own is None:
        return "No held-out loss was measured."
    change = own - base
    side = "lower" if change < 0 else "higher"
    return (
        f"Held-out loss {number(float(base))} before, {number(float(own))} after: "
        f"{number(abs(float(change)))} nats a token {side}."
    )


def warnings(run: Run, runs: Sequence[Run]) -> list[str]:
    """Return what a reader has to know before the numbers."""
    texts = [*run.subject.warnings] if run.fact("kind") == "run" else []
    texts += filter(None, [apart(run, runs)])
    if run.fact("kind") != "run":
        texts.append("This run has not finished: the numbers are those of its newest checkpoint.")
    return [*texts, *(text for what, say_it in _NOTES if (text := say_it(what(run))))]


_NOTES: tuple[tuple[Callable[[Run], Any], Callable[[Any], str]], ...] = (
    (
        lambda run: run.fact("result", "skipped_steps"),
        lambda count: f"{count} steps were not finite and were skipped." if count else "",
    ),
    (
        lambda run: run.fact("result", "ended_early"),
        lambda why: f"It ended before all its steps: {why}." if why else "",
    ),
    (
        lambda run: run.fact("result", "micro_batch_rows"),
        lambda rows: (
            f"Memory ran out on the way: micro-batches of at most {rows} rows since."
            if rows
            else ""
        ),
    ),
    (
        lambda run: run.fact("allowed_changes"),
        lambda names: f"Changed while it was interrupted: {', '.join(names)}." if names else "",
    ),
    (
        lambda run: run.fact("data", "privacy", "policy"),
        lambda policy: (
            "The data was not scanned for identifiers of people." if policy == "off" else ""
        ),
    ),
)


def _losses(runs: Sequence[Run]) -> Iterator[tuple[str, list[Cell]]]:
    """Yield each loss; where runs have it of different rows, its name and the sets say so."""
    for name, key in _LOSSES:
        sets = sets_of(runs, key) if key.endswith("_loss") else [None] * len(runs)
        title = f"{name} ({OTHER_ROWS})" if any(sets) else name
        yield title, [_loss(run, key, number) for run, number in zip(runs, sets, strict=True)]


def _loss(run: Run, key: str, number_of_set: int | None) -> Cell:
    cell = say(run.fact("result", key))
    if number_of_set is None or cell.tone == "absent":
        return cell
    return Cell(f"{cell.text} (set {number_of_set})", "unsure")


def _rows(runs: Sequence[Run], places: _Places) -> Iterator[tuple[str, list[Cell]]]:
    for name, place in places:
        yield name, [say(run.fact(*place)) for run in runs]


def _moment(stated: str | None) -> Cell:
    """Return the manifest's time as people write it."""
    return say(stated and stated.replace("T", " ").replace("+00:00", " UTC"))


def _duration(seconds: float | None) -> Cell:
    if seconds is None:
        return say(None)
    minutes, rest = divmod(float(seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = ((f"{hours} h", hours), (f"{minutes} min", hours or minutes))
    return Cell(" ".join([*(text for text, shown in parts if shown), f"{rest:.1f} s"]))


def _peak(run: Run) -> Cell:
    """Return the most memory that anything the run wrote down tells of, at its end included."""
    points = points_of(run.metrics)
    values = [point.value for name in _MEMORY for point in points.get(("train", name), ())]
    at_the_end = run.fact("result", "memory_peak_bytes")
    highest = max([*values, *([at_the_end] if at_the_end else [])], default=None)
    return say(None) if highest is None else Cell(f"{number(highest / GIB)} GiB")


_MEMORY = ("memory_bytes", "memory_peak_bytes")


def _device(run: Run) -> str | None:
    name = run.fact("hardware", "gpu") or run.fact("hardware", "cpu")
    return str(name) if name else None


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the tables of a run."""

    label: str
    status: Cell
    verdict: Cell
    headline: str
    warnings: Sequence[str]


def heads(runs: Sequence[Run]) -> list[Head]:
    """Return what stands above the tables, for each run."""
    return [
        Head(run.label, status(run), verdict(run.verdict), headline(run), warnings(run, runs))
        for run in runs
    ]

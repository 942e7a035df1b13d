"""What was measured, as ratios with their spread."""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.training.contestants import ANY_KERNEL, FLOOR, HF_BEST, PEERS, REFERENCE
from benchmarks.training.shapes import flops, shape_of

_DRAWS = 2000  # of the bootstrap
CLOCKS = ("wall_s", "cpu_s")


@dataclass(frozen=True, slots=True)
class Step:
    """One optimizer step."""

    round: int
    tokens: int  # useful ones; operations for the floor
    targets: int
    wall_s: float
    cpu_s: float
    loss: float | None


@dataclass(slots=True)
class Outcome:
    """All of one contestant."""

    note: str = ""
    first_step_s: list[float] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    loaded_bytes: int = 0
    peak_bytes: int = 0
    held_out: float | None = None
    failed: str | None = None


def ratio(ours: Sequence[Step], theirs: Sequence[Step], clock: str) -> dict[str, float] | None:
    """Return speed over speed in the rounds that both took: of the sums, with its 90 % interval.

    The interval is that of drawing the rounds anew, with replacement; `median` is that of the
    single rounds.  None without a common round.
    """
    by_round = {step.round: step for step in theirs}
    pairs = [(step, by_round[step.round]) for step in ours if step.round in by_round]
    if not pairs:
        return None
    draw = random.Random(1)  # noqa: S311  (no secret)
    drawn = sorted(_of_sums(draw.choices(pairs, k=len(pairs)), clock) for _ in range(_DRAWS))
    return {
        "ratio": _of_sums(pairs, clock),
        "low": drawn[int(0.05 * _DRAWS)],
        "high": drawn[int(0.95 * _DRAWS)],
        "median": statistics.median(_of_sums([pair], clock) for pair in pairs),
        "rounds": len(pairs),
    }


def _of_sums(pairs: Sequence[tuple[Step, Step]], clock: str) -> float:
    speeds = [
        sum(pair[side].tokens for pair in pairs) / sum(getattr(pair[side], clock) for pair in pairs)
        for side in (0, 1)
    ]
    return speeds[0] / speeds[1]


def summarise(
    outcomes: dict[str, Outcome], facts: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """Return everything that the JSON file holds; `result` is its last line on the screen."""
    ran = {name: one for name, one in outcomes.items() if not one.failed}
    contestants = {name: _one(name, one, outcomes, facts, options) for name, one in ran.items()}
    return {
        "result": _result(ran, outcomes, contestants),
        "contestants": contestants,
        "failed": {name: one.failed for name, one in outcomes.items() if one.failed},
        "workload": facts,
        "options": options,
    }


def _one(
    name: str,
    one: Outcome,
    outcomes: dict[str, Outcome],
    facts: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    reference, floor = outcomes[REFERENCE].steps, outcomes[FLOOR].steps
    sums = {key: sum(getattr(step, key) for step in one.steps) for key in ("tokens", *CLOCKS)}
    return {
        "note": one.note,
        "tokens_per_s": _over(sums["tokens"], sums["wall_s"]),
        "tokens_per_cpu_s": _over(sums["tokens"], sums["cpu_s"]),
        "vs_hf_seed": {clock: ratio(one.steps, reference, clock) for clock in CLOCKS},
        "floor_share": {
            clock: None if name == FLOOR else _floor_share(one.steps, floor, facts, options, clock)
            for clock in CLOCKS
        },
        "first_step_s": one.first_step_s,
        "loaded_bytes": one.loaded_bytes,
        "peak_bytes": one.peak_bytes,
        "held_out_loss": one.held_out,
        "steps": [
            [s.round, s.tokens, s.targets, round(s.wall_s, 4), round(s.cpu_s, 4), s.loss]
            for s in one.steps
        ],
    }


def _floor_share(
    steps: Sequence[Step],
    floor: Sequence[Step],
    facts: dict[str, Any],
    options: dict[str, Any],
    clock: str,
) -> float | None:
    """Return the time that the counted operations take at the product's rate, over the step's."""
    tokens, seconds = sum(s.tokens for s in steps), sum(getattr(s, clock) for s in steps)
    work, busy = sum(s.tokens for s in floor), sum(getattr(s, clock) for s in floor)
    if not seconds or not busy:
        return None
    needed = flops(
        shape_of(options["shape"], options["vocab"]),
        tokens=tokens,
        targets=sum(s.targets for s in steps),
        squares=tokens * facts["mean_square"] / facts["mean_length"],
    )
    return needed / (work / busy) / seconds


def _result(
    ran: dict[str, Outcome], outcomes: dict[str, Outcome], contestants: dict[str, Any]
) -> dict[str, Any]:
    def speed(name: str, clock: str = "wall_s") -> float:
        found = contestants[name]["vs_hf_seed"][clock]
        return found["ratio"] if found else 0.0

    def over(other: str | None, clock: str = "wall_s") -> float | None:
        return speed("ours", clock) / speed(other, clock) if "ours" in ran and other else None

    hf_best = max((name for name in HF_BEST if name in ran), key=speed, default=None)
    best = max((name for name in PEERS if name in ran), key=speed, default=None)
    ours, seed, nogc = (ran.get(name) for name in ("ours", REFERENCE, "hf_nogc"))
    without = [name for name in ran if ours and name.startswith("ours_")]
    any_kernel = contestants.get(ANY_KERNEL) if ours else None
    values: dict[str, Any] = {
        "vs_hf_seed": over(REFERENCE),
        "vs_hf_best": over(hf_best),
        "vs_best_peer": over(best),
        "peak_memory_vs_hf_nogc": _pair(ours, nogc, lambda one: one.peak_bytes),
        "heldout_delta": _delta(ours, seed),
        "floor_share": contestants["ours"]["floor_share"]["wall_s"] if ours else None,
        "first_step_s_ratio": _pair(ours, seed, lambda one: statistics.median(one.first_step_s)),
        "vs_hf_seed_cpu": over(REFERENCE, "cpu_s"),
        "vs_hf_best_cpu": over(hf_best, "cpu_s"),
        "vs_best_peer_cpu": over(best, "cpu_s"),
        "floor_share_cpu": contestants["ours"]["floor_share"]["cpu_s"] if ours else None,
        "deterministic_cost": speed(ANY_KERNEL) / speed("ours") if any_kernel else None,
    }
    result = {name: _short(value) for name, value in values.items()}
    result |= {"hf_best": hf_best, "best_peer": best}
    if without:
        result["without"] = {name: _short(speed(name) / speed("ours")) for name in without}
    missing = {name: one.failed for name, one in outcomes.items() if one.failed}
    absent = {name: "not taken part" for name in ("ours", *PEERS) if name not in outcomes}
    if missing or absent:
        result["not_measured"] = missing | absent
    return result


def _pair(
    ours: Outcome | None, theirs: Outcome | None, value: Callable[[Outcome], float]
) -> float | None:
    return _over(value(ours), value(theirs)) if ours and theirs else None


def _delta(ours: Outcome | None, theirs: Outcome | None) -> float | None:
    both = [one.held_out for one in (ours, theirs) if one and one.held_out is not None]
    return both[0] - both[1] if len(both) > 1 else None


def _over(one: float, other: float) -> float | None:
    return one / other if other else None


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

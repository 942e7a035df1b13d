"""`medlora check` beyond the data: model, adapter, memory, disk and folders, and a timed probe."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medlora.config import RunConfig
from medlora.data.batches import epoch_order
from medlora.data.micro_batches import fill_packs
from medlora.errors import ConfigError, MissingPartError, OutOfMemoryError
from medlora.inputs.prepare import Prepared
from medlora.jobs.checks.schema import MemoryFacts, Probe
from medlora.logs import logger
from medlora.plan.device import device_type, this_device
from medlora.plan.memory_forecast import Forecast, Known
from medlora.plan.resolve_run import Plan
from medlora.runtime.memory import container_limit
from medlora.train.memory_estimate import Footprint
from medlora.trainer.auto_batch_size import AUTO, choose_rows, with_rows
from medlora.trainer.loaders import EVAL_BATCHES

_log = logger(__name__)
_GIB = 1 << 30
_MOST_STEPS = 2000  # that are laid out to find the largest micro-batch
_MOST_ROWS = 4096  # nobody wants more in a micro-batch
_FIRST = 2048  # positions that are tried first
_ROOM, _AROUND = 4, 2 * _GIB  # weights in another precision with what computes; a process's own


def settled(plan: Plan, *, workers: int) -> Plan:
    """Return the plan with what `auto` would become here."""
    if plan.resolved.config.training.per_device_train_batch_size != AUTO:
        return plan
    rows, why = choose_rows(plan, this_device(), workers=workers)
    return with_rows(plan, rows, why=why)


def look_at_memory(forecast: Forecast, *, prepared: Prepared | None) -> MemoryFacts:
    """Return the predicted memory of a run as JSON values.

    Args:
        forecast: of a config with a number for the rows of a micro-batch.
        prepared: the rows, where they are known.

    Raises:
        CannotTellError: it cannot be told from shapes.
    """
    device, cfg = forecast.device, forecast.cfg
    training = cfg.training
    rows, parts = training.micro_batch_rows, training.gradient_accumulation_steps
    known = known_packs(prepared, cfg, limit=forecast.length) if prepared else Known()
    footprint = forecast.footprint(rows, parts, known=known)
    return {
        "device": {
            "kind": device.kind,
            "memory": device.memory,
            "bf16": device.bf16,
            "name": device.name,
        },
        "capacity_bytes": forecast.capacity,
        "peak_bytes": footprint.peak,
        "parts": _parts_of(footprint),
        "recomputed": footprint.recomputed,
        "rows": rows,
        "micro_batches": parts,
        "positions": known.training or rows * forecast.length,
        "fits": footprint.peak <= forecast.capacity,
        "largest_rows": most_rows(forecast, parts),
        "trainable_parameters": forecast.trainable,
    }


def _parts_of(footprint: Footprint) -> dict[str, int]:
    """Return the bytes of each part by its name."""
    return {name: size for name, size in asdict(footprint).items() if name != "recomputed"}


def most_rows(forecast: Forecast, parts: int) -> int | None:
    """Return the most rows of full length that fit into a micro-batch; None if not one does."""

    def fits(rows: int) -> bool:
        return forecast.footprint(rows, parts).peak <= forecast.capacity

    good, bad = 0, max(1, _FIRST // forecast.length)
    while bad <= _MOST_ROWS and fits(bad):
        good, bad = bad, 2 * bad
    if bad > _MOST_ROWS:
        return good
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good or None


def known_packs(prepared: Prepared, cfg: RunConfig, *, limit: int) -> Known:
    """Return the positions of the largest packs, of the first 2,000 steps at most.

    The order of rows is a pure function of the seed, so that these are the run's own steps.
    """
    training = cfg.training
    if training.packing is False:
        return Known()
    lengths = prepared.train.lengths
    order = epoch_order(len(lengths), seed=training.seed, epoch=0)[
        : _MOST_STEPS * training.step_rows
    ]
    steps = _parts(lengths[order].tolist(), training.step_rows)
    held = np.sort(prepared.evaluation.lengths)[::-1].tolist()
    batch = training.per_device_eval_batch_size
    return Known(
        training=_largest_pack(steps, capacity=training.micro_batch_rows * limit),
        evaluation=_largest_pack(_parts(held, batch * EVAL_BATCHES), capacity=batch * limit),
    )


def _parts(lengths: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(lengths), size):
        yield lengths[start : start + size]


def _largest_pack(steps: Iterable[list[int]], *, capacity: int) -> int:
    """Return the positions of the fullest pack of some steps, 0 for none."""
    loads = (
        sum(lengths[index] for index in pack)
        for lengths in steps
        for pack in fill_packs(lengths, capacity)
    )
    return max(loads, default=0)


def refuse_too_small(memory: MemoryFacts) -> None:
    """Refuse a device that holds not even one row.

    Raises:
        OutOfMemoryError: names what is needed.
    """
    if memory["largest_rows"] is None:
        raise OutOfMemoryError(
            f"a single row does not fit: {memory['device']['name']} has "
            f"{memory['device']['memory'] / _GIB:.1f} GiB",
            fix="shorten data.max_length, set training.gradient_checkpointing: true or "
            "model.load_in_4bit: true, or use a device with more memory",
        )


def foresee(base: Path, cfg: RunConfig, *, prepared: Prepared) -> None:
    """Refuse, or warn of, a run that this machine or its container has too little memory for.

    On a CPU alone, and where the limit may be near: there the system kills who meets it, without
    a word; on a GPU the run helps itself.

    Raises:
        OutOfMemoryError: a single row does not fit.
    """
    if device_type() != "cpu" or not _may_be_near(base):
        return
    try:
        memory = look_at_memory(Forecast(base, cfg, this_device()), prepared=prepared)
    except (ConfigError, MissingPartError):  # whoever loads the base says it better
        return
    refuse_too_small(memory)
    for line in memory_warnings(memory):
        _log.warning("%s", line)


def _may_be_near(base: Path) -> bool:
    """Tell whether there is a limit of memory, or weights that nearly fill the machine's."""
    weights = sum(file.stat().st_size for file in base.glob("*.safetensors"))
    return container_limit() is not None or _ROOM * weights + _AROUND > this_device().memory


def memory_warnings(memory: MemoryFacts) -> Iterator[str]:
    """Yield what may go wrong with memory, in words."""
    if memory["fits"] or not memory["largest_rows"]:
        return
    needed, usable = memory["peak_bytes"] / _GIB, memory["capacity_bytes"] / _GIB
    end = "fall back to smaller ones"
    if memory["device"]["kind"] == "cpu":
        end = "be killed by the system (137)"
    yield (
        f"micro-batches of {memory['rows']} rows need {needed:.1f} GiB, and {usable:.1f} GiB can "
        f"be used: the run would {end}; set training.per_device_train_batch_size to auto, or to "
        f"at most {memory['largest_rows']}"
    )


def memory_lines(memory: MemoryFacts) -> Iterator[str]:
    """Yield the same for people."""
    parts, device = memory["parts"], memory["device"]
    yield (
        f"memory: a peak of at most {_size(memory['peak_bytes'])} is predicted, of "
        f"{_size(device['memory'])} on {device['name']}"
    )
    named = (f"{name} {_size(size)}" for name, size in parts.items())
    yield f"  {', '.join(named)}"
    kept = "are recomputed" if memory["recomputed"] else "are kept"
    yield (
        f"  a micro-batch has {memory['rows']} rows, at most {memory['positions']:,} positions; "
        f"activations {kept}; up to {memory['largest_rows'] or 0:,} rows would fit"
    )


def probe_lines(probe: Probe) -> Iterator[str]:
    """Yield what a few steps took, for people."""
    yield (
        f"time: about {duration(probe['expected_s'])} for {probe['steps']:,} steps and "
        f"{probe['evaluations']} evaluations, measured on {probe['probed_steps']} steps of "
        f"{probe['step_s']:.2f} s ({probe['tokens_per_s']:,.0f} tokens/s)"
    )
    if probe.get("peak_bytes") and "predicted_bytes" in probe:
        error = probe["predicted_bytes"] / probe["peak_bytes"] - 1
        yield (
            f"  these steps took {_size(probe['peak_bytes'])} of memory; "
            f"{_size(probe['predicted_bytes'])} was predicted ({error:+.0%})"
        )


def can_be_timed(cfg: RunConfig, *, wanted: bool | None) -> bool:
    """Tell whether a few steps are taken: where somebody wants it, else on a GPU."""
    training, private = cfg.training, cfg.is_private
    # What is spread over several devices is not tried on one; what is compiled takes minutes.
    plain = training.engine == "medlora" and training.sharding == "none"
    possible = plain and not private and not training.torch_compile
    return possible and (device_type() == "cuda" if wanted is None else wanted)


def can_be_loaded(
    forecast: Forecast, memory: MemoryFacts | None, *, workers: int, wanted: bool | None
) -> bool:
    """Tell whether the base is loaded and asked what a run asks it before its first step.

    Args:
        forecast: of the run.
        memory: what `look_at_memory` predicts, None where it cannot.
        workers: that share a step.
        wanted: whether somebody wants it or not, None where nobody has said.
    """
    spread = forecast.cfg.training.sharding == "full" and workers > 1  # not tried on one device
    fits = memory["fits"] if memory else 2 * forecast.weights <= forecast.capacity
    return wanted is not False and fits and not spread


def predicted_of_steps(memory: MemoryFacts) -> int:
    """Return what was predicted of what a probe measures: on a CPU, what steps add alone."""
    parts = memory["parts"]
    added = int(parts["gradients"] + parts["training"] + parts["optimizer"])
    on_gpu = memory["device"]["kind"] == "cuda"
    return added + int(parts["weights"] + parts["adapter"]) if on_gpu else added


def duration(seconds: float) -> str:
    """Return a time in the two units that matter: `3 h 20 min`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    whole = max(1, math.ceil(seconds))
    for (name, size), (less, small) in zip(units, (*units[1:], ("s", 1)), strict=True):
        if whole >= size:
            rest = whole % size // small if size > 1 else 0
            return f"{whole // size} {name}" + (f" {rest} {less}" if rest else "")
    return "1 s"


def _size(size: float) -> str:
    return f"{size / _GIB:.2f} GiB" if size >= _GIB / 10 else f"{size / 2**20:.0f} MiB"

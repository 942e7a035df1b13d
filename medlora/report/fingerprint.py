"""What decides an adapter: config, data, base model; and how two runs differ in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.config import Resolved

# Keys that say where, and how often to look; the rest changes the mathematics, or the bits.
_NOT_MATHEMATICS = (
    "run_name",
    "training.output_dir",
    "training.final_dir",
    "training.overwrite_final_dir",
    "training.keep_old_runs",
    "training.logging_dir",
    "training.logging_steps",
    "training.generation_steps",
    "training.generation_prompts",
    "training.save_steps",
    "training.save_epochs",
    "training.save_total_limit",
    "training.report_to",
    "training.dataloader_pin_memory",
    "training.per_device_eval_batch_size",
    "model.base_model_name",
    "data.path",
    "data.cache_dir",
    "data.train_file",
    "data.eval_file",
    "data.leakage",
    "data.encoding",  # stands in data.*.read_as where it is not the usual one
    "data.chat_template",  # its content counts
)
_VERDICT = "gate."  # decides what an adapter may be called, not what it is


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a run as its manifests state them."""

    base: Path
    facts: dict[str, Any]


def fingerprint(
    resolved: Resolved, *, data: dict[str, str], base: dict[str, str]
) -> dict[str, Any]:
    """Return {name: value} of all that decides the adapter.

    Args:
        resolved: the run config; keys that change nothing in the adapter are left out.
        data: {split: SHA-256 of its file}.
        base: {file: SHA-256} of the base model.
    """
    config = {
        key: value
        for key, value, _ in resolved.rows()
        if key not in _NOT_MATHEMATICS and not key.startswith(_VERDICT)
    }
    files = {f"data.{split}": digest for split, digest in data.items()}
    return {**config, **files, **{f"base.{name}": digest for name, digest in base.items()}}


def changed_names(
    then: dict[str, Any], now: dict[str, Any], *, ignore: tuple[str, ...] = ()
) -> list[str]:
    """Return the names that differ, sorted.

    Args:
        then: a fingerprint, as a manifest states it.
        now: the present one.
        ignore: names that may differ; `data` or `base` stands for all names below it.
    """
    ignored = tuple(f"{name}." for name in ignore)
    return [
        name
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name) and not f"{name}.".startswith(ignored)
    ]


def differences(
    then: dict[str, Any], now: dict[str, Any], *, ignore: tuple[str, ...] = ()
) -> list[str]:
    """Return a line for each of the `changed_names`, with both values."""
    return [
        f"{name}: {_shown(then.get(name))} then, {_shown(now.get(name))} now"
        for name in changed_names(then, now, ignore=ignore)
    ]


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    is_digest = len(text) == 64 and text.isalnum()  # noqa: PLR2004  (SHA-256 in hexadecimal)
    return f"SHA-256 {text[:12]}..." if is_digest else text

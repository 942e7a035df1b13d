"""What the torture scripts share: a small real run, attempts in forked processes, outcomes.

The parent imports torch once; each attempt is a fork of it that runs the command line as a user
would, so an attempt costs tenths of a second and can be killed for real.
"""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

# Before torch is imported: a forked process must not inherit threads.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's choice is inherited

# The variants in turn: packed, grouped by length, as the rows come with recomputation.
VARIANTS = (
    {
        "training.packing": "true",
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 4,
        "data.max_length": 64,  # so that a step has several packs
    },
    {
        "training.packing": "false",
        "training.group_by_length": "true",
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 4,
    },
    {
        "training.packing": "false",
        "training.group_by_length": "false",
        "training.per_device_train_batch_size": 1,
        "training.gradient_accumulation_steps": 4,
        "training.gradient_checkpointing": "true",
    },
)
_COMMON = {
    "training.num_train_epochs": 3,
    "training.warmup_steps": 2,
    "training.learning_rate": 5e-3,
    "training.gradient_checkpointing": "false",
    "training.logging_steps": 1,
    "training.eval_steps": 4,
    "training.save_steps": 2,
    "lora.r": 8,
    "lora.lora_dropout": 0.1,
    "data.eval_fraction": 0.2,
}
_ROWS = 20


def warm_up() -> None:
    """Import what every attempt needs, once."""
    import medlora.jobs.train  # noqa: F401


@dataclass
class Arena:
    """A folder with data and runs."""

    root: Path
    attempts: int = 0
    logs: dict[int, Path] = field(default_factory=dict)  # by process

    def command(self, name: str, variant: int, *more: str) -> list[str]:
        """The command line of a run."""
        package = Path(str(files("medlora")))
        values = {**_COMMON, **VARIANTS[variant % len(VARIANTS)], "run_name": name}
        return [
            "train",
            *("--config", "recommended"),
            *("--data", str(self.root / "train.jsonl")),
            *("--model", str(package / "demo/base")),
            *("--checkpoints", str(self.root / "out")),
            *(part for key, value in values.items() for part in ("--set", f"{key}={value}")),
            *more,
        ]

    def start(self, arguments: list[str], prepare: Callable[[], None] = lambda: None) -> int:
        """Start an attempt in a forked process and return its process id."""
        self.attempts += 1
        log = self.root / f"log-{self.attempts}"
        log.touch()  # the child may be killed before it gets there
        sys.stdout.flush()  # or the child would have it in its log as well
        process = os.fork()
        if process:
            self.logs[process] = log
            return process
        code = 70
        try:
            with log.open("w") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            prepare()
            from medlora import cli

            sys.argv = ["medlora", *arguments]
            cli.main(guarded=False)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 70
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def finish(self, process: int) -> tuple[int, str]:
        """Wait for an attempt; return its exit code (negative: the signal) and its output."""
        _, status = os.waitpid(process, 0)
        text = self.logs.pop(process).read_text(errors="replace")
        return os.waitstatus_to_exitcode(status), text

    def run(
        self, arguments: list[str], prepare: Callable[[], None] = lambda: None
    ) -> tuple[int, str]:
        """Start an attempt and wait for it."""
        return self.finish(self.start(arguments, prepare))

    def outcome(self, name: str) -> tuple[str, list[dict[str, object]]]:
        """What must not depend on interruptions: adapter digest and metrics, clocks aside."""
        from medlora.files import sha256_file
        from medlora.report.metrics_jsonl import MEASURED

        run = self.root / "out" / name
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        metrics = [{k: v for k, v in record.items() if k not in MEASURED} for record in records]
        return sha256_file(run / "final/adapter_model.safetensors"), metrics

    def forget(self, name: str) -> None:
        """Delete a run."""
        shutil.rmtree(self.root / "out" / name, ignore_errors=True)  # it may not have come so far
        self.forget_caches()

    def forget_caches(self) -> None:
        """Delete tokens, audits and scans, so that the next attempt makes as many calls."""
        for cache in (self.root / "out").glob(".*/"):
            shutil.rmtree(cache)


def at_call(owner: str, path: str, call: int, do: Callable[[], None]) -> None:
    """Have this process do something right before the n-th call of a function.

    Args:
        owner: the module that calls it by a name of its own.
        path: the name there, of an attribute's attribute with dots.
        call: counted from 1.
        do: what is done.
    """
    place: object = importlib.import_module(owner)
    *parents, name = path.split(".")
    for parent in parents:
        place = getattr(place, parent)
    original: Callable[..., object] = getattr(place, name)
    calls: list[int] = []

    def wrapped(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == call:
            do()
        return original(*arguments, **named)

    setattr(place, name, wrapped)


def die() -> None:
    """End this process as SIGKILL does."""
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Have a tmpfs of so many bytes at a folder for the time of the block; tell if there is one."""
    name = ["-t", "tmpfs", "-o", f"size={size},mode=0770", "medlora-torture", str(folder)]
    possible = os.geteuid() == 0
    mounted = possible and not subprocess.run(["mount", *name], check=False).returncode
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> bool:
    """Change a mount's options; tell whether the kernel took them."""
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    return not subprocess.run(command, check=False, capture_output=True).returncode


def is_clean(text: str) -> bool:
    """Tell whether there is no traceback in what was printed."""
    return "Traceback" not in text and 'File "' not in text


@contextmanager
def arena() -> Iterator[Arena]:
    """Make a folder with some rows of the demo's data; it goes at the end."""
    with tempfile.TemporaryDirectory(prefix="medlora-torture-") as folder:
        rows = (Path(str(files("medlora"))) / "demo/data/train.jsonl").read_text().splitlines()
        (Path(folder) / "train.jsonl").write_text("".join(f"{row}\n" for row in rows[:_ROWS]))
        yield Arena(Path(folder))

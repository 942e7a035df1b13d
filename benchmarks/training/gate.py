"""Where a contestant's loop waits for its turn, and what it used since: wall, CPU, memory."""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor


class Over(BaseException):
    """Leaves a contestant's loop; no handler for errors catches it."""


def open_pipe() -> TextIO:
    """Return what was standard output; from now on prints of the libraries go to the log."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "w", buffering=1)


class Gate:
    """Called between steps: reports the one that ended, waits for leave to do the next."""

    def __init__(self, pipe: TextIO, *, device: str, started: float) -> None:
        self._pipe, self._device, self._started = pipe, device, started
        self._counted: list[tuple[Any, Any]] = []
        self._losses: list[Any] = []
        self._running = False
        self._wall = self._cpu = 0.0

    def say(self, event: str, **facts: Any) -> None:  # noqa: ANN401
        """Write one line to the coordinator."""
        self._pipe.write(json.dumps({"event": event, **facts}) + "\n")

    def count(self, tokens: Tensor | int, targets: Tensor | int) -> None:
        """Note a micro-batch's useful tokens; tensors are read when the step is over."""
        self._counted.append((tokens, targets))

    def loss(self, value: Tensor | float) -> None:
        """Note a share of the step's loss in nats a target."""
        self._losses.append(value)

    def __call__(self) -> None:
        """Report, then wait.

        Raises:
            Over: the coordinator has seen enough.
        """
        self._settle()
        if self._running:
            self._report()
        else:
            self.say("ready", seconds=time.time() - self._started, bytes=memory_now(self._device))
            reset_peak(self._device)
        self._running = True
        if sys.stdin.readline().strip() != "step":
            raise Over
        self._counted, self._losses = [], []
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def _settle(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()

    def _report(self) -> None:
        wall, cpu = time.perf_counter() - self._wall, cpu_seconds() - self._cpu
        self.say(
            "step",
            wall_s=wall,
            cpu_s=cpu,
            since_start_s=time.time() - self._started,
            tokens=sum(int(tokens) for tokens, _ in self._counted),
            targets=sum(int(targets) for _, targets in self._counted),
            loss=sum(float(loss) for loss in self._losses) if self._losses else None,
        )


def cpu_seconds() -> float:
    """Return what all threads of this process have computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def memory_now(device: str) -> int:
    """Return the bytes in use: of the GPU by torch, or resident."""
    return torch.cuda.memory_allocated() if device == "cuda" else _status("VmRSS")


def memory_peak(device: str) -> int:
    """Return the most bytes since `reset_peak`; not ru_maxrss, which a parent's may have raised."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status("VmHWM")


def reset_peak(device: str) -> None:
    """Forget the peak of loading."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

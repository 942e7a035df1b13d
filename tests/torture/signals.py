"""SIGTERM at every named point and while loading: how long until the end, and what is lost.

    python tests/torture/signals.py --loads 40 --seed 1

Points: a forked attempt signals itself there, must end with 143 (0 where nothing was left to
do) and, started again, with the bits of a run that was left alone.  Loading: a fresh process is
signalled at a drawn instant between taking over signals and its first step, and must end with
143 within a second.  `--every n` takes every n-th point only.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from harness import Arena, arena, at_call, warm_up

# Name -> module, function, which call of it.
POINTS = {
    "inputs are found": ("medlora.trainer.attempt", "find_inputs", 1),
    "rows become tokens": ("medlora.jobs.train", "tokenize_files", 1),
    "inputs are hashed": ("medlora.trainer.attempt", "describe", 1),
    "base is loaded": ("medlora.trainer.build", "load_base", 1),
    "adapter is attached": ("medlora.trainer.build", "attach", 1),
    "base evaluation": ("medlora.evaluate.loss", "_nats_that_fit", 1),
    "base is asked": ("medlora.evaluate.generate", "encode_prompt", 10),
    "first micro-batch": ("medlora.train.loop", "seed_micro_batch", 1),
    "between micro-batches": ("medlora.train.loop", "seed_micro_batch", 6),
    "last micro-batch": ("medlora.train.loop", "seed_micro_batch", 8),
    "before the weights change": ("medlora.train.loop", "_clip", 3),
    "second epoch": ("medlora.train.loop", "seed_micro_batch", 18),
    "evaluation begins": ("medlora.trainer.medical_lora_trainer", "held_out_loss", 2),
    "in an evaluation": ("medlora.evaluate.loss", "_nats_that_fit", 2),
    "in an answer": ("medlora.evaluate.generate", "encode_prompt", 14),
    "metrics": ("medlora.files", "disk.append", 3),
    "best model is written": ("medlora.files", "disk.create", 6),
    "checkpoint begins": ("medlora.trainer.run_checkpoints", "Commits.save", 1),
    "checkpoint is written": ("medlora.runs.folder_contents", "write_checkpoint", 2),
    "pruning": ("medlora.runs.folder_contents", "prune", 1),
    "curves are drawn": ("medlora.report.metrics_recorder", "draw", 1),
    "result is written": ("medlora.trainer.medical_lora_trainer", "MedicalLoRATrainer.save", 1),
}
_AFTER_TRAINING = ("curves are drawn", "result is written")
_LOAD_LIMIT_S = 1.0
_ASK = ("--set", "training.generation_steps=4")
_VARIANT = 2  # four micro-batches in each step, to be signalled between


def main() -> int:
    """Return 0 where every signal ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--loads", type=int, default=40, help="signals while loading")
    options.add_argument("--every", type=int, default=1, help="take every n-th point only")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        bad = _points(place, list(POINTS)[:: chosen.every])
        bad += _loads(place, chosen.loads, random.Random(chosen.seed))
    return int(bool(bad))


def _points(place: Arena, names: list[str]) -> int:
    """Signal at each point; return how many went wrong."""
    code, text = place.run(place.command("straight", _VARIANT, *_ASK))
    if code != 0:
        print(f"the run that was left alone ended with {code}:\n{text}")
        return 1
    expected, taken, bad = place.outcome("straight"), {}, 0
    for name in names:
        sent = place.root / "sent"
        command = place.command("cut", _VARIANT, *_ASK)
        code, text = place.run(command, partial(_signal_at, *POINTS[name], sent))
        now = time.monotonic_ns()
        if not sent.exists():
            print(f"{name:28} was never reached; exit {code}:\n{text}")
            return 1
        taken[name] = (now - int(sent.read_text())) / 1e9
        problem = _problem(place, name, code, text, expected)
        print(f"{name:28} {taken[name]:7.3f} s  exit {code:3}  {problem or 'same outcome'}")
        bad += bool(problem)
        place.forget("cut")
        sent.unlink()
    slowest = max(taken, key=lambda name: taken[name])
    print(
        f"{len(names)} points: {bad} bad, median {statistics.median(taken.values()):.3f} s, "
        f"slowest {taken[slowest]:.3f} s ({slowest})"
    )
    return bad


def _problem(place: Arena, name: str, code: int, text: str, expected: object) -> str:
    wanted = 0 if name in _AFTER_TRAINING else 143
    if code != wanted or 'File "' in text:
        return f"instead of exit {wanted} and no traceback:\n{text}"
    code, text = place.run(place.command("cut", _VARIANT, *_ASK))
    if code != 0:
        return f"started again, it ended with {code}:\n{text}"
    return "" if place.outcome("cut") == expected else "another outcome"


def _signal_at(module: str, path: str, call: int, sent: Path) -> None:
    """Have this process signal itself at the n-th call of a function, noting when."""

    def send() -> None:
        sent.write_text(str(time.monotonic_ns()))
        os.kill(os.getpid(), signal.SIGTERM)

    at_call(module, path, call, send)


def _loads(place: Arena, count: int, draw: random.Random) -> int:
    """Signal fresh processes while they load; return how many went wrong."""
    if not count:
        return 0
    log = place.root / "load"
    _load_once(place, log, None)  # brings files into memory: the second is like the others
    seconds, handler = _load_once(place, log, None)
    print(f"signals are taken over {handler:.3f} s after the start, loading takes {seconds:.3f} s")
    taken: list[tuple[float, str]] = []
    bad = 0
    for number in range(count):
        # One in each slice of the time, so that a few cover it all.
        delay = (number + draw.random()) / count * seconds
        took, code = _load_once(place, log, delay)
        text = log.read_text(errors="replace")
        said = [line for line in text.splitlines() if not line.startswith(("stopped", "  fix"))]
        where = f"{delay:.2f} s in, after: {said[-1][:60] if said else 'nothing'}"
        loading = "step 1/" not in text  # the process may have been quicker than the second
        if loading:
            taken.append((took, where))
        late = loading and took > _LOAD_LIMIT_S
        if code != (0 if "finished: " in text else 143) or late:
            bad += 1
            print(f"signal {where}: exit {code} after {took:.3f} s")
        if 'File "' in text:
            bad += 1
            print(f"signal {where}: a traceback\n{text}")
    worst, where = max(taken, default=(0.0, "nowhere"))
    median = statistics.median([took for took, _ in taken] or [0.0])
    print(
        f"{len(taken)} signals while loading: median {median:.3f} s, slowest {worst:.3f} s "
        f"({where}); {count - len(taken)} when it was training; {bad} bad"
    )
    return bad


def _load_once(place: Arena, log: Path, delay: float | None) -> tuple[float, float]:
    """Start a fresh process and signal it `delay` seconds after it took over signals.

    Returns:
        Seconds from the signal to the end, and the exit code; without a delay, the seconds
        that loading takes, and those until signals are taken over.
    """
    command = [sys.executable, "-m", "medlora", *place.command("load", _VARIANT, *_ASK)]
    shutil.rmtree(place.root / "out", ignore_errors=True)
    with log.open("w") as stream:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    while not _takes_sigterm(process.pid):
        time.sleep(0.001)
    handler = time.monotonic()
    if delay is None:
        while "held-out loss" not in log.read_text(errors="replace"):
            time.sleep(0.005)
        loaded = time.monotonic()
        process.kill()
        process.wait()
        return loaded - handler, handler - began
    time.sleep(delay)
    sent = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait()
    return time.monotonic() - sent, process.returncode


def _takes_sigterm(process: int) -> bool:
    """Tell whether a process has a handler for SIGTERM.  Source: proc(5), SigCgt."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


if __name__ == "__main__":
    sys.exit(main())

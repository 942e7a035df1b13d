"""Two workers under every signal, sent to their launcher, one of them or all, at random instants.

    python tests/torture/pair.py --rounds 2 --seed 1

Each signal that a platform, a terminal or an operator may send: to the launcher, to one process
that it started, to the launcher's process group, as a terminal does, or to the launcher and all
that it started at once, as service managers and schedulers do.  What stops must end with 143 (of
a kill: its code, or the machine's), without a traceback, and leave no process behind after a few
seconds; what does not (SIGUSR1 asks for a checkpoint, SIGSTOP and SIGCONT pause) must not end it.
Started again, the run must end with the bits of one worker that nobody disturbed.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable

import psutil
from harness import Arena, arena, is_clean, warm_up

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGSTOP,
    signal.SIGKILL,
    signal.SIGABRT,
)
TARGETS = ("launcher", "worker", "group", "everybody")
_STOPPED = 143
_GENTLE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_NOT_ENDING = (signal.SIGUSR1, signal.SIGSTOP)
_LEFT_S = 30  # seconds, after which nobody may be left
_MORE = ("--set", "training.num_train_epochs=12")
_VARIANT = 0


def main() -> int:
    """Return 0 where every signal ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=2, help="of every signal and target")
    options.add_argument("--signals", type=int, default=len(SIGNALS), help="the first n of them")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        return _torture(place, random.Random(chosen.seed), SIGNALS[: chosen.signals], chosen.rounds)


def _torture(
    place: Arena, draw: random.Random, signals: tuple[signal.Signals, ...], rounds: int
) -> int:
    code, text = place.run(place.command("straight", _VARIANT, *_MORE), _workers(1))
    if code != 0:
        print(f"the run that was left alone ended with {code}:\n{text}")
        return 1
    expected, seconds = place.outcome("straight"), _seconds(place)
    sent = bad = 0
    slowest = 0.0
    for one in signals * rounds:
        for target in TARGETS:
            delay = draw.uniform(0.2, 0.95) * seconds
            code, text, left_s = _attempt(place, one, target, delay, draw)
            problem = _problem(one, target, code, text)
            if left_s > _LEFT_S:
                problem = problem or f"processes were left after {left_s:.0f} s"
            if not problem:
                code, text = place.run(place.command("cut", _VARIANT, *_MORE), _workers(2))
                same = code == 0 and place.outcome("cut") == expected
                problem = "" if same else f"started again, exit {code} or another outcome:\n{text}"
            sent, bad, slowest = sent + 1, bad + bool(problem), max(slowest, left_s)
            where = f"{one.name} to the {target} at {delay:.1f} s"
            print(f"{where}: {problem or f'nobody left after {left_s:.1f} s, same outcome'}")
            place.forget("cut")
    print(f"{sent} signals to two workers: {bad} bad; the last process left after {slowest:.1f} s")
    return int(bool(bad))


def _attempt(
    place: Arena, one: signal.Signals, target: str, delay: float, draw: random.Random
) -> tuple[int, str, float]:
    """Run once and signal somebody; return exit code, output, and the seconds until all had left.

    Counted from the end of the launcher, for whoever waits for it takes its end for that of all.
    """
    process = place.start(place.command("cut", _VARIANT, *_MORE), _workers(2))
    time.sleep(delay)
    launcher = psutil.Process(process)
    family = launcher.children(recursive=True)
    victims = {
        "launcher": [launcher],
        "worker": [draw.choice(family)] if family else [launcher],
        "group": [other for other in (launcher, *family) if _is_led_by(process, other)],
        "everybody": [launcher, *family],
    }[target]
    for sent in (signal.SIGSTOP, signal.SIGCONT) if one == signal.SIGSTOP else (one,):
        for victim in victims:
            _send(victim, sent)
        if sent == signal.SIGSTOP:
            time.sleep(1.0)
    code, text = place.finish(process)
    _, alive = psutil.wait_procs(family, timeout=0)
    began = time.monotonic()
    _, alive = psutil.wait_procs(alive, timeout=_LEFT_S + 1)
    left_s = time.monotonic() - began
    for other in alive:
        _send(other, signal.SIGKILL)
    return code, text, left_s


def _is_led_by(leader: int, process: psutil.Process) -> bool:
    """Tell whether a process is in the group of this leader."""
    try:
        return os.getpgid(process.pid) == leader
    except ProcessLookupError:
        return False


def _send(process: psutil.Process, one: signal.Signals) -> None:
    try:
        process.send_signal(one)
    except psutil.NoSuchProcess:
        return


def _problem(one: signal.Signals, target: str, code: int, text: str) -> str:
    """Return what was wrong with how an attempt ended, or nothing; it may have been done before."""
    wanted = {0}
    if one in _GENTLE:
        wanted |= {_STOPPED}
    elif one not in _NOT_ENDING:  # ended by the system, or stopped because a worker is gone
        wanted |= {-one, 128 + one, _STOPPED}
    if code in wanted and is_clean(text):
        return ""
    return f"exit {code} after a signal to the {target}:\n{text}"


def _workers(count: int) -> Callable[[], None]:
    def prepare() -> None:
        os.setpgid(0, 0)  # a group of its own, as a shell gives it
        os.environ["MEDLORA_NPROC"] = str(count)

    return prepare


def _seconds(place: Arena) -> float:
    began = time.monotonic()
    code, text = place.run(place.command("clock", _VARIANT, *_MORE), _workers(2))
    if code != 0:
        raise SystemExit(f"two workers ended with {code}:\n{text}")
    place.forget("clock")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())

"""Workers killed at random, and another number of them each time: the bits of one left alone.

    python tests/torture/elastic.py --kills 20 --seed 1

Each attempt has 1, 2 or 4 workers.  Killed is one of them, or all with their launcher, as when a
machine dies; the next attempt goes on with another number.  The expected outcome is that of one
worker that nobody disturbed.
"""

import argparse
import os
import random
import signal
import sys
import time
from functools import partial

import psutil
from harness import VARIANTS, Arena, arena, warm_up

_WORKERS = (1, 2, 4)
_MOST_ATTEMPTS = 30  # of one run; the last of them is left alone, and must end
# A worker was killed: its own code, its peers' where they were seen first, or the machine's end.
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL, 128 + signal.SIGTERM)
_MORE_STEPS = ("--set", "training.num_train_epochs=12")


def main() -> int:
    """Return 0 where nothing differed and nothing was stuck."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        return _torture(place, random.Random(chosen.seed), chosen.kills)


def _torture(place: Arena, draw: random.Random, wanted: int) -> int:
    expected = []
    for variant in range(len(VARIANTS)):
        code, text = place.run(_command(place, f"straight-{variant}", variant), _with_workers(1))
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        expected.append(place.outcome(f"straight-{variant}"))
    seconds = {count: _seconds(place, count) for count in _WORKERS}
    kills, changes, runs, bad = 0, 0, 0, 0
    while kills < wanted:
        variant, name, before = runs % len(VARIANTS), f"cut-{runs}", 0
        for attempt in range(_MOST_ATTEMPTS):
            workers = draw.choice([count for count in _WORKERS if count != before])
            changes += bool(before)
            before = workers
            alone = kills >= wanted or attempt == _MOST_ATTEMPTS - 1
            delay = None if alone else draw.uniform(0.3, 1.0) * seconds[workers]
            code, text, killed = _attempt(place, name, variant, draw, workers, delay)
            kills += killed
            if not (killed and code in _KILLED):
                break
        runs += 1
        if code != 0:
            bad += 1
            print(f"{name}: with {workers} workers, attempt {attempt + 1} ended {code}:\n{text}")
        elif place.outcome(name) != expected[variant]:
            bad += 1
            print(f"{name}: another outcome after {attempt} kills")
        place.forget(name)
    print(f"{kills} kills in {runs} runs, {changes} changes of the workers' number: {bad} bad")
    return int(bool(bad))


def _command(place: Arena, name: str, variant: int) -> list[str]:
    return place.command(name, variant, *_MORE_STEPS)


def _with_workers(count: int) -> partial[None]:
    return partial(os.environ.__setitem__, "MEDLORA_NPROC", str(count))


def _seconds(place: Arena, workers: int) -> float:
    began = time.monotonic()
    code, text = place.run(_command(place, "clock", 0), _with_workers(workers))
    if code != 0:
        raise SystemExit(f"{workers} workers ended with {code}:\n{text}")
    place.forget("clock")
    return time.monotonic() - began


def _attempt(
    place: Arena, name: str, variant: int, draw: random.Random, workers: int, delay: float | None
) -> tuple[int, str, bool]:
    """Run once, somebody killed after `delay` seconds; also tell whether anybody was."""
    process = place.start(_command(place, name, variant), _with_workers(workers))
    killed = False
    if delay is not None:
        time.sleep(delay)
        launcher = psutil.Process(process)
        victims = launcher.children(recursive=True)
        if victims and draw.random() < 0.7:  # mostly a worker alone
            victims = [draw.choice(victims)]
        else:
            victims.append(launcher)
        killed = sum(map(_kill, victims)) > 0
    code, text = place.finish(process)
    return code, text, killed


def _kill(process: psutil.Process) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

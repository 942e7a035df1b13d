"""SIGKILL at random instants: every run must end, with the bits of one that was left alone.

    python tests/torture/kill.py --kills 200 --seed 1

Runs are started again after each kill, as a batch service would.  Instants are drawn over the
whole life of a process: a part of them falls into loading, before the first step.
"""

import argparse
import os
import random
import signal
import sys
import time

from harness import VARIANTS, Arena, arena, warm_up

_MOST_ATTEMPTS = 80  # of one run; the last of them is left alone, and must end


def main() -> int:
    """Return 0 where nothing differed and nothing was stuck."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warm_up()
    draw = random.Random(chosen.seed)
    with arena() as place:
        return _torture(place, draw, chosen.kills)


def _torture(place: Arena, draw: random.Random, wanted: int) -> int:
    expected, seconds = {}, 0.0
    for variant in range(len(VARIANTS)):
        began = time.monotonic()
        code, text = place.run(place.command(f"straight-{variant}", variant))
        seconds = max(seconds, time.monotonic() - began)
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        expected[variant] = place.outcome(f"straight-{variant}")
    kills, early, runs, differing, stuck = 0, 0, 0, 0, 0
    while kills < wanted:
        variant, name = runs % len(VARIANTS), f"cut-{runs}"
        for attempt in range(_MOST_ATTEMPTS):
            alone = kills >= wanted or attempt == _MOST_ATTEMPTS - 1
            code, text, before_step = _attempt(
                place, name, variant, draw, None if alone else seconds
            )
            if code == -signal.SIGKILL:
                kills, early = kills + 1, early + before_step
                continue
            break
        runs += 1
        if code != 0:
            stuck += 1
            print(f"{name}: attempt {attempt + 1} ended with {code}:\n{text}")
        elif place.outcome(name) != expected[variant]:
            differing += 1
            print(f"{name}: another outcome after {attempt} kills")
        place.forget(name)
    print(
        f"{kills} kills ({early} before the first step) in {runs} runs: "
        f"{differing} differing, {stuck} stuck"
    )
    return int(bool(differing or stuck))


def _attempt(
    place: Arena, name: str, variant: int, draw: random.Random, seconds: float | None
) -> tuple[int, str, bool]:
    """Run once, killed at an instant within `seconds`; also tell whether no step was logged."""
    process = place.start(place.command(name, variant))
    if seconds is not None:
        time.sleep(draw.uniform(0, seconds) * draw.choice((0.2, 0.6, 1.0)))
        os.kill(process, signal.SIGKILL)
    code, text = place.finish(process)
    return code, text, "step 1/" not in text and "going on" not in text


if __name__ == "__main__":
    sys.exit(main())

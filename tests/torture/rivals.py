"""A second process on the same run, at random instants: 73 for it, and nothing for the first.

    python tests/torture/rivals.py --pairs 40 --seed 1

Two processes are started on one run, the second at a drawn instant of the first one's life; in a
third of the cases the first is then killed and a third process started at once.  Whoever ends must
end with 0, with 73 while another has the run, or by the kill; no traceback; in the end the run has
the bits of one that was left alone.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter

from harness import VARIANTS, Arena, arena, is_clean, warm_up

_ANOTHER = 73


def main() -> int:
    """Return 0 where nothing differed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=40)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        return _torture(place, random.Random(chosen.seed), chosen.pairs)


def _torture(place: Arena, draw: random.Random, pairs: int) -> int:
    expected, seconds = {}, 0.0
    for variant in range(min(pairs, len(VARIANTS))):
        began = time.monotonic()
        code, text = place.run(place.command(f"straight-{variant}", variant))
        seconds = max(seconds, time.monotonic() - began)
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        expected[variant] = place.outcome(f"straight-{variant}")
        place.forget_caches()
    ends, bad = Counter[int](), 0
    for number in range(pairs):
        variant, name = number % len(expected), f"pair-{number}"
        problem = _pair(place, name, variant, draw, seconds, ends)
        if not problem:
            code, text = place.run(place.command(name, variant))  # whatever was left to do
            same = code == 0 and place.outcome(name) == expected[variant]
            problem = "" if same else f"exit {code} or another outcome in the end:\n{text}"
        if problem:
            bad += 1
            print(f"{name}: {problem}")
        place.forget(name)
    told = ", ".join(f"{count} with {code}" for code, count in sorted(ends.items()))
    print(f"{pairs} pairs of processes: {told}; {bad} bad")
    return int(bool(bad))


def _pair(
    place: Arena, name: str, variant: int, draw: random.Random, seconds: float, ends: Counter[int]
) -> str:
    """Run the two, or three, and return what went wrong, or nothing."""
    command = place.command(name, variant)
    first = place.start(command)
    time.sleep(draw.uniform(0, 1.1) * seconds * draw.choice((0, 0.3, 1)))
    others = [place.start(command)]
    is_killed = draw.random() < 1 / 3
    if is_killed:
        os.kill(first, signal.SIGKILL)
        others.append(place.start(command))
    found = [place.finish(process) for process in (first, *others)]
    ends.update(code for code, _ in found)
    allowed = [{0, _ANOTHER, -signal.SIGKILL} if is_killed else {0, _ANOTHER}]
    allowed += [{0, _ANOTHER}] * len(others)
    for (code, text), good in zip(found, allowed, strict=True):
        if code not in good or not is_clean(text):
            return f"exit {code}:\n{text}"
    if not is_killed and all(code for code, _ in found):
        return "both gave way"
    return ""


if __name__ == "__main__":
    sys.exit(main())

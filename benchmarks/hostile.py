"""Texts that are made to slow the safety checker and the privacy scanner down.

    python -m benchmarks.hostile

One thing over and over, for each of many things.  Prints the slowest in JSON, in seconds of CPU,
and ends with 1 where the time of one grows faster than its length, or 100 kB take too long.
"""

import json
import sys
import time
from collections.abc import Callable

from medlora import SafetyChecker, scan_text

CHECKED = (
    "a", ".", " ", "\n", "!?", "(", "'", "1,", "-", "\u0130", "a. ", "x\n", "0000000 ",
    "a" * 39 + "b", "i cannot ", "i'm sorry, but ", "as an ai ", "i cannot diagnose ", "you have ",
    "you definitely ", "don't ", "if you ", "unless ", "call the ", "call a a a a ", "seek ",
    "take 5 mg ", "1 mg ", "the usual dose ", "no need to see ", "stop taking your ",
    "see a doctor ", "hit head ", "baby ", "my chest ", "pregnant ", "fever ", "your pain is ",
    "this request ", "instead of ",
)  # fmt: skip
SCANNED = (
    "a", "A", "1", ".", "-", "@", "a@", "a@a.", "1-", "1/", "A1", "#", ":", "::", "a:", "x.com",
    "http://", "12/12/", "123-45-", "(123)", "555-", '"', "{", "é", "中", "19/", "#A", "12:34:",
    "1234567890", "20230101", "2023-01-01T", "X*", "X_", "&nbsp;", "Aa-", "'s",
    "A ", "Aa ", "John ", "John, ", "Dr. ", "St. ", "May ", "1 May ", "May 1, ", "MRN: # ", "the ",
    "seen at ", "The of ", "Van De ", "100 A ", "12 Elm Street, Boston, MA ", "P.O. Box ", "95 ",
    "fingerprint ", "phone number is ", "Foo, MA ", "New York ", "he is 95, ", "+1 ", "0 ", "\n",
    "two thousand ", "a at b dot ", "license plate ", "Hospital ", "address ", "Rue de la ",
)  # fmt: skip
_LONG = 100_000  # characters
_SHORT, _TIMES = 2_500, 4  # of the text whose growth is watched
_GROWTH = 10  # times as long for four times the text; a square would be 16
_NOISE_S = 0.05  # what a clock or a collection of garbage adds
_LIMIT_S = 5.0  # for 100 kB, on a busy machine; one at rest needs one
_REPEATS = 3  # the fastest counts: a collection of garbage is no work on the text


def repeated(part: str, length: int) -> str:
    """Return a text of so many characters."""
    return (part * (length // len(part) + 1))[:length]


def check(text: str) -> object:
    """Return what the checker finds in it, as answer and as prompt."""
    return SafetyChecker().check_safety_compliance(text, text, "escalate")


def main() -> int:
    """Measure and print; 0 where nothing is slow."""
    problems, slowest = [], {}
    for name, read, parts in (("checker", check, CHECKED), ("scanner", scan_text, SCANNED)):
        read("warm")
        problems += [f"{name}: {part!r}" for part in parts if _grows(read, part)]
        every = [*parts, "".join(parts)] if read is check else ["Aa ", "".join(parts)]
        seconds = {part: _seconds(read, repeated(part, _LONG), 1) for part in every}
        problems += [f"{name}: {part!r}" for part in every if seconds[part] > _LIMIT_S]
        slowest[name] = round(max(seconds.values()), 3)
    print(json.dumps({"seconds_of_100_kb": slowest, "slow": problems}))
    return int(bool(problems))


def _grows(read: Callable[[str], object], part: str) -> bool:
    """Tell whether four times the text takes much more than four times as long."""
    short, long = (
        _seconds(read, repeated(part, length), _REPEATS) for length in (_SHORT, _TIMES * _SHORT)
    )
    return long > max(_GROWTH * short, _NOISE_S)


def _seconds(read: Callable[[str], object], text: str, times: int) -> float:
    def once() -> float:
        began = time.process_time()
        read(text)
        return time.process_time() - began

    return min(once() for _ in range(times))


if __name__ == "__main__":
    sys.exit(main())

"""The disk becomes read-only in the middle of a run, as a kernel does it that found a fault.

    python tests/torture/readonly.py --points 12        (root: it mounts)

At calls that change the disk, spread over a whole run, everything below the folder of runs becomes
read-only.  (By a second mount on top of it: a kernel asked politely refuses while a file is open.)
The attempt must end with 74 and no traceback; what is left must verify; and where it can be
written again, the run must end with the bits of one that was left alone.

Exit 77: not possible here.
"""

import argparse
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from faults import count_calls, inject
from harness import Arena, arena, is_clean, remount, warm_up


def main() -> int:
    """Return 0 where every point ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, default=12)
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        calls = place.root / "calls"
        code, text = place.run(place.command("straight", 0), partial(count_calls, calls))
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        total, expected = calls.stat().st_size, place.outcome("straight")
        place.forget_caches()
        room = place.root / "out"
        if not _close(room):
            print("skipped: nothing can be mounted here")
            return 77
        _open(room)
        bad = 0
        for number in range(chosen.points):
            call = 1 + (2 * number + 1) * total // (2 * chosen.points)
            problem = _one(place, room, call, expected)
            if problem:
                bad += 1
                print(f"call {call}: {problem}")
            shutil.rmtree(room / "cut", ignore_errors=True)
            place.forget_caches()
        print(f"read-only at {chosen.points} of {total} calls: {bad} bad")
        return int(bool(bad))


def _one(place: Arena, room: Path, call: int, expected: object) -> str:
    """Return what went wrong, or nothing."""
    try:
        code, text = place.run(
            place.command("cut", 0), partial(inject, call, lambda *_: _close(room))
        )
        # What is left to do after the result may be nothing that has to be said.
        if code not in (74, 0) or not is_clean(text) or not _is_closed(room):
            return f"exit {code} instead of 74:\n{text}"
        whole, told = place.run(["verify", str(room / "cut")])
        if whole not in (0, 69):
            return f"what is left verifies with {whole}:\n{told}"
    finally:
        _open(room)
    code, text = place.run(place.command("cut", 0))
    same = code == 0 and place.outcome("cut") == expected
    return "" if same else f"writable again, exit {code} or another outcome:\n{text}"


def _close(room: Path) -> bool:
    command = ["mount", "--bind", str(room), str(room)]
    mounted = os.geteuid() == 0 and not subprocess.run(command, check=False).returncode
    return mounted and remount(room, "bind,ro")


def _is_closed(room: Path) -> bool:
    return not os.access(room, os.W_OK)


def _open(room: Path) -> None:
    while not subprocess.run(["umount", str(room)], check=False, capture_output=True).returncode:
        pass  # until nothing is mounted there


if __name__ == "__main__":
    sys.exit(main())

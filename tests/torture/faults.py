"""A fault at every single system call that changes the disk: no traceback, nothing lost.

    python tests/torture/faults.py --every 1

Three faults in turn at each call of a short run, which makes its tokens, saves after every step,
keeps a best model, prunes and ends: the process is killed there (a file being half written), the
disk is full (ENOSPC), the disk fails (EIO).  A refusal must end with 74 and no traceback; started
again, the run must end with the bits of one that was left alone.
"""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import Arena, arena, warm_up

_CALLS = ("create", "append", "sync", "mkdir", "chmod", "rename", "unlink", "rmdir", "symlink")
_SHORT = ("--set", "training.num_train_epochs=1", "--set", "training.save_steps=1")
Fault = Callable[[str, tuple[object, ...]], None]


def main() -> int:
    """Return 0 where every fault ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th call only")
    options.add_argument("--first", type=int, default=1, help="begin with this call")
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        return _torture(place, range(chosen.first, 10**9, chosen.every))


def _torture(place: Arena, calls: range) -> int:
    counted = place.root / "calls"
    code, text = place.run(place.command("straight", 0, *_SHORT), partial(_count, counted))
    if code != 0:
        print(f"the run that was left alone ended with {code}:\n{text}")
        return 1
    total, expected = counted.stat().st_size, place.outcome("straight")
    place.forget_tokens()
    points, bad = 0, 0
    for call in calls:
        if call > total:
            break
        for name, (fault, wanted) in _FAULTS.items():
            points += 1
            problem = _one(place, partial(_inject, call, fault), wanted, expected)
            if problem:
                bad += 1
                print(f"call {call}, {name}: {problem}")
    print(f"{points} faults over {total} calls: {bad} bad")
    return int(bool(bad))


def _one(place: Arena, prepare: Callable[[], None], wanted: int, expected: object) -> str:
    """Return what went wrong with one fault, or nothing."""
    code, text = place.run(place.command("cut", 0, *_SHORT), prepare)
    # A fault after the result is complete, or in tidying up, may leave nothing to refuse.
    if code not in (wanted, 0):
        return f"ended with {code} instead of {wanted}:\n{text}"
    if "Traceback" in text or 'File "' in text:
        return f"a traceback:\n{text}"
    code, text = place.run(place.command("cut", 0, *_SHORT))
    if code != 0:
        return f"started again, it ended with {code}:\n{text}"
    same = place.outcome("cut") == expected
    out = place.root / "out"
    left = [path.name for name in ("cut", ".tokens") for path in (out / name).glob(".*-*")]
    place.forget("cut")
    return "" if same and not left else f"same outcome: {same}, left behind: {left}"


def _wrap(handle: Callable[[str, Callable[..., None], tuple[object, ...]], None]) -> None:
    """Put `handle(name, original, arguments)` in the place of every call that changes the disk."""
    from medlora.files import disk

    for name in _CALLS:
        original = getattr(disk, name)
        setattr(disk, name, lambda *a, _n=name, _o=original: handle(_n, _o, a))


def _count(file: Path) -> None:
    def handle(_name: str, original: Callable[..., None], arguments: tuple[object, ...]) -> None:
        with file.open("ab") as stream:
            stream.write(b".")
        original(*arguments)

    _wrap(handle)


def _inject(call: int, fault: Fault) -> None:
    seen = [0]

    def handle(name: str, original: Callable[..., None], arguments: tuple[object, ...]) -> None:
        seen[0] += 1
        if seen[0] == call:
            fault(name, arguments)
        original(*arguments)

    _wrap(handle)


def _die(name: str, arguments: tuple[object, ...]) -> None:
    """Leave half a file, if one was being written, and be killed."""
    if name in ("create", "append"):
        path, content = arguments
        with Path(str(path)).open("ab") as stream:
            stream.write(bytes(content)[: len(bytes(content)) // 2])  # type: ignore[call-overload]
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse(number: int, _name: str, arguments: tuple[object, ...]) -> None:
    raise OSError(number, os.strerror(number), str(arguments[0]))


_FAULTS: dict[str, tuple[Fault, int]] = {
    "SIGKILL": (_die, -signal.SIGKILL),
    "ENOSPC": (partial(_refuse, errno.ENOSPC), 74),
    "EIO": (partial(_refuse, errno.EIO), 74),
}


if __name__ == "__main__":
    sys.exit(main())

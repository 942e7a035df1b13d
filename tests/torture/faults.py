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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from harness import Arena, arena, is_clean, warm_up

_CALLS = ("create", "append", "sync", "mkdir", "chmod", "rename", "unlink", "rmdir", "symlink")
_SHORT = ("--set", "training.num_train_epochs=1", "--set", "training.save_steps=1")
Call = Callable[..., None]
Fault = Callable[[str, Call, tuple[object, ...]], None]  # a call's name, the call, its arguments
Faults = Mapping[str, tuple[Fault, int]]  # name -> what happens, and the exit code that follows


def main() -> int:
    """Return 0 where every fault ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th call only")
    options.add_argument("--first", type=int, default=1, help="begin with this call")
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        return torture(place, range(chosen.first, 10**9, chosen.every), _FAULTS)


def torture(place: Arena, calls: range, faults: Faults, names: Sequence[str] = _CALLS) -> int:
    """Have each fault happen at these calls of a short run; return 0 where all ended well.

    Args:
        place: where.
        calls: which of them, counted from 1.
        faults: what happens there.
        names: of the calls that count.
    """
    counted = place.root / "calls"
    code, text = place.run(
        place.command("straight", 0, *_SHORT), partial(count_calls, counted, names)
    )
    if code != 0:
        print(f"the run that was left alone ended with {code}:\n{text}")
        return 1
    total, expected = counted.stat().st_size, place.outcome("straight")
    place.forget_caches()
    points, bad = 0, 0
    for call in calls:
        if call > total:
            break
        for name, (fault, wanted) in faults.items():
            points += 1
            problem = _one(place, partial(inject, call, fault, names), wanted, expected)
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
    if not is_clean(text):
        return f"a traceback:\n{text}"
    code, text = place.run(place.command("cut", 0, *_SHORT))
    if code != 0:
        return f"started again, it ended with {code}:\n{text}"
    same = place.outcome("cut") == expected
    out = place.root / "out"
    left = [path.name for name in ("cut", ".tokens") for path in (out / name).glob(".*-*")]
    place.forget("cut")
    return "" if same and not left else f"same outcome: {same}, left behind: {left}"


def _wrap(handle: Fault, names: Sequence[str]) -> None:
    """Put `handle(name, original, arguments)` in the place of calls that change the disk."""
    from medlora.files import disk

    for name in names:
        original = getattr(disk, name)
        setattr(disk, name, lambda *a, _n=name, _o=original: handle(_n, _o, a))


def count_calls(file: Path, names: Sequence[str] = _CALLS) -> None:
    """Have this process add a byte to a file at each call that changes the disk."""

    def handle(_name: str, original: Call, arguments: tuple[object, ...]) -> None:
        with file.open("ab") as stream:
            stream.write(b".")
        original(*arguments)

    _wrap(handle, names)


def inject(call: int, fault: Fault, names: Sequence[str] = _CALLS) -> None:
    """Have a fault happen in this process at the n-th call that changes the disk."""
    seen = [0]

    def handle(name: str, original: Call, arguments: tuple[object, ...]) -> None:
        seen[0] += 1
        if seen[0] == call:
            fault(name, original, arguments)
        original(*arguments)

    _wrap(handle, names)


def _die(name: str, _original: Call, arguments: tuple[object, ...]) -> None:
    """Leave half a file, if one was being written, and be killed."""
    if name in ("create", "append"):
        path, content = arguments
        with Path(str(path)).open("ab") as stream:
            stream.write(bytes(content)[: len(bytes(content)) // 2])  # type: ignore[call-overload]
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int, _name: str, _original: Call, arguments: tuple[object, ...]) -> None:
    """Fail as the system does."""
    raise OSError(number, os.strerror(number), str(arguments[0]))


_FAULTS: Faults = {
    "SIGKILL": (_die, -signal.SIGKILL),
    "ENOSPC": (partial(refuse, errno.ENOSPC), 74),
    "EIO": (partial(refuse, errno.EIO), 74),
}


if __name__ == "__main__":
    sys.exit(main())

"""The disk runs full while the result is written: at every size near the end.

    python tests/torture/last.py --every 1        (root: it mounts a tmpfs)

A run is killed when all steps are done and the result is about to be written.  From there it goes
on, again and again, on a tmpfs that has as many pages left as the result needs, less one, less two,
down to none: it must end with 74, or with 0 where all was written, without a traceback; what is
left must verify; and with space again it must end with the bits of a run that was left alone.

Exit 77: not possible here.
"""

import argparse
import shutil
import sys
from pathlib import Path

from harness import Arena, arena, at_call, die, is_clean, remount, small_disk, warm_up

_PAGE, _PLENTY = 4096, 256 << 20
_SPARE = 24  # pages more than the result has, for what is written beside it


def main() -> int:
    """Return 0 where every size ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th size only")
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        code, text = place.run(place.command("straight", 0))
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        room, almost = place.root / "out/cut", place.root / "almost"
        place.run(
            place.command("cut", 0),
            lambda: at_call(
                "medlora.trainer.medical_lora_trainer", "MedicalLoRATrainer.save", 1, die
            ),
        )
        shutil.move(room, almost)
        room.mkdir()
        with small_disk(room, _PLENTY) as mounted:
            if mounted:
                return _torture(place, almost, chosen.every)
        print("skipped: a tmpfs cannot be mounted here")
        return 77


def _torture(place: Arena, almost: Path, every: int) -> int:
    expected = place.outcome("straight")
    result = sorted((place.root / "out/straight/final").iterdir())
    most = sum(-(-path.stat().st_size // _PAGE) for path in result) + _SPARE
    ends: dict[int, int] = {}
    sizes, bad = range(0, most + 1, every), 0
    for pages in sizes:
        code, problem = _one(place, almost, pages, expected)
        ends[code] = ends.get(code, 0) + 1
        if problem:
            bad += 1
            print(f"{pages} pages left: {problem}")
    told = ", ".join(f"{count} with {code}" for code, count in sorted(ends.items()))
    print(f"{len(sizes)} sizes from 0 to {most} pages: {told}; {bad} bad")
    return int(bool(bad))


def _one(place: Arena, almost: Path, pages: int, expected: object) -> tuple[int, str]:
    """Return how an attempt with so many pages ended, and what was wrong with it."""
    room = place.root / "out/cut"
    remount(room, f"size={_PLENTY}")
    for path in room.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(almost, room, dirs_exist_ok=True)
    used = shutil.disk_usage(room).used
    if not remount(room, f"size={used + pages * _PAGE}"):
        return 0, "the disk could not be made smaller"
    code, text = place.run(place.command("cut", 0))
    if code not in (0, 74) or not is_clean(text):
        return code, f"exit {code}:\n{text}"
    whole, told = place.run(["verify", str(room)])
    if whole != 0:
        return code, f"exit {code}; what is left verifies with {whole}:\n{told}"
    if code == 0 and place.outcome("cut") != expected:
        return code, "exit 0 and another outcome"
    remount(room, f"size={_PLENTY}")
    again, text = place.run(place.command("cut", 0))
    if again != 0 or place.outcome("cut") != expected:
        return code, f"with space, exit {again} or another outcome:\n{text}"
    left = [path.name for path in room.glob(".*-*")]
    return code, f"left behind: {left}" if left else ""


if __name__ == "__main__":
    sys.exit(main())

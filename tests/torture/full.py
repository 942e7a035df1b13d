"""A disk that is really full: a small tmpfs, in the middle of a checkpoint, and with space again.

    python tests/torture/full.py        (root: it mounts a tmpfs)

Exit 77: not possible here.
"""

import sys

from harness import Arena, arena, is_clean, remount, small_disk, warm_up

_MIB = 1 << 20


def main() -> int:
    """Return 0 where the refusal was clean and the next attempt ended with the same bits."""
    warm_up()
    with arena() as place:
        code, text = place.run(place.command("straight", 0))
        if code != 0:
            print(f"the run that was left alone ended with {code}:\n{text}")
            return 1
        expected = place.outcome("straight")
        room = place.root / "out/cut"
        room.mkdir()
        with small_disk(room, 2 * _MIB) as mounted:
            if mounted:
                return _fill(place, expected)
        print("skipped: a tmpfs cannot be mounted here")
        return 77


def _fill(place: Arena, expected: object) -> int:
    """Train into two mebibytes, then into many."""
    room = place.root / "out/cut"
    code, text = place.run(place.command("cut", 0))
    line = next((line for line in text.splitlines() if line.startswith("error:")), "no error line")
    clean = code == 74 and is_clean(text)
    whole, _ = place.run(["verify", str(room)])
    print(f"full: exit {code}, {line.replace(str(place.root), '...')}")
    print(f"what is left verifies with exit {whole}; no traceback: {'Traceback' not in text}")
    remount(room, f"size={256 * _MIB}")
    code, text = place.run(place.command("cut", 0))
    same = code == 0 and place.outcome("cut") == expected
    print(f"with space: exit {code}, went on: {'going on from' in text}, same outcome: {same}")
    return int(not (clean and whole == 0 and same))


if __name__ == "__main__":
    sys.exit(main())

"""Names that cannot be changed, as on a network file system, at every single call that does it.

    python tests/torture/nfs.py --every 1

At each renaming and deletion of a short run, in turn: the thing is in use (EBUSY), its handle is
stale (ESTALE), a folder is not empty though it was (ENOTEMPTY, for a file that somebody has open
keeps a name there), and the server did what it was asked, but its answer was lost and the call
was repeated: "no such file" (ENOENT).  A refusal must end with 74 and no traceback; started again,
the run must end with the bits of one that was left alone, with nothing left behind.
"""

import argparse
import errno
import os
import sys
from functools import partial

from faults import Call, Faults, refuse, torture
from harness import arena, warm_up

_NAMES = ("rename", "unlink", "rmdir")


def main() -> int:
    """Return 0 where every fault ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th call only")
    options.add_argument("--first", type=int, default=1, help="begin with this call")
    chosen = options.parse_args()
    warm_up()
    with arena() as place:
        calls = range(chosen.first, 10**9, chosen.every)
        return torture(place, calls, _FAULTS, _NAMES)


def _answer_lost(_name: str, original: Call, arguments: tuple[object, ...]) -> None:
    original(*arguments)
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(arguments[0]))


_FAULTS: Faults = {
    "EBUSY": (partial(refuse, errno.EBUSY), 74),
    "ESTALE": (partial(refuse, errno.ESTALE), 74),
    "ENOTEMPTY": (partial(refuse, errno.ENOTEMPTY), 74),
    "answer lost": (_answer_lost, 74),
}


if __name__ == "__main__":
    sys.exit(main())

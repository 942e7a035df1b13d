"""Work in batches that shrink where memory runs out; what comes out does not depend on them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from medlora.errors import OutOfMemoryError
from medlora.logs import logger
from medlora.train.step_in_pieces import is_out_of_memory

_log = logger(__name__)
T = TypeVar("T")
R = TypeVar("R")


def in_batches(
    items: Sequence[T], compute: Callable[[Sequence[T]], Sequence[R]], *, size: int
) -> list[R]:
    """Return what `compute` makes of the items, one for each, in their order.

    Args:
        items: all of them.
        compute: takes a few of them; must give an item the same whatever stands beside it.
        size: how many at a time, halved for good when memory runs out.

    Raises:
        OutOfMemoryError: a single item does not fit.
    """
    done: list[R] = []
    while len(done) < len(items):
        batch = items[len(done) : len(done) + size]
        try:
            done += compute(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise OutOfMemoryError(
                    "out of memory with a single row",
                    fix="load the base in 4 bits or half precision, or use a device with more",
                ) from error
            size = len(batch) // 2
        else:
            continue
        _log.info("out of memory: batch size reduced to %d rows", size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return done

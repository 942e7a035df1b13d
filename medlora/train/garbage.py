"""Python's collections of garbage, without what a run keeps from its beginning to its end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave out what there is already: libraries, model and data, half a million objects.

    A full collection looks at every object, which takes 0.3 s with these, in the middle of a step
    or of a checkpoint's copy.  What is made within is collected as ever.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()

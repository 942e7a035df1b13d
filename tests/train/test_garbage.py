"""What is loaded is left out of collections; what is made meanwhile is not."""

import gc
import weakref

from medlora.train.garbage import uncollected


class _Knot:
    """An object that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


def test_only_what_is_made_within_is_collected() -> None:
    """And everything else again afterwards."""
    before = weakref.ref(_Knot())
    with uncollected():
        within = weakref.ref(_Knot())
        gc.collect()
        assert before() is not None
        assert within() is None
    gc.collect()
    assert before() is None
    assert gc.get_freeze_count() == 0

"""Which type autocast computes in now; also where nothing is computed, for shapes alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}  # by accelerate's words
_on_meta: ContextVar[torch.dtype | None] = ContextVar("on_meta", default=None)


def autocast_dtype(kind: str) -> torch.dtype | None:
    """Return autocast's type on a kind of device, None where it is off."""
    if kind == "meta":  # which torch's own does not know
        return _on_meta.get()
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None


@contextmanager
def autocast_shapes(dtype: torch.dtype | None) -> Iterator[None]:
    """Let our own layers take a type for autocast's on the meta device."""
    token = _on_meta.set(dtype)
    try:
        yield
    finally:
        _on_meta.reset(token)

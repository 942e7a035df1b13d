"""pyarrow, which is imported where a file needs it."""

from importlib import import_module
from typing import Any

from medlora.errors import MissingPartError


def arrow(module: str = "pyarrow") -> Any:  # noqa: ANN401  (pyarrow ships no types)
    """Return a module of pyarrow.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPartError(
            "Parquet and .zst files need pyarrow, which is not installed",
            fix="install medlora[formats], or use the container image, which has it",
        ) from error

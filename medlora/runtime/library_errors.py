"""Exceptions of the system and of libraries that are no bug here, as failures of ours.

The last look before the command line calls something a bug.  What a library says is not repeated:
it quotes what it chokes on.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medlora.errors import (
    DataError,
    MedloraError,
    MissingPartError,
    OutOfMemoryError,
    StorageError,
    is_panic,
)
from medlora.runtime.memory import describe_limits
from medlora.runtime.streams import unheard

# What torch's allocator, oneDNN, cuBLAS, C++ and the loader of shared libraries say without a
# class of their own.
_MEMORY = (
    "can't allocate memory",
    "could not create a primitive",
    "could not create a memory",
    "could not execute a primitive",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA out of memory",
    "std::bad_alloc",
    "annot allocate memory",
    "failed to map segment from shared object",
    "can't start new thread",
)
_OTHER_CAUSES = ("static TLS block", "Operation not permitted")  # of the same words
_LOOP = "Symlink loop from "
_STORAGE = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EIO",
        "ELOOP",
        "EMFILE",
        "ENAMETOOLONG",
        "ENFILE",
        "ENODEV",
        "ENOSPC",
        "ENOTCONN",
        "ENXIO",
        "EPERM",
        "EROFS",
        "ESTALE",
        "ETXTBSY",
    )
)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


def as_ours(error: BaseException) -> MedloraError | None:
    """Return what to tell a person instead of an exception, None where it is a bug."""
    if ran_out_of_memory(error):
        return _out_of_memory()
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return _storage(error)
    if isinstance(error, RuntimeError) and str(error).startswith(_LOOP):  # pathlib's, no OSError
        return StorageError(
            f"{str(error).removeprefix(_LOOP)}: a symbolic link that points to itself",
            fix="name a file or a folder, or fix the link",
        )
    if isinstance(error, RecursionError):
        return DataError(
            f"the input is nested too deeply ({place_of(error)})",
            fix="look for deeply nested lists or objects in the data, the base's JSON files or its "
            "chat template",
        )
    return _gave_up(error) if is_panic(error) else None


def _gave_up(error: BaseException) -> MissingPartError:
    return MissingPartError(
        f"a library failed while it read the base's tokenizer or the data ({place_of(error)}); "
        "its message is not shown, because it may quote a row",
        fix="copy the base's tokenizer files again: most often a pattern or a class name in them "
        "is invalid",
    )


@contextmanager
def in_our_words() -> Iterator[None]:
    """Have a library in Rust that gives up say nothing of what it read, and end in an Exception.

    Raises:
        MissingPartError: it gave up.
    """
    try:
        with unheard():
            yield
    except BaseException as error:
        gave_up = is_panic(error) or type(error) is Exception  # what tokenizers raises
        ours = _gave_up(error) if gave_up else None
        if ours is None:
            raise
        raise ours from None


def ran_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, whoever raised it."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if not isinstance(error, RuntimeError | ImportError | OSError):
        return False
    text = str(error)
    return any(phrase in text for phrase in _MEMORY) and not any(
        phrase in text for phrase in _OTHER_CAUSES
    )


def _out_of_memory() -> OutOfMemoryError:
    limits = describe_limits()
    return OutOfMemoryError(
        f"memory ran out{f': {limits}' if limits else ''}",
        fix=f"give it more memory{' (a higher limit)' if limits else ''}, or use less: lower "
        "data.max_length and training.per_device_train_batch_size, or set "
        "training.onednn: false; `medlora check` predicts the peak",
    )


def place_of(error: BaseException) -> str:
    """Name the innermost line that raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace else None
    return f"{Path(code.co_filename).name}:{trace.tb_lineno}" if code and trace else "?"


def _storage(error: OSError) -> StorageError:
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    if error.errno in _FORBIDDEN:
        fix = f"let uid {os.getuid()} or its group read and write it"
    else:
        fix = "free space, or fix the mount or the limit that is named here"
    return StorageError(f"{where}{error.strerror}", fix=fix)

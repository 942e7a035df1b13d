"""Results come in order, from workers that never outlive whoever asked for them."""

import os
import select
import signal
import time
from collections.abc import Iterator

import pytest

from medlora.data.workers import in_order
from medlora.errors import MissingPartError, OutOfMemoryError, StorageError
from medlora.files import ForbiddenError


class PanicException(BaseException):
    """As that of a library in Rust, which no `except Exception` sees."""


def work(request: bytes) -> list[bytes]:
    """Answer with the request, an empty part and the process; early ones take the longest."""
    if request == b"bad":
        raise ValueError("what the record says")
    if request == b"panic":
        raise PanicException("what the record says")
    if request == b"refuse":
        raise ForbiddenError("x: the row cannot be used", fix="mend it")
    if request == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    number = int(request)
    time.sleep(0.02 * (number % 3 == 0))  # the order must not come from luck
    return [request * 40_000, b"", str(os.getpid()).encode()]


def numbers(count: int) -> list[bytes]:
    """Requests."""
    return [str(n).encode() for n in range(count)]


def gone(process: int) -> bool:
    """Tell whether a process ends within ten seconds."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_results_have_the_order_of_the_requests(workers: int) -> None:
    """However many workers there are, and whoever is done first."""
    replies = list(in_order(work, iter(numbers(20)), workers=workers))
    assert [reply[0] for reply in replies] == [n * 40_000 for n in numbers(20)]
    processes = {int(reply[2]) for reply in replies}
    assert len(processes) == (max(1, workers))
    assert (os.getpid() in processes) == (workers < 2)


def test_requests_are_not_read_far_ahead() -> None:
    """Memory stays small: two for each worker, whatever the file's size."""
    taken: list[bytes] = []

    def requests() -> Iterator[bytes]:
        for request in numbers(1000):
            taken.append(request)
            yield request

    replies = in_order(work, requests(), workers=2)
    for count in range(1, 20):
        next(replies)
        assert len(taken) <= count + 4
    replies.close()


def test_what_goes_wrong_is_told_without_the_records_text() -> None:
    """The kind of error and the line of code; never the message."""
    with pytest.raises(RuntimeError, match=r"ValueError at test_workers.py:\d+") as error:
        list(in_order(work, [*numbers(5), b"bad"], workers=2))
    assert "record" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("request_", "kind", "says"),
    [
        (b"panic", MissingPartError, r"the data \(test_workers.py:\d+\)"),
        (b"refuse", StorageError, r"^x: the row cannot be used\n  fix: mend it$"),
    ],
)
def test_what_has_a_name_keeps_it(request_: bytes, kind: type[Exception], says: str) -> None:
    """An error of ours, or what stands for one, is no bug because a worker met it."""
    with pytest.raises(kind, match=says) as error:
        list(in_order(work, [*numbers(5), request_], workers=2))
    assert "record" not in str(error.value)


def test_a_worker_that_is_killed_is_named_as_what_it_is() -> None:
    """80, as for other lack of memory, and not a run that waits for ever."""
    with pytest.raises(OutOfMemoryError, match="was killed"):
        list(in_order(work, [*numbers(5), b"kill", *numbers(50)], workers=2))


def test_workers_are_gone_when_the_results_are_not_wanted_any_more() -> None:
    """Closed early, as after an error."""
    replies = in_order(work, iter(numbers(100)), workers=2)
    processes = {int(next(replies)[2]) for _ in range(6)}
    replies.close()
    assert all(gone(process) for process in processes)


def test_workers_die_with_a_parent_that_was_killed() -> None:
    """SIGKILL leaves no time to tidy up."""
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        for reply in in_order(work, iter(numbers(100_000)), workers=2):
            os.write(writer, reply[2] + b"\n")
        os._exit(1)
    os.close(writer)
    with open(reader, encoding="ascii") as lines:  # noqa: PTH123  (a descriptor)
        processes = {int(next(lines)) for _ in range(9)}
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
    assert len(processes) == 2
    assert all(gone(process) for process in processes)

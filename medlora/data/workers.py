"""Work spread over processes, its results in order; memory stays bounded, no worker stays behind.

Forked, not spawned: a worker shares the parent's imports and its tokenizer, so it starts in
milliseconds and costs only the memory that it writes to.
"""

import ctypes
import gc
import json
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from medlora import errors
from medlora.errors import MedloraError, OutOfMemoryError
from medlora.runtime import variable
from medlora.runtime.fork import fork
from medlora.runtime.library_errors import as_ours, place_of
from medlora.runtime.streams import be_silent

Work = Callable[[bytes], Sequence[bytes]]
_AHEAD = 2  # requests under way for each worker, those with waiting results among them
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG; source: prctl(2)
_FAILED = -1


def in_order(work: Work, requests: Iterable[bytes], *, workers: int) -> Iterator[Sequence[bytes]]:
    """Yield `work(request)` for each request, in the requests' order, from so many processes.

    With fewer than two there are none.  Requests are taken as they are needed.

    Raises:
        OutOfMemoryError: the system killed a worker.
        MedloraError: the work ended with one, or with what stands for one.
        RuntimeError: the work failed; says where, and never with what text.
    """
    if workers < 2:  # noqa: PLR2004
        yield from map(work, requests)
        return
    with _forked(work, workers) as pool:
        yield from _exchange(pool, iter(requests))


@dataclass(frozen=True, slots=True, eq=False)
class _Worker:
    process: int
    connection: Connection


def _exchange(pool: list[_Worker], requests: Iterator[bytes]) -> Iterator[Sequence[bytes]]:
    idle, busy = deque(pool), dict[object, tuple[_Worker, int]]()
    done: dict[int, Sequence[bytes]] = {}
    sent = given = 0
    while True:
        room = min(len(idle), _AHEAD * len(pool) - (sent - given))
        for request in islice(requests, room):
            worker = idle.popleft()
            with _losses(worker):
                worker.connection.send_bytes(request)
            busy[worker.connection] = (worker, sent)
            sent += 1
        if sent == given:  # nothing is under way and nothing more came
            return
        for connection in wait([worker.connection for worker, _ in busy.values()]):
            worker, number = busy.pop(connection)
            done[number] = _receive(worker)
            idle.append(worker)
        while given in done:
            given += 1
            yield done.pop(given - 1)


def _receive(worker: _Worker) -> Sequence[bytes]:
    with _losses(worker):
        count = int.from_bytes(worker.connection.recv_bytes(), signed=True)
        parts = [worker.connection.recv_bytes() for _ in range(abs(count))]
    if count == _FAILED:
        raise _failure(parts[0])
    return parts


@contextmanager
def _losses(worker: _Worker) -> Iterator[None]:
    """Say in our words that a worker is gone."""
    try:
        yield
    except (EOFError, OSError):
        raise OutOfMemoryError(
            f"process {worker.process}, which was preparing rows, was killed",
            fix="most often the system ran out of memory: give the container more",
        ) from None


@contextmanager
def _forked(work: Work, count: int) -> Iterator[list[_Worker]]:
    """Start workers; they are gone at the end of the block, and when this process dies."""
    pool: list[_Worker] = []
    gc.collect()
    gc.freeze()  # a collection in a worker would copy every page that it looks at
    try:
        # One thread for each worker: the parent's are not there after a fork.
        with variable("TOKENIZERS_PARALLELISM", "false"):
            pool.extend(_start(work) for _ in range(count))
        yield pool
    finally:
        gc.unfreeze()
        for worker in pool:
            worker.connection.close()
            with suppress(ProcessLookupError):
                os.kill(worker.process, signal.SIGKILL)
            os.waitpid(worker.process, 0)


def _start(work: Work) -> _Worker:
    ours, theirs = Pipe()
    parent = os.getpid()
    process = fork()  # a worker runs Python, NumPy and a tokenizer that starts no threads
    if process == 0:
        try:
            _serve(work, theirs, parent)
        finally:
            os._exit(1)
    theirs.close()
    return _Worker(process, ours)


def _serve(work: Work, connection: Connection, parent: int) -> None:
    """Answer requests until the parent is gone, whichever way it goes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the whole group may get them: the parent decides
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        return
    _close_others(connection.fileno())
    be_silent()  # a library that gives up quotes what it read
    with suppress(EOFError, OSError):
        while True:
            parts = _attempt(work, connection.recv_bytes())
            for part in parts:
                connection.send_bytes(part)


def _close_others(mine: int) -> None:
    """Let go of what was inherited: the lock of the run among it, and other workers' pipes."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (names, no paths)
        if int(name) > 2 and int(name) != mine:  # noqa: PLR2004
            with suppress(OSError):
                os.close(int(name))


def _attempt(work: Work, request: bytes) -> list[bytes]:
    """Return a count and so many parts, or the mark of a failure and what to say of it."""
    try:
        parts = work(request)
    except BaseException as error:  # noqa: BLE001  (a panic too: told to the parent, which raises)
        return [_FAILED.to_bytes(8, signed=True), _failure_message(error)]
    return [len(parts).to_bytes(8, signed=True), *parts]


def _failure_message(error: BaseException) -> bytes:
    """Return what the parent is to raise: a class of `errors` and its text, or none and where."""
    ours = error if isinstance(error, MedloraError) else as_ours(error)
    if ours is None:
        problem = f"preparing rows failed: {type(error).__name__} at {place_of(error)}"
        return json.dumps(["", problem, ""]).encode()
    name = next(kind.__name__ for kind in type(ours).__mro__ if hasattr(errors, kind.__name__))
    return json.dumps([name, ours.problem, ours.fix]).encode()


def _failure(message: bytes) -> Exception:
    name, problem, fix = json.loads(message)
    failure: Exception = (
        getattr(errors, name)(errors.Lines(problem), fix=fix) if name else RuntimeError(problem)
    )
    return failure

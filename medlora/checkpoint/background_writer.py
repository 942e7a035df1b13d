"""Writing behind the loop's back: one job at a time, and its failure is never lost."""

from collections.abc import Callable
from threading import Thread


class Writer:
    """Runs one job in a thread of its own; the next one waits for it."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job; call `wait` first, and leave alone what the job reads until then."""
        self.wait()
        self._thread = Thread(target=self._run, args=(job,), name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Wait for the job, if there is one, and raise what it raised."""
        if self._thread:
            self._thread.join()
            self._thread = None
        self.check()

    def check(self) -> None:
        """Raise what a job raised, without waiting for one."""
        error, self._error = self._error, None
        if error:
            raise error

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  (handed to the loop's own thread)
            self._error = error

"""Whether the other machines of a run are still there.

A machine that vanishes closes no connection: its workers' peers would wait for ever.  So each
machine counts, once a second, in the store where they met, and looks at the others' counts.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import Event, Thread

from torch.distributed import TCPStore  # type: ignore[attr-defined]

_EVERY_S = 1.0
_LOST_AFTER_S = 20.0
_HEARD_S = 5.0  # that the machine with the store stays for the others to read its code


class Heartbeat:
    """Tells when another machine has failed, or has stopped responding.

    Args:
        address: of the store.
        port: of the store.
        me: this machine's rank.
        names: of all machines.
        lost: called once, on a thread of its own, with a line that names the machine.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        me: int,
        names: Sequence[str],
        lost: Callable[[str], None],
    ) -> None:
        # A connection of its own: a call that waits holds up all others of its connection.
        self._store = TCPStore(
            address, port, wait_for_workers=False, timeout=timedelta(seconds=_LOST_AFTER_S)
        )
        self._me, self._names, self._lost = me, names, lost
        self._seen = {
            machine: (b"", time.monotonic()) for machine in range(len(names)) if machine != me
        }
        self._over = Event()
        self.ended: int | None = None  # the code of the first that ended badly
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self, code: int, *, hosts: bool, wait_s: float = 0.0) -> None:
        """Tell the others how this machine ends.

        Args:
            code: of the process.
            hosts: whether the store ends with this process.
            wait_s: how long to wait first for another's code, which may be the cause.
        """
        if wait_s:
            self._thread.join(wait_s)
        self._over.set()
        self._thread.join()
        try:
            self._store.set(f"ended/{self._me}", str(code))
            if hosts and code:
                others = [f"ended/{machine}" for machine in self._seen]
                self._store.wait(others, timedelta(seconds=_HEARD_S))
        except RuntimeError:  # torch's DistError: nobody is left to tell, or to wait for
            return

    def _watch(self) -> None:
        count = 0
        while not self._over.wait(_EVERY_S):
            count += 1
            line = self._look(count)
            if line:
                self._lost(line)
                return

    def _look(self, count: int) -> str | None:
        """Count on; return what there is to say of another machine."""
        try:
            self._store.set(f"heartbeat/{self._me}", str(count))
            for machine, (last, since) in self._seen.items():
                if self._store.check([f"ended/{machine}"]):
                    code = int(self._store.get(f"ended/{machine}"))
                    if code:
                        self.ended = code
                        return f"{self._named(machine)} ended with {code}"
                key = f"heartbeat/{machine}"
                now = self._store.get(key) if self._store.check([key]) else b""
                if now != last:
                    self._seen[machine] = (now, time.monotonic())
                elif time.monotonic() - since > _LOST_AFTER_S:
                    return f"{self._named(machine)} stopped responding"
        except RuntimeError:  # torch's DistError
            return f"{self._named(0)}, to which all others connect, is gone"
        return None

    def _named(self, machine: int) -> str:
        return f"machine {machine + 1} of {len(self._names)} ({self._names[machine]})"

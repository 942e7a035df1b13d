"""One writer a run, and a dead one does not block the next."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medlora.checkpoint.lock import only_writer
from medlora.errors import RunInUseError

HOLDER = """
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from medlora.checkpoint.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until it is killed, or nothing more comes to it."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder


def test_a_second_writer_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    """73, naming host and process; SIGKILL of the holder releases the lock."""
    with _holder(tmp_path) as holder:
        with pytest.raises(RunInUseError, match=f"process {holder.pid}") as error:
            only_writer(tmp_path).__enter__()
        assert error.value.exit_code == 73
        holder.kill()
        holder.wait()
        with only_writer(tmp_path):
            pass


def test_a_holder_that_is_about_to_be_gone_is_waited_for(tmp_path: Path) -> None:
    """A killed process keeps its lock until its memory is taken apart: here, until told to end."""
    with _holder(tmp_path) as holder:
        holder.stdin.close()
        with only_writer(tmp_path):
            assert str(os.getpid()) in (tmp_path / ".lock").read_text()


def test_the_next_run_may_have_another_uid_of_the_group(tmp_path: Path) -> None:
    """The lock's file can be opened for writing by the group, whatever the umask."""
    before = os.umask(0o077)
    try:
        with only_writer(tmp_path):
            assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o660
    finally:
        os.umask(before)

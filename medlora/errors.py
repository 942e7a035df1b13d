"""Every failure a user can cause, with the exit code that the process ends with.

The codes are a contract with batch services (docs/troubleshooting.md): they tell "fix the input"
from "run me again" without anybody reading a log.
"""

import errno
from collections.abc import Iterable, Sequence
from typing import ClassVar

from medlora.escape import escaped

_LONGEST_REASON = 200  # characters


class Lines(str):
    """A message of several lines, in each of which names are escaped already."""

    __slots__ = ()


def below(head: str, lines: Iterable[str], *, indent: str = "  ") -> Lines:
    """Return a message with lines below it, whatever names stand in them."""
    return Lines("\n".join([escaped(head), *(f"{indent}{escaped(line)}" for line in lines)]))


class MedloraError(Exception):
    """Base of all expected failures; anything else is a bug and ends with 70.

    Args:
        problem: what is wrong: one line, or `Lines`. A line break within a line is part of a name,
            and escaped.
        fix: what to do about it.

    Attributes:
        problem: with all its lines, each escaped.
        fix: escaped.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, problem: str, *, fix: str) -> None:
        self.problem = problem if isinstance(problem, Lines) else escaped(problem)
        self.fix = escaped(fix)
        super().__init__(f"{self.problem}\n  fix: {self.fix}")

    @property
    def headline(self) -> str:
        """The first line of the problem."""
        return self.problem.partition("\n")[0]

    def within(self, most: int) -> str:
        """Return the whole message, or as much of the problem as leaves room for the fix.

        Args:
            most: characters.
        """
        fix = f"\n  fix: {self.fix}"[:most]
        return f"{self.problem[: most - len(fix)]}{fix}"


class DataError(MedloraError):
    """A dataset file or record cannot be used."""

    exit_code = 65


class MissingPartError(MedloraError):
    """Something that the run needs is not there: a model, data, a mount, a device."""

    exit_code = 69


class NetworkRefusedError(MissingPartError, OSError):
    """Something wanted to reach a machine that this process may not talk to.

    To a library it is a connection that failed, which it may do without.
    """

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem, fix=fix)
        self.errno = errno.EACCES


class RunInUseError(MedloraError):
    """The run's folder belongs to another run."""

    exit_code = 73


class StorageError(MedloraError):
    """A disk is full, a mount cannot be written, a file cannot be read."""

    exit_code = 74


class IntegrityError(MedloraError):
    """Something is not what it says it is; it must not be trusted or released."""

    exit_code = 77


class RejectedError(MedloraError):
    """A gate refused: data with identifiers of people, or an adapter that did not pass."""

    exit_code = 77


class ConfigError(MedloraError):
    """The run config is wrong; all problems are reported in one go."""

    exit_code = 78


class DivergedError(MedloraError):
    """Training produced NaN or Inf."""

    exit_code = 79


class OutOfMemoryError(MedloraError):
    """The smallest unit of work does not fit in memory."""

    exit_code = 80


class StoppedError(MedloraError):
    """A signal asked the run to end; every completed step is in a committed checkpoint."""

    exit_code = 143


def reason_of(error: Exception) -> str:
    """Return what a library says of its own failure: its first line, 200 characters at most.

    Of an error of ours nothing may be left out: raise it as it is.
    """
    return (str(error).splitlines() or ["no reason given"])[0][:_LONGEST_REASON]


def is_panic(error: BaseException) -> bool:
    """Tell whether a library in Rust gave up; its exception is one that nobody catches by chance.

    Source: pyo3, PanicException, which derives from BaseException.
    """
    return type(error).__name__ == "PanicException"


MOST_LISTED = 20


def listed(problems: Sequence[str], *, what: str, count: int | None = None) -> Lines:
    """Join problems into one message: how many, then the first `MOST_LISTED`, one a line.

    Args:
        problems: all of them, or the first.
        what: what they are problems of.
        count: how many there are, if `problems` are not all.
    """
    count = len(problems) if count is None else count
    number = f"{count} problem{'s' if count != 1 else ''}"
    first = list(problems[:MOST_LISTED])
    rest = [f"... and {count - len(first)} more"] if count > len(first) else []
    return below(f"{what}: {number}", [*first, *rest])

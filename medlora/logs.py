"""What a person, or a program, reads while a run goes on: our own lines, never record text.

Plain lines on standard error; or, as JSON Lines, everything, so that a collector of logs needs no
rules of its own.
"""

import json
import logging
import sys
import time
import warnings
from datetime import UTC, datetime
from typing import Any, Literal

import click

from medlora.escape import escaped

LOGGER = "medlora"
INTERVAL_S = 30.0  # between two lines of progress
Form = Literal["text", "json"]


class _Line(logging.Handler):
    """Writes through click, which knows about terminals."""

    def __init__(self, form: Form = "text", interval_s: float = INTERVAL_S) -> None:
        super().__init__()
        self.form, self.interval_s = form, interval_s

    def emit(self, record: logging.LogRecord) -> None:
        if self.form == "json":
            click.echo(json.dumps(_fields(record)), file=sys.stderr)
            return
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        click.echo(f"{mark}{escaped(record.getMessage())}", file=sys.stderr)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return a line as JSON values: time, level, message, and what its writer gave beside."""
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    more: dict[str, Any] = getattr(record, "fields", {})
    level, message = record.levelname.lower(), escaped(record.getMessage())
    shown = {
        name: escaped(value) if isinstance(value, str) else value for name, value in more.items()
    }
    return {"time": when, "level": level, "message": message, **shown}


def set_up(form: Form = "text", interval_s: float = INTERVAL_S) -> None:
    """Send our own log lines to standard error, and nobody else's: what fails raises.

    Args:
        form: plain lines, or JSON Lines.
        interval_s: seconds between two lines of progress, where there is no terminal.
    """
    # Without a handler of its own, a foreign logger's warnings go to standard error.
    logging.getLogger().addHandler(logging.NullHandler())
    # The image has no triton, on purpose; this module of torch's warns of that when it is imported.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    # PEFT's, of an adapter on a head that shares the embeddings' weights; merging unties them.
    warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
    logger = logging.getLogger(LOGGER)
    logger.handlers = [_Line(form, interval_s)]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def set_quiet() -> None:
    """Send warnings and errors alone: another worker of the run says the rest."""
    logging.getLogger(LOGGER).setLevel(logging.WARNING)


def is_json() -> bool:
    """Tell whether lines are JSON."""
    return _handler().form == "json"


def interval_s() -> float:
    """Return the seconds between two lines of progress."""
    return _handler().interval_s


def _handler() -> _Line:
    handlers = logging.getLogger(LOGGER).handlers
    return next((handler for handler in handlers if isinstance(handler, _Line)), _Line())


def say(*lines: str) -> None:
    """Print a result on standard output; where lines are JSON, as one of them."""
    if is_json():
        message = "\n".join(map(escaped, lines)).strip()
        record = {"time": _now(), "level": "info", "message": message}
        click.echo(json.dumps(record), file=sys.stderr)
    else:
        show(*lines)


def show(*lines: str, err: bool = False) -> None:
    """Print what a command was asked for, always as plain lines; names in them are escaped."""
    for line in lines:
        click.echo(escaped(line), err=err)


def complain(problem: str, *, fix: str = "", exit_code: int) -> None:
    """Print why the process ends; where lines are JSON, as one of them.

    Args:
        problem: what is wrong, names in it escaped.
        fix: what to do about it, likewise.
        exit_code: what the process ends with.
    """
    if is_json():
        fields = {"message": problem, "exit_code": exit_code, **({"fix": fix} if fix else {})}
        click.echo(json.dumps({"time": _now(), "level": "error", **fields}), err=True)
    else:
        click.echo(f"error: {problem}" + (f"\n  fix: {fix}" if fix else ""), err=True)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")


def logger(name: str) -> logging.Logger:
    """Return the logger of one of our modules."""
    return logging.getLogger(f"{LOGGER}.{name.removeprefix('medlora.')}")

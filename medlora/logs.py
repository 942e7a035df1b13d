"""What a person reads while a run goes on: plain lines on standard error, never record text."""

import logging
import sys

import click

LOGGER = "medlora"


class _Line(logging.Handler):
    """Write through click, which knows about terminals."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        click.echo(f"{mark}{record.getMessage()}", file=sys.stderr)


def set_up() -> None:
    """Send our own log lines to standard error, and nobody else's: what fails raises."""
    # Without a handler of its own, a foreign logger's warnings go to standard error.
    logging.getLogger().addHandler(logging.NullHandler())
    logger = logging.getLogger(LOGGER)
    logger.handlers = [_Line()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def set_quiet() -> None:
    """Send warnings and errors alone: another worker of the run says the rest."""
    logging.getLogger(LOGGER).setLevel(logging.WARNING)


def logger(name: str) -> logging.Logger:
    """Return the logger of one of our modules."""
    return logging.getLogger(f"{LOGGER}.{name.removeprefix('medlora.')}")

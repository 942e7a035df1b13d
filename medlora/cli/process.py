"""The process around the commands: signals, streams, the network, and the exit code of an error."""

import atexit
import os
import signal
import sys
import traceback
from contextlib import suppress
from io import StringIO
from typing import NoReturn

import click

from medlora.errors import MedloraError
from medlora.escape import escaped

BUG = 70


def run_command(command: click.Command, *, guarded: bool = True) -> NoReturn:
    """Run a command line and end this process; an expected failure has its code, no traceback.

    Args:
        command: the group of all commands.
        guarded: close the network for as long as this process lives, and leave it at once, as
            taking torch apart lasts longer than a save; else raise SystemExit.
    """
    from medlora.runtime.stop import Stop

    stop = Stop()
    stop.listen()  # before anything slow
    from medlora import logs, runtime
    from medlora.runtime.parent import end_with_the_launcher
    from medlora.runtime.streams import keep_streams

    keep_streams()
    end_with_the_launcher(runtime.snapshot())
    logs.set_up()
    runtime.prepare_process()
    if guarded:  # before there is a library that could call home
        runtime.close_network(runtime.snapshot())
    try:
        logs.set_up(*runtime.log_settings(runtime.snapshot()))
        command(prog_name="medlora", standalone_mode=False, obj=stop)
        code = 0
    except BaseException as error:  # noqa: BLE001  (the last line before the user; a panic too)
        code = _explained(error)
    if guarded:
        leave(code)
    sys.exit(code)


def leave(code: int) -> NoReturn:
    """End this process without taking its modules apart; what registered for the end still runs.

    A signal has no effect any more: the work is done.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()  # noqa: SLF001  (temporary folders, trackers; only this runs them)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full, which was reported; or closed
            stream.flush()
    os._exit(code)


def tell_platform(cause: str, code: int) -> None:
    """Leave the cause where the platform looks for it; being stopped is no failure."""
    from medlora import runtime
    from medlora.runtime.stop import EXIT_CODE

    if code != EXIT_CODE:
        runtime.report_failure(runtime.snapshot(), cause)


def _explained(error: BaseException) -> int:
    """Say why the command ends; return its exit code."""
    from medlora import logs
    from medlora.runtime import LONGEST_CAUSE
    from medlora.runtime.library_errors import as_ours
    from medlora.runtime.stop import EXIT_CODE
    from medlora.runtime.streams import tell_at_once

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else BUG
    if isinstance(error, click.Abort | KeyboardInterrupt):
        tell_at_once(f"stopped by {signal.SIGINT.name}")
        return EXIT_CODE
    if isinstance(error, click.ClickException):
        return _explained_usage(error)
    ours = error if isinstance(error, MedloraError) else as_ours(error)
    if ours is None:
        _report_bug(error)
        tell_platform(f"{type(error).__name__}: a bug in MedLoRA", BUG)
        return BUG
    logs.complain(ours.problem, fix=ours.fix, exit_code=ours.exit_code)
    tell_platform(ours.within(LONGEST_CAUSE), ours.exit_code)
    return ours.exit_code


def _explained_usage(error: click.ClickException) -> int:
    """Show what is wrong with the command line, names in it escaped; return click's code."""
    from medlora import logs

    message = escaped(error.format_message())
    if logs.is_json():
        logs.complain(message, exit_code=error.exit_code)
    else:
        usage = StringIO()
        error.show(file=usage)
        lines = usage.getvalue().replace(error.format_message(), message).splitlines()
        logs.show(*lines, err=True)
    tell_platform(message, error.exit_code)
    return error.exit_code


def _report_bug(error: BaseException) -> None:
    """Print where a bug is, but not its message, which may quote a training row."""
    from medlora import runtime
    from medlora.runtime.environment import SHOW_BUG_MESSAGES

    frames = "".join(traceback.format_tb(error.__traceback__))
    click.echo(f"{frames}{type(error).__name__}: a bug in MedLoRA", err=True)
    if runtime.snapshot().variables.get(SHOW_BUG_MESSAGES):
        click.echo(str(error), err=True)
    else:
        click.echo(
            "  fix: report the lines above; the message is withheld because it may quote data "
            f"({SHOW_BUG_MESSAGES}=1 shows it)",
            err=True,
        )

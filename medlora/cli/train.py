"""Commands that begin with data, model and config: train, check."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medlora.cli import options
from medlora.cli.fetched_inputs import prepared
from medlora.cli.group import cli
from medlora.cli.process import tell_platform

if TYPE_CHECKING:
    from medlora.config import Resolved
    from medlora.runtime import Environment, Stop, Topology


def _goes_on_by_itself(context: click.Context, option: click.Parameter, value: object) -> None:
    """Answer what other programs want to be told, which is no option here."""
    if value is not None:
        raise click.UsageError(
            f"there is no option {option.opts[0]}, and none is needed: the same command resumes "
            "from the newest checkpoint by itself (--fresh would start over)",
            context,
        )


@cli.command(fetches=True, computes=True, short_help="Train an adapter.")
@options.run_inputs
@click.option(
    "--fresh", is_flag=True, help="Start over; the run's existing folder is renamed, not deleted."
)
@click.option(
    "--resume",
    "--resume-from-checkpoint",
    "--resume_from_checkpoint",
    is_flag=False,
    flag_value="",
    hidden=True,
    expose_value=False,
    callback=_goes_on_by_itself,
)
@click.option(
    "--allow-change",
    "allow",
    multiple=True,
    metavar="NAME",
    help="Resume from a checkpoint even though NAME has changed since: a config key, `data` or "
    "`base`; may be repeated.",
)
@click.option(
    "--statements",
    metavar="FILE",
    help="YAML file with the model-card fields that a person must fill in, e.g. intended_use.  "
    "[default: card.yaml beside the config]",
)
@click.pass_obj
def train(stop: "Stop", /, *, fresh: bool, allow: tuple[str, ...], **chosen: Any) -> None:  # noqa: ANN401  (click's options, typed in Options)
    """Train an adapter: DATA + CONFIG + MODEL -> CHECKPOINTS/<run_name>/final.

    Run again after an interruption, the command resumes from the newest checkpoint; the adapter
    is bit-identical to that of an uninterrupted run.
    """
    from medlora.plan import announce
    from medlora.plan.quick_checks import look_at_once
    from medlora.plan.resolve_run import Options
    from medlora.runtime import is_launched, rendezvous_timeout, snapshot

    environment, given = snapshot(), Options(**chosen)
    topology = announce.announce(environment, given.places())

    def refuse(resolved: "Resolved") -> None:
        announce.refuse(resolved, environment, topology)

    with prepared(given, environment, refuse=refuse, topology=topology) as plan:
        timeout_s = rendezvous_timeout(environment)
        to_start = announce.workers_to_start(topology, plan.resolved.config)
        look_at_once(plan)
        if to_start:
            _launch(to_start, environment, timeout_s)
            return

        from medlora.distributed.join import join  # torch and all: only once the config is good
        from medlora.jobs import train as job

        team = join(topology, timeout_s=timeout_s, launched=is_launched(environment))
        job.run(plan, stop=stop, fresh=fresh, allow=allow, team=team)


def _launch(topology: "Topology", environment: "Environment", timeout_s: float) -> None:
    """Run this very command line in several workers; end as they end."""
    from medlora.distributed.launch import launch
    from medlora.runtime import FETCHED, grace, variable

    with variable(FETCHED, "1"):
        code = launch(
            topology,
            sys.argv[1:],
            variables=environment.variables,
            timeout_s=timeout_s,
            grace_s=grace(environment).value,
        )
    if code:
        tell_platform(f"a worker ended with {code}", code)  # unless that worker did
        sys.exit(code)


@cli.command(fetches=True, computes=True, short_help="Check whether a run would succeed here.")
@options.run_inputs
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=options.PATH,
    metavar="FILE",
    help="Prompts (JSON Lines) that must not occur in the data; may be repeated.",
)
@click.option(
    "--json",
    "report",
    type=options.PATH,
    metavar="FILE",
    help="Write the full report to this file.",
)
@click.option(
    "--probe/--no-probe",
    "timed",
    default=None,
    help="--probe: run a few training steps to estimate the run time.  --no-probe: do not load "
    "the base model.  [default: load the base if it fits; run steps only on a GPU]",
)
def check(
    *,
    suites: tuple[Path, ...],
    report: Path | None,
    timed: bool | None,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Check everything that `train` needs: data, model, memory, disk, folders; trains nothing.

    Takes most options of `train`, and never shows a row's text.  Without a base model, tokens and
    memory are not checked.

    Exits with the code of the first problem, as `train` would: 65 invalid data, 77 refused,
    e.g. for identifiers, 69 something is missing, 74 folders or disk, 78 config, 80 not enough
    memory.
    """
    from medlora.plan.announce import refused
    from medlora.plan.resolve_run import Options
    from medlora.plan.training_workers import workers_of
    from medlora.runtime import find_topology, snapshot, visible_gpus

    environment = snapshot()
    topology = find_topology(environment)
    with prepared(Options(**chosen), environment, needed=("data",)) as plan:
        from medlora.jobs import check as job

        around = job.Around(
            visible_gpus(environment).value,
            workers_of(topology, plan.resolved.config),
            refused(plan.resolved, environment, topology),
        )
        job.run(plan, suites=suites, output=report, timed=timed, around=around)

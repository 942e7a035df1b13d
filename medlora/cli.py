"""Command line of the image: parse, call one job, turn errors into exit codes.

Stays free of torch so that `--help` and usage errors answer at once: heavy imports live
inside the commands.
"""

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from medlora.errors import MedloraError
from medlora.escape import escaped

if TYPE_CHECKING:
    from medlora.runtime import Environment, Stop, Topology

_BUG = 70


class _Computes(click.Command):
    """A command that imports torch, which wants addresses and a folder for temporary files."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's own)
        """Do what the command does, where it can be done.

        Raises:
            StorageError: there is no such folder.
            OutOfMemoryError: torch itself would not fit.
        """
        from medlora.runtime.room import check_room

        check_room()
        return super().invoke(ctx)


class _Fetches(_Computes):
    """One that may fetch its inputs, or meet other workers: it seals the network by itself."""


@click.group(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="medlora", prog_name="medlora")
@click.pass_context
def cli(context: click.Context) -> None:
    """Fine-tune a medical language model with LoRA, offline and reproducibly.

    Mount data, a config and a base model; take away an adapter and its evidence:

    \b
      docker run --gpus all --network none \\
        -v ./data:/data:ro -v ./config:/config:ro -v ./model:/models:ro \\
        -v ./checkpoints:/checkpoints medlora train

    With nothing mounted, `train` runs a small demo.
    """  # noqa: D301  (click's mark for lines to leave alone is a real backspace)
    from medlora.runtime import seal_network, snapshot

    if not isinstance(cli.get_command(context, context.invoked_subcommand or ""), _Fetches):
        seal_network(snapshot())


_evaluations = click.option(
    "--evaluation",
    "evaluations",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A report that `medlora evaluate` wrote on a run's adapter; may be repeated.",
)


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command which reads a run config has."""
    for option in reversed(
        (
            click.option(
                "--config",
                metavar="FILE",
                help="Run config (YAML), or the word recommended.  "
                "[mount: /config; env: MEDLORA_CONFIG]",
            ),
            click.option(
                "--data",
                metavar="PATH",
                help="Folder with train.csv (or .jsonl, .json, .parquet), or one file.  "
                "[mount: /data; env: MEDLORA_DATA]",
            ),
            click.option(
                "--model",
                metavar="FOLDER",
                help="Base model: config.json and *.safetensors.  "
                "[mount: /models; env: MEDLORA_MODEL]",
            ),
            click.option(
                "--checkpoints",
                metavar="FOLDER",
                help="Parent folder of all runs.  "
                "[mount: /checkpoints; env: MEDLORA_CHECKPOINTS; else ./checkpoints]",
            ),
            click.option(
                "--output",
                metavar="FOLDER",
                help="Also copy the result here.  [mount: /output; env: MEDLORA_OUTPUT]",
            ),
            click.option(
                "--set",
                "overrides",
                multiple=True,
                metavar="KEY=VALUE",
                help="Set one config key, e.g. lora.r=16; may be repeated.  "
                "[env: MEDLORA_LORA__R=16]",
            ),
        )
    ):
        command = option(command)
    return command


def _goes_on_by_itself(context: click.Context, option: click.Parameter, value: object) -> None:
    """Answer what other programs want to be told, which is no option here."""
    if value is not None:
        raise click.UsageError(
            f"no option {option.opts[0]} is needed: the same command goes on from the newest "
            "checkpoint by itself (--fresh would start over)",
            context,
        )


@cli.command(cls=_Fetches, short_help="Train an adapter.")
@_run_options
@click.option(
    "--fresh", is_flag=True, help="Start over; what the run's folder holds is moved aside."
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
    help="Resume from a checkpoint even though this config key, or `data` or `base`, has changed.",
)
@click.option(
    "--statements",
    metavar="FILE",
    help="YAML file with what only people can state, for the model cards.  "
    "[default: card.yaml beside the config]",
)
@click.pass_obj
def train(stop: "Stop", /, *, fresh: bool, allow: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401  (click's options, typed in Options)
    """Train an adapter: DATA + CONFIG + MODEL -> CHECKPOINTS/<run_name>/final.

    Started again after an interruption, it goes on from the newest checkpoint and ends with the
    same adapter, bit for bit.
    """
    from medlora.plan import announce
    from medlora.plan.quick_checks import look_at_once
    from medlora.plan.remote import leave, localise, with_local_config
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import is_launched, rendezvous_timeout, seal_network, snapshot

    environment, given = snapshot(), Options(**options)
    topology = announce.announce(environment, given.places())
    given = with_local_config(given, environment)
    plan = resolve(given, environment)
    announce.refuse(plan.resolved, environment, topology)
    plan = localise(plan, environment, config=given.config)
    wait_s = rendezvous_timeout(environment)
    to_start = announce.workers_to_start(topology, plan.resolved.config)
    if not plan.remote and not to_start and not announce.has_others(topology):
        seal_network(environment)
    look_at_once(plan)
    if to_start:
        _launch(to_start, environment, wait_s)
        leave(plan)
        return

    from medlora.distributed.join import join  # torch and all: only once the config is good
    from medlora.jobs import train as job

    team = join(topology, timeout_s=wait_s, launched=is_launched(environment))
    job.run(plan, stop=stop, fresh=fresh, allow=allow, team=team)
    leave(plan)


def _launch(topology: "Topology", environment: "Environment", wait_s: float) -> None:
    """Run this very command line in several workers; end as they end."""
    from medlora.distributed.launch import launch
    from medlora.runtime import FETCHED, grace, variable

    with variable(FETCHED, "1"):
        code = launch(
            topology,
            sys.argv[1:],
            variables=environment.variables,
            timeout_s=wait_s,
            grace_s=grace(environment).value,
        )
    if code:
        _tell_platform(f"a worker ended with {code}", code)  # unless that worker has told
        sys.exit(code)


@cli.command(short_help="Show what this image is made of.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(*, as_json: bool) -> None:
    """Show versions, CUDA, the oldest driver that will do, and the image's labels."""
    from medlora.jobs import version as job

    click.echo(job.as_json() if as_json else job.as_text(), nl=False)


@cli.command(short_help="Show where this runs and what is available.")
@click.option("--json", "as_json", is_flag=True, help="Print the place alone, as JSON.")
def doctor(*, as_json: bool) -> None:
    """Show platform, machines, workers and paths, and where each value comes from.

    Then versions, devices and folders.  Nothing is started and nothing is written.  Ends with 78
    where the environment contradicts itself, with 69 where a part of it is missing.
    """
    from medlora.jobs import doctor as job
    from medlora.runtime import snapshot

    click.echo(job.as_json(snapshot()) if as_json else job.as_text(snapshot()), nl=False)


@cli.command(cls=_Fetches, short_help="Check whether a run would succeed here.")
@_run_options
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prompts (JSON Lines) that must not occur in the data; may be repeated.",
)
@click.option(
    "--json",
    "report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the full report to this file.",
)
@click.option(
    "--probe/--no-probe",
    "timed",
    default=None,
    help="Take a few steps to tell how long a run would take; --no-probe does not even load the "
    "base.  [default: load the base if it fits; take steps only on a GPU]",
)
def check(
    *,
    suites: tuple[Path, ...],
    report: Path | None,
    timed: bool | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Check everything that `train` needs: data, model, memory, disk, folders; trains nothing.

    Takes the options of `train`, and shows no row's text.  Without a base model, nothing is said
    of tokens and memory.  Ends with the code that `train` would end with: 65 or 77 for the data,
    69 for what is missing, 74 for folders and disk, 78 for the config, 80 for memory.
    """
    from medlora.plan import announce
    from medlora.plan.remote import leave, localise
    from medlora.plan.resolve import Options, resolve
    from medlora.plan.worker_count import workers_of
    from medlora.runtime import find_topology, seal_network, snapshot, visible_gpus

    environment = snapshot()
    topology = find_topology(environment)
    plan = resolve(Options(**options), environment, needed=("data",))
    refused = announce.refused(plan.resolved, environment, topology)
    plan = localise(plan, environment)
    if not plan.remote:
        seal_network(environment)

    from medlora.jobs import check as job

    workers = workers_of(topology, plan.resolved.config)
    around = job.Around(visible_gpus(environment).value, workers, refused)
    job.run(plan, suites=suites, output=report, timed=timed, around=around)
    leave(plan)


@cli.command(cls=_Fetches, short_help="Evaluate a base model, with and without an adapter.")
@click.option("--model", metavar="FOLDER", help="Base model.  [mount: /models; env: MEDLORA_MODEL]")
@click.option(
    "--adapter",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Adapter to compare with its base: a run's folder, or a folder saved by PEFT.",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    metavar="NAME|FILE",
    help="A JSON Lines file, or the name of a built-in suite; may be repeated.",
)
@click.option("--config", metavar="FILE", help="Run config whose gate is applied.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one config key.")
@click.option(
    "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write the report as JSON."
)
@click.option(
    "--generations",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write prompts and answers as JSON Lines; they are written nowhere else.",
)
@click.option("--batch-size", type=click.IntRange(1), help="Rows per batch; affects speed only.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Longest answer, in tokens.")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1), help="Use only the first N rows of each suite."
)
def evaluate(
    *,
    model: str | None,
    config: str | None,
    overrides: tuple[str, ...],
    **options: Any,  # noqa: ANN401  (click's options, typed in EvaluateOptions)
) -> None:
    """Evaluate a base model, and what an adapter changes, on suites.

    Ends with 77 if the config has a gate and its verdict is not PASS.
    """
    from medlora.inputs.suites import choose_suites
    from medlora.plan.gpu import check_gpu
    from medlora.plan.quick_checks import look_for_base
    from medlora.plan.remote import leave, localise
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import seal_network, snapshot

    environment = snapshot()
    given = Options(config=config, model=model, overrides=overrides)
    plan = resolve(given, environment, allow_demo=False)
    check_gpu(environment, plan.resolved.config)
    plan = localise(plan, environment)
    if not plan.remote:
        seal_network(environment)
    choose_suites(plan.resolved.config.gate, options["suites"])  # or they are refused, before torch
    look_for_base(plan)

    from medlora.jobs import evaluate as job

    job.run(plan, job.EvaluateOptions(**options))
    leave(plan)


@cli.command(short_help="Print every config key with its value and origin.")
@_run_options
@click.option("--schema", "form", flag_value="schema", help="Print the JSON Schema, for editors.")
@click.option("--reference", "form", flag_value="reference", help="Print docs/configuration.md.")
@click.option("--explain", "key", metavar="KEY", help="Explain one key or one section.")
def config(form: str | None, key: str | None, **options: Any) -> None:  # noqa: ANN401
    """Print every config key with its value and where the value came from."""
    from medlora.config import Machine, refuse_conflicts
    from medlora.config.explain import explain, reference
    from medlora.config.json_schema import json_schema
    from medlora.config.yaml_output import as_yaml
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    pages = {"schema": json_schema, "reference": reference}
    if form:
        click.echo(pages[form]().rstrip("\n"))
        return
    resolved = resolve(Options(**options), snapshot(), allow_demo=False).resolved
    click.echo(explain(key, resolved) if key else as_yaml(resolved).rstrip("\n"))
    if not key:
        refuse_conflicts(resolved.config, Machine(), origins=resolved.origins)


@cli.command(short_help="Verify every digest of a run.")
@click.argument("run", type=click.Path(path_type=Path))
def verify(run: Path) -> None:
    """Verify every file of RUN, or of one checkpoint, against its manifest.

    Ends with 77 if any byte differs from what was written.
    """
    from medlora.jobs import verify as job

    job.run(run)


@cli.command(name="model-pack", short_help="Package a base model for an offline site.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def model_pack(model: Path, out: Path) -> None:
    """Copy the base MODEL into the new folder OUT, with the SHA-256 of every file.

    Prints the SHA-256 of that list; send it by another channel than the folder.
    """
    from medlora.jobs import model_pack as job

    job.pack(model, out)


@cli.command(name="model-verify", short_help="Verify a packaged base model.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--expect", metavar="SHA256", help="SHA-256 of the list, as printed by `model-pack`.")
def model_verify(folder: Path, expect: str | None) -> None:
    """Verify every file of FOLDER, written by `model-pack`; exits with 77 if one differs."""
    from medlora.jobs import model_pack as job

    job.verify(folder, expect=expect)


@cli.command(short_help="Write the model cards of a run.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["hf", "chai", "all"]),
    default="all",
    help="Hugging Face's README.md, the Applied Model Card's XML, or both.",
)
@click.option(
    "--statements",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="YAML file with what only people can state.  [default: what the run was given]",
)
@_evaluations
@click.option("--strict", is_flag=True, help="Exit with 69 if anything is NOT PROVIDED.")
@click.option(
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder to write to.  [default: card in the run's folder]",
)
def card(run: Path, **options: Any) -> None:  # noqa: ANN401
    """Write the model cards of RUN from its manifest and from what people state.

    Each number names its source file; what only people can state reads NOT PROVIDED until they
    do.  `medlora train` leaves the same cards beside the adapter.
    """
    from medlora.jobs import card as job

    job.run(run, job.CardOptions(**options))


@cli.command(short_help="Write the HTML report of one run or several.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@_evaluations
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File to write.  [default: report.html in the run's folder; for several runs, here]",
)
def report(runs: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401
    """Write an HTML report of RUN, or of several runs side by side; it needs no network.

    Curves, evaluations with intervals, safety findings, data audit, privacy scan, what was run on
    what.  It holds no text of a row and no answer.  `medlora train` leaves the same page of a run
    in its folder; a run that has not finished is shown as far as its newest checkpoint.
    """
    from medlora.jobs import report as job

    job.run(runs, job.ReportOptions(**options))


@cli.command(short_help="Compare two runs.")
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option(
    "--statements",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="YAML file with what people state about the change.  [default: what RUN_B was given]",
)
@click.option(
    "--json", "as_json", metavar="FILE", type=click.Path(path_type=Path), help="Write JSON."
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a change record as Markdown: modifications, protocol, impact.",
)
def diff(run_a: Path, run_b: Path, **options: Path | None) -> None:
    """Compare two runs: data and base by digest, config, software, metrics, the gate's verdict."""
    from medlora.jobs import diff as job

    job.run(run_a, run_b, **options)


@cli.command(cls=_Computes, short_help="Generate answers: from a prompt, a file, a chat.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--prompt", "prompts", multiple=True, metavar="TEXT", help="A prompt; may be repeated."
)
@click.option(
    "--prompts",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="One prompt per line, or .jsonl with prompt or messages; - reads standard input.",
)
@click.option(
    "--chat",
    is_flag=True,
    help="Chat.  [default on a terminal, if there is no prompt]",
)
@click.option("--system", metavar="TEXT", help="System message before each prompt.")
@click.option("--compare", is_flag=True, help="Also show the base model's answer.")
@click.option("--model", metavar="FOLDER", help="Where the base is, if not where the run says.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one config key of the model section.",
)
@click.option(
    "--max-new-tokens", type=click.IntRange(1), default=300, help="Longest answer, in tokens."
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=8, help="Rows per batch; affects speed only."
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write JSON Lines to this file instead of printing.",
)
def generate(run: Path, *, model: str | None, overrides: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401
    """Generate answers with the adapter of RUN, greedily: the same answers every time.

    RUN is a run's folder, one of its checkpoints, or an adapter that PEFT saved.  Answers go to
    standard output, or to --output; no log has a word of them.  Ends with 77 if the base is not
    the one that the adapter was trained on.
    """
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(model=model, overrides=overrides), snapshot(), allow_demo=False)

    from medlora.jobs import generate as job

    job.run(run, plan, job.GenerateOptions(**options))


@cli.command(cls=_Computes, short_help="Merge an adapter into its base.")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", metavar="FOLDER", help="Where the base is, if not where the run says.")
@click.option(
    "--max-difference",
    type=click.FloatRange(0),
    help="Largest allowed difference of a logit.  [default: by the base's precision and by what "
    "the adapter changes]",
)
@click.pass_obj
def merge(
    stop: "Stop", /, *, run: Path, out: Path, model: str | None, max_difference: float | None
) -> None:
    """Merge the adapter of RUN into its unquantized base: the new folder OUT.

    It is in the base's precision, as safetensors with tokenizer, chat template and manifest, for
    whatever serves a plain model.  What was written is loaded again and compared with base and
    adapter; ends with 77, and no folder, where they differ by more than rounding.
    """
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(model=model), snapshot(), allow_demo=False)

    from medlora.jobs import merge as job

    job.run(run, out, plan, allowed=max_difference, stop=stop)


@cli.command(cls=_Computes, short_help="Repeat a run and compare the adapter's digest.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", metavar="PATH", help="Where the run's data is now, if it has moved.")
@click.option("--model", metavar="FOLDER", help="Where its base model is now, if it has moved.")
@click.pass_obj
def reproduce(stop: "Stop", /, *, run: Path, data: str | None, model: str | None) -> None:
    """Train RUN again from its manifest, beside it, and compare the adapter's SHA-256.

    Ends with 77 if the adapters differ, with 78 if data or base are not the run's.
    """
    from medlora.plan.gpu import check_gpu
    from medlora.runtime import snapshot

    check_gpu(snapshot())

    from medlora.jobs import reproduce as job

    job.run(run, data=data, model=model, stop=stop)


@cli.command(short_help="Find identifiers of people in data.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--config", metavar="FILE", help="Run config (YAML): data.columns, data.privacy.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one config key, e.g. data.columns.prompt=question; may be repeated.",
)
@click.option(
    "--json",
    "json_out",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one JSON line per finding: file, line, field, start, end, label.",
)
@click.option(
    "--redact",
    "redact_out",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Write a copy of the data with labels such as [DATE] in place of each finding.",
)
def scan(
    data: Path,
    config: str | None,
    overrides: tuple[str, ...],
    json_out: Path | None,
    redact_out: Path | None,
) -> None:
    """Find identifiers of people in DATA, a data file or a folder of them, and say where.

    Looks for the classes of HIPAA's Safe Harbor as far as text shows them; photographs, and voice
    and finger prints themselves, it cannot see.  What was found is told by place and class, never
    by its text.  Other field names: --set data.columns.prompt=question.

    Ends with 77 if identifiers with a form of their own were found (names and places only
    warn), unless a list or a redacted copy was asked for, or data.privacy is warn or off.
    """
    from medlora.jobs import scan as job
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    options = Options(config=config, data=str(data), overrides=overrides)
    cfg = resolve(options, snapshot(), allow_demo=False).resolved.config
    job.run(data, cfg.data, json_out=json_out, redact_out=redact_out)


@cli.command(cls=_Computes, short_help="Show what each row becomes.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--model", metavar="FOLDER", help="Base model.  [mount: /models; env: MEDLORA_MODEL]")
@click.option("--config", metavar="FILE", help="Run config (YAML): the data section.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help='Set one config key, e.g. data.chat_template_kwargs={"enable_thinking": false}.',
)
@click.option(
    "--row",
    "rows",
    type=click.IntRange(1),
    multiple=True,
    metavar="N",
    help="Show the row on line N; may be repeated.  [default: the first three rows]",
)
@click.option(
    "--json",
    "json_out",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one JSON line per example: row, ids, learn (0 or 1).",
)
@click.option("--text", "with_text", is_flag=True, help="With --json, also write text and learnt.")
def render(
    data: Path,
    *,
    rows: tuple[int, ...],
    json_out: Path | None,
    with_text: bool,
    **options: Any,  # noqa: ANN401  (click's options, typed in Options)
) -> None:
    """Show what each row of DATA becomes: its tokens, and which of them are learnt.

    This is the one command that SHOWS THE TEXT OF ROWS, on standard output or in the file that
    --json names; no log has any of it.  A row is one example, or one a turn where the base's chat
    template renders earlier turns in another way than the last.

    Ends with 65 if rows cannot be used with this base, after the others are shown.
    """
    from medlora.plan.quick_checks import look_for_base
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(data=str(data), **options), snapshot(), allow_demo=False)
    look_for_base(plan)

    from medlora.jobs import render as job

    job.run(plan, rows=rows, json_out=json_out, with_text=with_text)


@cli.group("audit-memory", short_help="Measure what an adapter has memorised.")
def audit_memory() -> None:
    """Measure what an adapter has memorised: planted secrets, and rows of its training data.

    `plant` inserts made-up secrets into a copy of the data; train on that copy; `measure`
    tells how exposed they are.  Without them, `measure` tries to continue training rows.
    """


@audit_memory.command(cls=_Computes, short_help="Copy the data with canaries inserted.")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--config", metavar="FILE", help="Run config, for the names of the columns.")
@click.option("--data", metavar="PATH", help="Folder with train.csv or the like, or one file.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set one config key.")
@click.option(
    "--copies",
    type=click.IntRange(0),
    multiple=True,
    default=(0, 1, 4, 16),
    help="How many rows get the same canary; 0 is a control; may be repeated.",
)
@click.option(
    "--each",
    type=click.IntRange(1),
    help="Canaries per number of copies.  [default: as many as fit, 8 at most]",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed of the canaries.")
def plant(
    out: Path,
    *,
    copies: tuple[int, ...],
    each: int | None,
    seed: int,
    **options: Any,  # noqa: ANN401
) -> None:
    """Write a copy of the data with canaries to the new folder OUT; the data itself is not changed.

    A canary is "Patient MRN is <8 digits>." at the beginning of an answer.
    """
    from medlora.jobs import plant as job
    from medlora.plan.resolve import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(**options), snapshot(), allow_demo=False)
    job.run(plan, out, copies=copies, each=each, seed=seed)


@audit_memory.command(cls=_Computes, short_help="Measure what a finished run has memorised.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--canaries",
    type=click.Path(path_type=Path),
    help="File written by `plant`.  [default: canaries.json beside the training file, if any]",
)
@click.option("--data", metavar="PATH", help="Where the run's data is now, if it has moved.")
@click.option("--model", metavar="FOLDER", help="Where its base model is now, if it has moved.")
@click.option("--rows", type=click.IntRange(0), default=200, help="Training rows that are sampled.")
@click.option(
    "--prefix", type=click.IntRange(0), default=16, help="Tokens of each answer that are given."
)
@click.option(
    "--match",
    type=click.IntRange(1),
    default=32,
    help="Tokens that must be continued verbatim to count.",
)
@click.option("--decoys", type=click.IntRange(1), default=1000, help="Decoys per canary.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=16, help="Rows per batch; affects speed only."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed of the sample.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: in RUN]")
def measure(
    run: Path,
    *,
    canaries: Path | None,
    data: str | None,
    model: str | None,
    out: Path | None,
    **settings: Any,  # noqa: ANN401
) -> None:
    """Measure what RUN's adapter has memorised that its base had not.

    Prints a table and writes RUN/memory-audit.json, which has numbers and no text of any row.
    """
    from medlora.plan.gpu import check_gpu
    from medlora.runtime import snapshot

    check_gpu(snapshot())

    from medlora.jobs import audit_memory as job

    chosen = job.Settings(**settings)
    job.run(run, chosen, canaries=canaries, data=data, model=model, out=out)


def main() -> NoReturn:
    """Run the command line and leave at once: taking torch apart lasts longer than a save."""
    try:
        run(guarded=True)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else _BUG
    end(code)


def end(code: int) -> NoReturn:
    """End this process without taking its modules apart; what registered for the end still runs.

    A signal is not heard any more: what there was to do is done.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()  # noqa: SLF001  (temporary folders, trackers; only this runs them)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full, which was told; or closed
            stream.flush()
    os._exit(code)


def run(*, guarded: bool = False) -> NoReturn:
    """Run the command line; an expected failure ends with its code and without a traceback.

    Args:
        guarded: close the network, for as long as this process lives.
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
        cli(prog_name="medlora", standalone_mode=False, obj=stop)
    except BaseException as error:  # noqa: BLE001  (the last line before the user; a panic too)
        _end_by(error)
    sys.exit(0)


def _end_by(error: BaseException) -> NoReturn:
    """Say why the command ends, and end with the code of it."""
    from medlora import logs
    from medlora.runtime.foreign import as_ours
    from medlora.runtime.stop import EXIT_CODE
    from medlora.runtime.streams import tell_at_once

    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, click.Abort | KeyboardInterrupt):
        tell_at_once(f"stopped by {signal.SIGINT.name}")
        sys.exit(EXIT_CODE)
    if isinstance(error, click.ClickException):
        told = escaped(error.format_message())  # a name may be among the words
        if logs.is_json():
            logs.complain(told, exit_code=error.exit_code)
        else:
            usage = StringIO()
            error.show(file=usage)
            logs.show(
                *usage.getvalue().replace(error.format_message(), told).splitlines(), err=True
            )
        _tell_platform(told, error.exit_code)
        sys.exit(error.exit_code)
    ours = error if isinstance(error, MedloraError) else as_ours(error)
    if ours is None:
        _report_bug(error)
        _tell_platform(f"{type(error).__name__}: a bug in MedLoRA", _BUG)
        sys.exit(_BUG)
    logs.complain(ours.problem, fix=ours.fix, exit_code=ours.exit_code)
    _tell_platform(str(ours), ours.exit_code)
    sys.exit(ours.exit_code)


def _tell_platform(cause: str, code: int) -> None:
    """Leave the cause where the platform looks for it; being stopped is no failure."""
    from medlora import runtime
    from medlora.runtime.stop import EXIT_CODE

    if code != EXIT_CODE:
        runtime.report_failure(runtime.snapshot(), cause)


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

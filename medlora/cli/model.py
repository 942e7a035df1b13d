"""Commands about a model: model-pack, model-verify, generate, merge."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medlora.cli import options
from medlora.cli.group import cli

if TYPE_CHECKING:
    from medlora.runtime import Stop


@cli.command(name="model-pack", short_help="Package a base model for an offline site.")
@click.argument("model", type=options.PATH)
@click.argument("out", type=options.PATH)
def model_pack(model: Path, out: Path) -> None:
    """Copy the base MODEL into the new folder OUT, with the SHA-256 of every file.

    Also prints the SHA-256 of the list of digests (SHA256SUMS); send it separately from the
    folder, e.g. by e-mail.
    """
    from medlora.jobs import model_pack as job

    job.pack(model, out)


@cli.command(name="model-verify", short_help="Verify a packaged base model.")
@click.argument("folder", type=options.PATH)
@click.option(
    "--expect", metavar="SHA256", help="SHA-256 of SHA256SUMS, as printed by `model-pack`."
)
def model_verify(folder: Path, expect: str | None) -> None:
    """Verify every file of FOLDER, written by `model-pack`.

    Exits with 77 if a file is missing, changed or added, or if SHA256SUMS is not as expected.
    """
    from medlora.jobs import model_pack as job

    job.verify(folder, expect=expect)


@cli.command(computes=True, short_help="Generate answers: from a prompt, a file, a chat.")
@options.RUN
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
@options.BASE_OF_RUN
@options.overrides("Set one config key of the model section.")
@options.max_new_tokens(300)
@options.batch_size(8)
@options.output_file("Write JSON Lines to this file instead of printing.")
def generate(run: Path, *, model: str | None, overrides: tuple[str, ...], **chosen: Any) -> None:  # noqa: ANN401
    """Generate answers with the adapter of RUN, greedily: the same answers every time.

    RUN is a run's folder, one of its checkpoints, or an adapter that PEFT saved.  Answers go to
    standard output, or to --output; they are never logged.  Exits with 77 if the base is not
    the one that the adapter was trained on.
    """
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(model=model, overrides=overrides), snapshot(), allow_demo=False)

    from medlora.jobs import generate as job

    job.run(run, plan, job.GenerateOptions(**chosen))


@cli.command(computes=True, short_help="Merge an adapter into its base.")
@options.RUN
@click.argument("out", type=options.PATH)
@options.BASE_OF_RUN
@click.option(
    "--max-difference",
    type=click.FloatRange(0),
    help="Largest allowed difference of a logit.  [default: derived from the base's precision "
    "and the size of the adapter's effect]",
)
@click.pass_obj
def merge(
    stop: "Stop", /, *, run: Path, out: Path, model: str | None, max_difference: float | None
) -> None:
    """Merge the adapter of RUN into its unquantized base and write the new folder OUT.

    OUT holds safetensors in the base's precision, tokenizer, chat template and manifest, for any
    server that loads Hugging Face models.  The merged model is reloaded and its logits are
    compared with those of base and adapter; if they differ by more than --max-difference, OUT is
    not written and the command exits with 77.
    """
    from medlora.plan.resolve_run import Options, resolve
    from medlora.runtime import snapshot

    plan = resolve(Options(model=model), snapshot(), allow_demo=False)

    from medlora.jobs import merge as job

    job.run(run, out, plan, allowed=max_difference, stop=stop)

"""The group of all commands, and what each declares of itself: that it fetches, that it computes.

A command's module registers it here (`@cli.command(...)`).  Nothing here imports torch, so that
`--help` and usage errors answer at once: heavy imports live inside the commands.
"""

from typing import Any

import click


class Command(click.Command):
    """A command, before which the network is sealed and the room for torch is looked at.

    Args:
        arguments: click's own.
        fetches: it may fetch from remote storage, or meet other workers, and seals the network by
            itself (`prepared`) once it knows that it does neither.
        computes: it imports torch, which wants addresses and a folder for temporary files.
        options: click's own.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401  (click's own)
        fetches: bool = False,
        computes: bool = False,
        **options: Any,  # noqa: ANN401  (click's own)
    ) -> None:
        super().__init__(*arguments, **options)
        self.fetches, self.computes = fetches, computes

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's own)
        """Do what the command does, where it can be done.

        Raises:
            StorageError: there is no folder for temporary files.
            OutOfMemoryError: torch itself would not fit.
        """
        from medlora.runtime import seal_network, snapshot
        from medlora.runtime.torch_import_memory import check_room

        if not self.fetches:
            seal_network(snapshot())
        if self.computes:
            check_room()
        return super().invoke(ctx)


class Group(click.Group):
    """A group whose commands, and those of groups within it, are sealed unless they fetch."""

    command_class = Command
    group_class = type


@click.group(
    cls=Group, context_settings={"show_default": True, "help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="medlora", prog_name="medlora")
def cli() -> None:
    """Fine-tune a medical language model with LoRA, offline and reproducibly.

    Mount data, a config and a base model; get an adapter with its audit trail:

    \b
      docker run --gpus all --network none \\
        -v ./data:/data:ro -v ./config:/config:ro -v ./model:/models:ro \\
        -v ./checkpoints:/checkpoints medlora train

    With nothing mounted, `train` runs a small demo.
    """  # noqa: D301  (click's mark for lines to leave alone is a real backspace)

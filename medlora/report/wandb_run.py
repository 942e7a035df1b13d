"""Weights & Biases, strictly offline: a run on the disk that a person may upload later."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from medlora.files import make_folder

PROJECT = "medical-lora-training"


class OfflineRun:
    """A run below `<folder>/wandb`; nothing is sent, whatever the environment says."""

    def __init__(self, folder: Path, *, name: str, config: Mapping[str, object]) -> None:
        wandb: Any = import_module("wandb")
        make_folder(folder)
        self._wandb = wandb
        self._run = wandb.init(
            project=PROJECT,
            name=name,
            config=dict(config),
            dir=str(folder),
            mode="offline",
            settings=wandb.Settings(
                console="off",  # no copy of what is printed
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                silent=True,
            ),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each named curve."""
        self._run.log(dict(metrics), step=step)

    def picture(self, name: str, path: Path) -> None:
        """Add a picture."""
        self._run.log({name: self._wandb.Image(str(path))})

    def close(self) -> None:
        """Finish the run; its folder is whole then."""
        self._run.finish()

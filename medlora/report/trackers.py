"""The trackers that `training.report_to` can name: each writes files, none sends anything."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from medlora.config import RunConfig
from medlora.report.tensorboard_events import EventFile
from medlora.report.wandb_run import OfflineRun


class Tracker(Protocol):
    """What gets every number beside metrics.jsonl."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point to each named curve."""

    def picture(self, name: str, path: Path) -> None:
        """Add a picture."""

    def close(self) -> None:
        """Finish."""


def start_trackers(
    names: Sequence[str], folder: Path, *, config: RunConfig, first_step: int
) -> list[Tracker]:
    """Return the named trackers, ready for the numbers from `first_step` on."""
    makers: dict[str, Callable[[], Tracker]] = {
        "tensorboard": lambda: EventFile(
            folder / "tensorboard", started=time.time(), first_step=first_step
        ),
        "wandb": lambda: OfflineRun(
            folder,
            name=f"medical-lora-{Path(config.model.base_model_name or 'unknown').name}",
            config=config.model_dump(exclude={"data"}),
        ),
    }
    return [makers[name]() for name in names]

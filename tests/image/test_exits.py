"""Every exit code of docs/troubleshooting.md, brought about as its row says.

A row's line for a shell is run as it stands there, but for the image's name and the network.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documented import exit_codes
from tests.image.conftest import Ended, RunImage, Started, StartImage

# What a container says that ends with the code.
SAID = {
    0: "image revision",
    2: "No such option '--dta'",
    65: "/bad.jsonl:1: not JSON",
    69: "no config.json in /models",
    70: "a bug in MedLoRA",  # no input is known that leads to one: the program is broken first
    73: "another run is writing here",
    74: "no folder for temporary files",
    77: "identifiers in classes that data.privacy: block refuses",
    78: "did you mean lora.r?",
    79: "the loss is nan",
    80: "ulimit -v leaves this process",
    135: "",  # the system leaves it no time to say anything
    137: "",
    143: "stopped by SIGTERM",
}
LINES = {
    code: found[1]
    for code, how in exit_codes().items()
    if (found := re.search(r"`([^`]*docker run --rm .*)`", how))
}
COMMAND = ("train", "--config", "recommended", "--set", "data.privacy=warn")
# Minutes of training, as what happens to a run must not come after its end; no test waits for it.
COMMAND += ("--set", "training.num_train_epochs=200")


@dataclass(frozen=True)
class Run:
    """A run that has started; its base is a copy that may be spoilt."""

    container: Started
    mounts: dict[str, Path]
    base: Path
    run_image: RunImage

    def once_more(self) -> Ended:
        """Start it a second time while it trains; return how that ends."""
        self.container.wait_for("step 2/")
        return self.run_image(*COMMAND, mounts=self.mounts)

    def cut_short(self) -> Ended:
        """Take the weights away while it trains."""
        self.container.wait_for("step 2/")
        os.truncate(self.base / "model.safetensors", 0)
        return self.container.end()

    def killed(self) -> Ended:
        """End it as the system does."""
        return self._docker("kill")

    def stopped(self) -> Ended:
        """Ask it to end, as a scheduler does."""
        return self._docker("stop")

    def _docker(self, verb: str) -> Ended:
        self.container.wait_for("paths: ")
        subprocess.run(["docker", verb, self.container.name], capture_output=True, check=True)
        return self.container.end()


CONDITIONS: dict[int, Callable[[Run], Ended]] = {
    73: Run.once_more,
    135: Run.cut_short,
    137: Run.killed,
    143: Run.stopped,
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that a container's user may read; pytest's own is private."""
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


@pytest.fixture
def started_run(
    own: Path,
    run_image: RunImage,
    start_image: StartImage,
    for_group_0: Callable[[Path], Path],
    demo_base: Path,
) -> Run:
    """Start a run on data and a base of its own."""
    (own / "data").mkdir()
    row = {"prompt": "How many tablets on day {n}?", "response": "Take {n} on day {n}."}
    rows = "".join(json.dumps(row).replace("{n}", str(n)) + "\n" for n in range(400))
    (own / "data/train.jsonl").write_text(rows, encoding="utf-8")
    base = shutil.copytree(demo_base, own / "base")
    mounts = {
        "/data:ro": own / "data",
        "/models:ro": base,
        "/checkpoints": for_group_0(own / "checkpoints"),
    }
    started = start_image(*COMMAND, mounts=mounts, env={"MEDLORA_LOG_INTERVAL_S": "0"})
    return Run(started, mounts, base, run_image)


@pytest.mark.parametrize("code", LINES)
def test_a_line_of_the_page_ends_with_its_code(code: int, image: str, own: Path) -> None:
    """And says why."""
    line = LINES[code].replace("docker run", "docker run --network none", 1)
    done = subprocess.run(
        ["bash", "-c", line.replace(" medlora ", f" {image} ", 1)],
        cwd=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert SAID[code] in done.stdout + done.stderr


@pytest.mark.parametrize("code", CONDITIONS)
def test_a_run_to_which_it_happens_ends_with_its_code(code: int, started_run: Run) -> None:
    """And says why, where it can."""
    ended = CONDITIONS[code](started_run)
    assert ended.rc == code, ended.said
    assert SAID[code] in ended.said

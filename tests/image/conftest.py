"""How these tests run the image: through a real engine, never with a network."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
UID = 12345  # no account of this number exists in the image

# The strictest way to run the image that its users are told about.
HARDENED = (
    *("--read-only", "--tmpfs", "/tmp"),  # noqa: S108  (a path in the container)
    *("--user", f"{UID}:0"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
)


@dataclass(frozen=True)
class Ended:
    """What is left of a container: its exit code and what it said."""

    rc: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        """Everything that it printed."""
        return self.stdout + self.stderr


RunImage = Callable[..., Ended]


@dataclass(frozen=True)
class Started:
    """A container that runs, with `docker run` as a process of ours."""

    name: str
    process: subprocess.Popen[str]

    def wait_for(self, text: str) -> None:
        """Read what it says, until a line begins with a text."""
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith(text):
                return
        pytest.fail(f"the container ended before {text!r}: {''.join(said)}")

    def end(self) -> Ended:
        """Wait for its end; return what it said since `wait_for`, on standard error alone."""
        assert self.process.stderr is not None
        said = self.process.stderr.read()
        return Ended(self.process.wait(), "", said)


StartImage = Callable[..., Started]


def _name() -> str:
    return f"medlora-test-{uuid.uuid4().hex[:12]}"


def _arguments(
    name: str, mounts: Mapping[str, Path] | None, env: Mapping[str, str] | None
) -> list[str]:
    volumes = [f"--volume={folder}:{path}" for path, folder in (mounts or {}).items()]
    variables = [f"--env={key}={value}" for key, value in (env or {}).items()]
    head = ["docker", "run", "--rm", "--network", "none", "--name", name]
    return [*head, *volumes, *variables]


@pytest.fixture(scope="session")
def image() -> str:
    """Name of the image under test."""
    name = os.environ.get("MEDLORA_IMAGE")
    if not name:
        pytest.skip("MEDLORA_IMAGE is unset: build an image (make image), then run make smoke")
    return name


@pytest.fixture(scope="session")
def inspected(image: str) -> dict[str, Any]:
    """The image's config, as the engine tells it."""
    told = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True)
    return json.loads(told.stdout)[0]["Config"]


@pytest.fixture(scope="session")
def run_image(image: str) -> RunImage:
    """Run the image hardened and without a network, and return what is left.

    Each of `mounts` is container path -> host folder; a path that ends in `:ro` is read-only.
    """

    def run(
        *command: str,
        mounts: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
        options: Sequence[str] = HARDENED,
        timeout_s: float = 900,
    ) -> Ended:
        name = _name()
        argv = [*_arguments(name, mounts, env), *options, image, *command]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            subprocess.run(["docker", "kill", name], capture_output=True, check=False)
            raise
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start_image(image: str) -> Iterator[StartImage]:
    """Start the image as `run_image` does, and return while it runs; gone with the test."""
    started: list[Started] = []

    def start(*command: str, mounts: Mapping[str, Path], env: Mapping[str, str]) -> Started:
        name = _name()
        argv = [*_arguments(name, mounts, env), *HARDENED, image, *command]
        process = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        started.append(Started(name, process))
        return started[-1]

    yield start
    for one in started:
        subprocess.run(["docker", "kill", one.name], capture_output=True, check=False)
        with one.process:  # closes the pipe, and waits
            pass


@pytest.fixture(scope="session")
def uid() -> int:
    """The user that containers run as."""
    return UID


@pytest.fixture(scope="session")
def demo_base() -> Path:
    """The small base model that the package ships."""
    return ROOT / "medlora" / "demo" / "base"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real data beside the repository."""
    folder = Path(os.environ.get("MEDLORA_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "medquad.jsonl").is_file():
        pytest.skip(f"no medquad.jsonl in {folder}")
    return folder


@pytest.fixture(scope="session")
def for_group_0() -> Callable[[Path], Path]:
    """Make a folder that a container of any user in group 0 may write to."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        # Only root can give a folder to group 0; without it, everybody must be let in.
        folder.chmod(0o775 if os.getuid() == 0 else 0o777)
        return folder

    return make


@dataclass(frozen=True)
class Demo:
    """The run's folder, its manifest, and what the container said."""

    folder: Path
    manifest: dict
    said: str


@pytest.fixture(scope="session")
def demo(run_image, for_group_0, tmp_path_factory) -> Demo:
    """The demo, trained by the image in the strictest setting."""
    checkpoints = for_group_0(tmp_path_factory.mktemp("demo") / "checkpoints")
    ended = run_image("train", mounts={"/checkpoints": checkpoints})
    assert ended.rc == 0, ended.said
    folder = checkpoints / "demo"
    manifest = json.loads((folder / "final" / "manifest.json").read_text(encoding="utf-8"))
    return Demo(folder, manifest, ended.said)

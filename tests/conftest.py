"""Small real objects for all tests: a Llama of two layers, its tokenizer, a clean environment."""

import gc
import os
import shutil
import signal

# Before torch is imported anywhere: models this small only lose by a second thread, and much
# when the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny

pytest_plugins = ["tests.tough"]
MANY = 100_000  # objects, more than a test makes

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's choice is inherited; tests make their own


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts without our variables, offline, in a folder of its own."""
    for name in list(os.environ):
        if name.startswith(("MEDLORA_", "AWS_", "GOOGLE_", "SM_", "AIP_", "SLURM_", "PET_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_old_garbage() -> None:
    """Leave what is loaded out of collections: a million objects, 0.3 s each time.

    Whoever forks workers collects garbage before; that, and a run, put all of it back.
    """
    if len(gc.get_objects(generation=2)) < MANY:
        gc.collect()  # of the last test alone
    gc.freeze()


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps its state in the process; a test must not inherit it."""
    yield
    import sys

    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def pictures() -> None:
    """Whoever asks for this has curves drawn, as with the extra `plots`."""


@pytest.fixture(autouse=True)
def _no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are those of an installation without the extra `plots`: to draw is half of a short one.

    A picture takes 0.5 s, as long as all the rest of a run of nine steps.
    """
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr("medlora.report.curves_png.can_draw", lambda: False)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 400 entries with a chat template."""
    return tiny.save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(tokenizer_folder: Path):
    """The small tokenizer, fresh for each test."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture
def chat(tokenizer):
    """The small tokenizer with its chat template."""
    from medlora.data.chat.chat import Chat

    return Chat(tokenizer)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A Llama of two layers with random weights, saved with the small tokenizer."""
    folder = tmp_path_factory.mktemp("base")
    tiny.llama().save_pretrained(folder)
    shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """Twelve prompt/response rows with unequal answers."""
    return tiny.twelve_rows()


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[str, list[dict[str, str]]], Path]:
    """Write rows as a JSON Lines file below the test's folder and return its path."""
    return lambda name, rows: tiny.write_rows(tmp_path / name, rows)


@pytest.fixture
def data_file(write_jsonl, rows: list[dict[str, str]]) -> Path:
    """The rows as a JSON Lines file."""
    return write_jsonl("data/train.jsonl", rows)


@pytest.fixture
def adapted(base_folder: Path):
    """Make the small Llama with an adapter of a given size; 0 changes nothing."""
    from medlora.config import LoraConfig, ModelConfig
    from medlora.model.adapter import attach
    from medlora.model.base import load_base

    def make(size: float = 0.3):
        model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1)
        return tiny.enliven(model, size=size).eval()

    return make


@pytest.fixture
def workers(tmp_path: Path) -> Callable[..., list[object]]:
    """Return a function that has so many workers do something and returns what each came to."""
    from tests.forks import run_forked

    return lambda count, work: run_forked(count, work, tmp_path)


@pytest.fixture
def stop_after_two_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Begin a run and have it end as after a SIGTERM, with two steps done."""
    from medlora.errors import StoppedError
    from medlora.jobs import train
    from medlora.runtime import Stop
    from medlora.train import loop

    original = loop.learning_rate

    def begin(plan) -> None:
        stop, steps = Stop(), []

        def rate(step, **schedule):
            steps.append(step)
            if len(steps) == 3:  # once a step, before it is taken
                stop.requested = signal.SIGTERM.name
            return original(step, **schedule)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "learning_rate", rate)
            with pytest.raises(StoppedError):
                train.run(plan, stop=stop)

    return begin

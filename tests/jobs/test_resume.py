"""A run that is interrupted anywhere ends with the bits of one that was not."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from accelerate import Accelerator

from medlora import files
from medlora.checkpoint import folder_format, resume
from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import ConfigError, StoppedError
from medlora.evaluate import loss
from medlora.jobs import train
from medlora.plan.resolve_run import Plan
from medlora.runs import folder, folder_contents
from medlora.runtime import Stop
from medlora.train import loop
from medlora.trainer import attempt, medical_lora_trainer
from medlora.trainer.duties import Duties
from medlora.trainer.run_checkpoints import Commits

pytestmark = pytest.mark.slow

Make = Callable[..., Plan]


@pytest.fixture
def stop() -> Iterator[Stop]:
    """A listener for real signals; the handlers are put back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    listener = Stop()
    listener.listen()
    yield listener
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def signal_at(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, call: int, number: int
) -> None:
    """Send this process a signal at the n-th call of a function, before it does its work."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


# (where, function, which call): micro-batches, optimizer, evaluation, checkpoint, metrics, pruning.
POINTS = {
    "base evaluation": (loss, "pieces_of", 1),
    "first micro-batch": (loop, "seed_micro_batch", 1),
    "between micro-batches": (loop, "seed_micro_batch", 6),
    "last micro-batch": (loop, "seed_micro_batch", 8),
    "before the weights change": (Accelerator, "clip_grad_norm_", 3),
    "second epoch": (loop, "seed_micro_batch", 17),
    "evaluation begins": (medical_lora_trainer, "held_out_loss", 2),
    "in an evaluation": (loss, "pieces_of", 4),
    "metrics": (files.disk, "append", 3),
    "best model is written": (files.disk, "create", 6),
    "checkpoint begins": (Commits, "save", 1),
    "checkpoint is written": (folder_contents, "write_checkpoint", 2),
    "pruning": (folder_contents, "prune", 1),
    "after the last step": (Duties, "result", 1),
}


@pytest.mark.parametrize(("owner", "name", "call"), POINTS.values(), ids=POINTS.keys())
def test_a_signal_anywhere_costs_no_completed_step(
    tough_plan: Make,
    outcome_of,
    stop: Stop,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    call: int,
) -> None:
    """143 with the last completed step committed; resumed, the same adapter and metrics."""
    train.run(tough_plan("straight"))
    expected = outcome_of("straight")
    with monkeypatch.context() as patch:
        signal_at(patch, owner, name, call, signal.SIGTERM)
        taken: list[int] = []
        original = Duties.count

        def count(self, result):
            taken.append(result.step)
            original(self, result)

        patch.setattr(Duties, "count", count)
        if owner is Duties:
            train.run(tough_plan("cut"), stop=stop)  # nothing is left to stop: it is done
        else:
            with pytest.raises(StoppedError) as error:
                train.run(tough_plan("cut"), stop=stop)
            assert error.value.exit_code == 143
            run = Path(tough_plan("cut").resolved.config.training.output_dir) / "cut"
            assert not (run / "final").exists()
            if taken:
                assert read_manifest(run / f"step_{taken[-1]}")["step"] == taken[-1]
            train.run(tough_plan("cut"))
    assert outcome_of("cut") == expected


def test_many_interruptions_in_a_row_change_nothing(
    tough_plan: Make, outcome_of, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in every single step, and going on each time."""
    train.run(tough_plan("straight"))
    attempts = 0
    while True:
        fresh = Stop()
        fresh.listen()
        with monkeypatch.context() as patch:
            signal_at(patch, loop, "seed_micro_batch", 7, signal.SIGINT)
            attempts += 1
            try:
                train.run(tough_plan("cut"), stop=fresh)
            except StoppedError:
                continue
            break
    assert attempts > 5
    assert outcome_of("cut") == outcome_of("straight")


def test_sigusr1_saves_after_the_present_step_and_goes_on(
    tough_plan: Make, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint on demand, at a step that no interval asks for."""
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "seed_micro_batch", 9, signal.SIGUSR1)
        saved: list[str] = []
        original = folder_contents.write_checkpoint
        patch.setattr(
            folder_contents,
            "write_checkpoint",
            lambda folder, *rest: (saved.append(folder.name), original(folder, *rest)),
        )
        train.run(tough_plan("usr", "training.save_steps=100"), stop=stop)
    assert "step_3" in saved
    assert (tmp_path / "out/usr/final").is_dir()


def test_the_newest_valid_checkpoint_is_used_and_the_others_are_named(
    tough_plan: Make, tmp_path: Path, outcome_of, capsys: pytest.CaptureFixture[str]
) -> None:
    """Damage to the newest costs its steps, is said in a line, and changes no bit of the end."""
    from medlora import logs

    train.run(tough_plan("straight"))
    run = tmp_path / "out/cut"
    shutil.copytree(tmp_path / "out/straight", run)
    shutil.rmtree(run / "final")
    for name in ("epoch_3", "step_8"):
        weights = run / name / "optimizer.safetensors"
        if weights.exists():
            content = bytearray(weights.read_bytes())
            content[len(content) // 2] ^= 4
            weights.write_bytes(content)
    logs.set_up()
    train.run(tough_plan("cut"))
    lines = capsys.readouterr().err.splitlines()
    skipped = [line for line in lines if "is skipped" in line]
    assert any("optimizer.safetensors was changed" in line for line in skipped)
    assert any(line.startswith("going on from") for line in lines)
    assert list(run.glob("broken-epoch_3-*"))
    digest, metrics = outcome_of("straight")
    assert outcome_of("cut") == (digest, metrics)


def test_no_valid_checkpoint_means_starting_over(
    tough_plan: Make, tmp_path: Path, outcome_of
) -> None:
    """Even then nothing is stuck."""
    train.run(tough_plan("straight"))
    shutil.copytree(tmp_path / "out/straight", tmp_path / "out/cut")
    shutil.rmtree(tmp_path / "out/cut/final")
    for checkpoint in resume.checkpoints(tmp_path / "out/cut"):
        (checkpoint / "manifest.json").unlink()
    train.run(tough_plan("cut"))
    assert outcome_of("cut") == outcome_of("straight")


def stopped(plan: Plan, monkeypatch: pytest.MonkeyPatch, stop: Stop) -> None:
    """Run a plan until its third step."""
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "seed_micro_batch", 10, signal.SIGTERM)
        with pytest.raises(StoppedError):
            train.run(plan, stop=stop)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("training.learning_rate=3e-3", "training.learning_rate: 0.01 then, 0.003 now"),
        ("training.seed=7", "training.seed: 42 then, 7 now"),
        ("training.gradient_accumulation_steps=2", "training.gradient_accumulation_steps: 4 then"),
        ("lora.lora_alpha=1", "lora.lora_alpha: 64 then, 1 now"),
    ],
)
def test_another_config_is_refused_field_by_field(
    tough_plan: Make, stop: Stop, monkeypatch: pytest.MonkeyPatch, override: str, line: str
) -> None:
    """78, both values, and the ways out; nothing is trained."""
    stopped(tough_plan("cut"), monkeypatch, stop)
    with pytest.raises(ConfigError) as error:
        train.run(tough_plan("cut", override))
    assert line in str(error.value)
    assert "--allow-change" in str(error.value)


def test_other_data_and_another_base_are_refused(
    tough_plan: Make, data_file: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By digest, whatever the file's name and date say."""
    stopped(tough_plan("cut"), monkeypatch, stop)
    before = data_file.read_bytes()
    data_file.write_bytes(before.replace(b"pain", b"head"))
    with pytest.raises(ConfigError, match=r"data\.train: SHA-256 .* then, SHA-256 .* now"):
        train.run(tough_plan("cut"))
    data_file.write_bytes(before)
    base = shutil.copytree(
        tough_plan("cut").resolved.config.model.base_model_name, tmp_path / "base"
    )
    weights = Path(base) / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ConfigError, match=r"base\.model\.safetensors: SHA-256"):
        train.run(tough_plan("cut", f"model.base_model_name={base}"))


def test_a_change_can_be_allowed_by_name_and_is_recorded(
    tough_plan: Make, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on with another learning rate is a decision, and the manifest has it."""
    stopped(tough_plan("cut"), monkeypatch, stop)
    allow = ("training.learning_rate",)
    train.run(tough_plan("cut", "training.learning_rate=3e-3"), allow=allow)
    manifest = read_manifest(tmp_path / "out/cut/final")
    assert manifest["allowed_changes"] == ["training.learning_rate"]


def test_an_allowed_change_is_remembered_by_later_attempts(
    tough_plan: Make, tmp_path: Path, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Allowed once, stopped again, finished without a word: the manifest still has it."""
    stopped(tough_plan("cut"), monkeypatch, stop)
    changed = tough_plan("cut", "training.learning_rate=3e-3")
    again = Stop()
    again.listen()
    with monkeypatch.context() as patch:
        signal_at(patch, loop, "seed_micro_batch", 7, signal.SIGTERM)
        with pytest.raises(StoppedError):
            train.run(changed, stop=again, allow=("training.learning_rate", "lora.r"))
    train.run(changed)
    manifest = read_manifest(tmp_path / "out/cut/final")
    assert manifest["allowed_changes"] == ["training.learning_rate"]


def test_fresh_sets_aside_and_starts_over(
    tough_plan: Make, tmp_path: Path, outcome_of, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost: the old folder has another name."""
    train.run(tough_plan("straight"))
    stopped(tough_plan("cut"), monkeypatch, stop)
    train.run(tough_plan("cut"), fresh=True)
    assert outcome_of("cut") == outcome_of("straight")
    assert list((tmp_path / "out/cut.old-1").glob("step_*"))


def test_step_checkpoints_are_pruned_and_epochs_and_the_best_stay(
    tough_plan: Make, tmp_path: Path
) -> None:
    """save_total_limit counts steps alone."""
    train.run(tough_plan("straight", "training.save_steps=1"))
    names = {path.name for path in (tmp_path / "out/straight").iterdir() if path.is_dir()}
    assert names == {"step_8", "step_9", "epoch_1", "epoch_2", "epoch_3", "best_model", "final"}


def test_a_run_that_ended_meanwhile_is_left_as_it_is(
    tough_plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run had the lock at the first look, and its result is there at the second."""
    train.run(tough_plan("cut"))
    final, hidden = tmp_path / "out/cut/final", tmp_path / "final"
    final.rename(hidden)
    before = (hidden / "manifest.json").read_bytes()
    sweep = attempt.sweep

    def appear(folder: Path) -> list[str]:
        hidden.rename(final)
        return sweep(folder)

    monkeypatch.setattr(attempt, "sweep", appear)
    train.run(tough_plan("cut"))
    assert (final / "manifest.json").read_bytes() == before


def test_going_on_with_other_versions_is_said(
    tough_plan: Make,
    stop: Stop,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The bits need the same versions: a line for each that is another."""
    from medlora import logs

    logs.set_up()
    stopped(tough_plan("cut"), monkeypatch, stop)
    then = {**folder.software(), "torch": "1.0"}
    monkeypatch.setattr(folder, "software", lambda: then)
    train.run(tough_plan("cut"))
    said = [
        line for line in capsys.readouterr().err.splitlines() if "may not be bit-identical" in line
    ]
    assert len(said) == 1
    assert said[0].startswith("warning: torch is 1.0 here and ")


@pytest.mark.parametrize("odd", [{"unheard_of": 1}, {"best": 3}])
def test_a_checkpoint_of_another_version_is_refused(  # whole, by its digests
    tough_plan: Make,
    tmp_path: Path,
    stop: Stop,
    monkeypatch: pytest.MonkeyPatch,
    odd: dict[str, object],
) -> None:
    """78 with the way out, not a bug."""
    stopped(tough_plan("cut"), monkeypatch, stop)
    folder = max((tmp_path / "out/cut").glob("step_*"))
    manifest = read_manifest(folder)
    contents = {name: (folder / name).read_bytes() for name in manifest["files"]}
    progress = json.loads(contents["progress.json"])
    contents["progress.json"] = files.json_bytes(progress | odd)
    facts = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
    folder_format.write_checkpoint(folder, contents, facts)
    with pytest.raises(ConfigError, match="written by another version"):
        train.run(tough_plan("cut"))

"""--fresh: whatever can refuse the new run does so before the old one is moved."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora import logs
from medlora.checkpoint.folder_format import write_checkpoint
from medlora.errors import ConfigError, DataError, MedloraError, MissingPartError, StorageError
from medlora.files import sha256_file, sha256_files
from medlora.jobs import train, verify
from medlora.plan.resolve_run import Plan

Make = Callable[..., Plan]


def taken(place: Path) -> str:
    """A folder with the result of other inputs."""
    write_checkpoint(place / "taken", {"adapter": b"x"}, {"kind": "run", "inputs": {"lora.r": 99}})
    return f"training.final_dir={place / 'taken'}"


def filled(place: Path) -> str:
    """A folder with something else."""
    (place / "filled").mkdir()
    (place / "filled/notes.txt").touch()
    return f"training.final_dir={place / 'filled'}"


def unfit(place: Path) -> str:
    """A file of rows of which one is none."""
    (place / "unfit.jsonl").write_text('{"prompt": "a", "response": "b"}\n' * 9 + '{"prompt": 1}\n')
    return f"data.train_file={place / 'unfit.jsonl'}"


def twice(place: Path) -> str:
    """Evaluation rows that stand in the training rows; data.leakage has to refuse them."""
    shutil.copy(place / "data/train.jsonl", place / "eval.jsonl")
    return f"data.eval_file={place / 'eval.jsonl'}"


REFUSALS: dict[str, tuple[Callable[[Path], str], type[MedloraError]]] = {
    "the result of others": (taken, ConfigError),
    "a folder of something else": (filled, ConfigError),
    "inside of the run": (lambda at: f"training.final_dir={at / 'out/run/copy'}", ConfigError),
    "bad rows": (unfit, DataError),
    "rows on both sides": (twice, DataError),
    "no such base": (lambda _: "model.base_model_name=/nowhere", MissingPartError),
    "no such layers": (lambda _: "lora.target_modules=no_proj", ConfigError),
    "no such questions": (lambda at: f"training.generation_prompts={at / 'none'}", MedloraError),
    "a result that cannot be written": (
        lambda at: f"training.final_dir=/proc/{at.name}",
        StorageError,
    ),
}


@pytest.mark.parametrize(("spoil", "error"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_moves_nothing(
    finished: Path,
    tmp_path: Path,
    tough_plan: Make,
    spoil: Callable[[Path], str],
    error: type[MedloraError],
) -> None:
    """Every byte of the finished run is where it was, its lock's holder aside."""
    plan = tough_plan(
        "run", "data.leakage=fail", "training.generation_steps=2", spoil(tmp_path), "lora.r=8"
    )
    before = sha256_files(finished)
    with pytest.raises(error):
        train.run(plan, fresh=True)
    after = sha256_files(finished)
    assert {name: one for name, one in after.items() if name != ".lock"} == {
        name: one for name, one in before.items() if name != ".lock"
    }
    assert not list(finished.parent.glob("run.old-*"))


def test_a_finished_run_is_not_delivered_over_the_result_of_another(
    finished: Path, tmp_path: Path, tough_plan: Make
) -> None:
    """Started again with --output where something else is: 78, and that is as it was."""
    place = taken(tmp_path)
    before = sha256_files(tmp_path / "taken")
    with pytest.raises(ConfigError, match="holds the result of other inputs"):
        train.run(tough_plan("run", place))
    assert sha256_files(tmp_path / "taken") == before
    train.run(tough_plan("run", place, "training.overwrite_final_dir=true"))
    assert sha256_files(tmp_path / "taken") == sha256_files(finished / "final")


@pytest.mark.slow
def test_night_after_night(
    finished: Path, tmp_path: Path, tough_plan: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """New data each night: one place of results, `latest`, and one run of the past."""
    logs.set_up()
    digests = []
    for night in range(3):
        plan = tough_plan(
            "run",
            f"training.seed={night}",
            "training.max_steps=2",
            f"training.final_dir={tmp_path / 'result'}",
            "training.overwrite_final_dir=true",
            "training.keep_old_runs=1",
        )
        train.run(plan, fresh=True)
        verify.run(tmp_path / "result")
        verify.run(tmp_path / "out/latest")
        digests.append(sha256_file(tmp_path / "result/adapter_model.safetensors"))
        assert sha256_files(tmp_path / "result") == sha256_files(finished / "final")
    assert len(set(digests)) == 3
    assert [path.name for path in finished.parent.glob("run.old-*")] == ["run.old-3"]
    assert (finished.parent / "run.old-3/data_audit.json").is_file()
    said = capsys.readouterr().err
    assert said.count("is deleted: training.keep_old_runs is 1") == 2

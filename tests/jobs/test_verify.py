"""A run is what it says it is, or verify names what is not."""

from pathlib import Path

import pytest

from medlora.errors import IntegrityError, MissingPartError
from medlora.jobs import train, verify


@pytest.fixture
def run(tough_plan, tmp_path: Path) -> Path:
    """A finished run."""
    train.run(tough_plan("a"))
    return tmp_path / "out/a"


def test_every_folder_has_its_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoints, the best one and the result."""
    capsys.readouterr()
    verify.run(run)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert {line.split()[1].rstrip(":") for line in lines} == {
        path.name for path in run.iterdir() if path.is_dir()
    }


def test_damage_is_named_and_ends_with_77(run: Path) -> None:
    """One bit is enough; a checkpoint without a manifest is damaged too."""
    weights = run / "final/adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (run / "epoch_1/manifest.json").unlink()
    with pytest.raises(IntegrityError) as error:
        verify.run(run)
    assert error.value.exit_code == 77
    assert "final: adapter_model.safetensors was changed" in str(error.value)
    assert "epoch_1: it has no manifest" in str(error.value)
    with pytest.raises(IntegrityError):
        verify.run(run / "final")
    verify.run(run / "epoch_2")


def test_nothing_to_check_is_an_error(tmp_path: Path) -> None:
    """69 for an empty folder and for none."""
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(MissingPartError):
            verify.run(place)

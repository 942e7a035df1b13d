"""SageMaker's texts become settings, each by one key; all that cannot is told at once."""

import json
from pathlib import Path

import pytest

from medlora.config import load
from medlora.config.sagemaker_hyperparameters import from_hyperparameters
from medlora.errors import ConfigError


@pytest.fixture
def write(tmp_path: Path):
    """Write hyperparameters.json and return its path."""

    def write(content: object) -> Path:
        file = tmp_path / "hyperparameters.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return write


def test_texts_become_values(write) -> None:
    """Whole keys and unambiguous ends; numbers, words, lists, quotes, Python's own words."""
    file = write(
        {
            "run_name": "0042",
            "training.learning_rate": "1e-4",
            "r": "8",
            "use_dora": "True",
            "target_modules": "[q_proj, v_proj]",
            "max_steps": "null",
            "lr_scheduler_type": '"linear"',
            "max_length": 128,
            "sagemaker_program": '"train.py"',
            "_tuning_objective_metric": "loss",
        }
    )
    resolved = load(from_hyperparameters(file))
    cfg = resolved.config
    assert cfg.run_name == "0042"
    assert cfg.training.learning_rate == 1e-4
    assert cfg.training.max_steps is None
    assert cfg.training.lr_scheduler_type == "linear"
    assert (cfg.lora.r, cfg.lora.use_dora) == (8, True)
    assert cfg.lora.target_modules == ["q_proj", "v_proj"]
    assert cfg.data.max_length == 128
    assert resolved.origin("lora.r") == f"{file}, r"


def test_all_that_does_not_parse_is_told_at_once(write) -> None:
    """78: the name, the kind of the value, and never the value."""
    file = write({"seed": "[1, 2", "run_name": "a: b", "lora": {"r": 8}, "r": "8", "lora.r": "9"})
    with pytest.raises(ConfigError) as error:
        from_hyperparameters(file)
    text = str(error.value)
    assert "4 problems" in text
    assert f"{file}, seed: not a YAML value (got a string of 5 characters)" in text
    assert f"{file}, run_name: must be one value or a list (got a mapping" in text
    assert f"{file}, lora: must be a string (got an object)" in text
    assert f"{file}, r and lora.r: both set lora.r" in text
    assert error.value.exit_code == 78


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"learning_ratee": "1"},
            "learning_ratee: unknown key .* did you mean training.learning_r",
        ),
        ({"learning_rate": "fast"}, "learning_rate: training.learning_rate must be a number"),
        ({"lora": "8"}, "lora: lora is a section"),
    ],
)
def test_what_is_no_setting_is_refused_like_any_other(values, says: str, write) -> None:
    """With the file and the name that a person wrote there."""
    with pytest.raises(ConfigError, match=rf"hyperparameters\.json, {says}"):
        load(from_hyperparameters(write(values)))


def test_a_name_of_two_keys_has_to_be_whole(write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them is meant is not guessed."""
    keys = frozenset({"a.path", "b.path"})
    monkeypatch.setattr("medlora.config.sagemaker_hyperparameters.KEYS", keys)
    with pytest.raises(ConfigError, match=r"path: could be a\.path or b\.path: write the whole"):
        from_hyperparameters(write({"path": "x"}))
    (setting,) = from_hyperparameters(write({"a.path": "x"}))
    assert setting.path == ("a", "path")


@pytest.mark.parametrize("content", ["{", "[]", '"x"'])
def test_a_file_that_is_no_object_is_refused(content: str, write) -> None:
    """78, with the file's name and the form it should have."""
    with pytest.raises(ConfigError, match=r"hyperparameters\.json: (not JSON|must be a JSON obj)"):
        from_hyperparameters(write(content))

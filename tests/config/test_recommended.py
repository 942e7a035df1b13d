"""configs/: every file is a valid config, and the recommended one says what the issue says."""

from pathlib import Path

import pytest

from medlora.config import RunConfig, load
from medlora.config.yaml_file import from_yaml

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_every_shipped_config_is_valid(file: Path) -> None:
    """No file in configs/ has an unknown key or a bad value."""
    load(from_yaml(file))


def test_recommended_is_the_defaults_said_out_loud() -> None:
    """The recommended file and the schema cannot drift apart."""
    assert load(from_yaml(CONFIGS / "recommended.yaml")).config == RunConfig()


def test_the_public_name_has_the_recommended_values() -> None:
    """medlora.RECOMMENDED_CONFIG is a nested dict of the same values."""
    import medlora

    training, lora = (medlora.RECOMMENDED_CONFIG[name] for name in ("training", "lora"))
    assert training["num_train_epochs"] == 3
    assert training["per_device_train_batch_size"] == 2
    assert training["gradient_accumulation_steps"] == 4
    assert training["learning_rate"] == 1e-4
    assert training["warmup_steps"] == 100
    assert training["max_grad_norm"] == 1.0
    assert training["weight_decay"] == 0.01
    assert training["gradient_checkpointing"] == "auto"  # the seed's true, where memory is short
    assert (training["logging_steps"], training["eval_steps"], training["save_steps"]) == (
        10,
        200,
        500,
    )
    assert lora["r"] == 32
    assert lora["lora_alpha"] == 64
    assert lora["lora_dropout"] == 0.1
    assert lora["target_modules"] == "auto"

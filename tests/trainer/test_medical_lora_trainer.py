"""The seed's trainer, used as the seed shows."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import medlora
from medlora.checkpoint.folder_format import read_manifest
from medlora.config import LoraConfig, ModelConfig
from medlora.data.batches import eval_loader, train_loader
from medlora.data.micro_batches import Collate
from medlora.data.token_rows import Row
from medlora.errors import ConfigError
from medlora.model.adapter import attach
from medlora.model.base import load_base


@pytest.fixture
def loaders():
    """Training and evaluation batches of a few small rows."""
    rows = [
        Row((np.arange(8 + n) * (n + 1) % 400).astype(np.int32), np.arange(8 + n) >= 3)
        for n in range(10)
    ]
    collate = Collate("packed", batch_size=2, max_length=18, pad_id=0)
    return (
        train_loader(rows[:8], collate, step_rows=4, seed=1),
        eval_loader(rows[8:], collate, batch_size=2),
    )


def model(base_folder: Path):
    """The small Llama with an adapter."""
    return attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=2), seed=1)


def config(tmp_path: Path) -> dict[str, dict[str, object]]:
    """The seed's form of a config: nested dicts."""
    return {
        "training": {
            "num_train_epochs": 2,
            "learning_rate": 1e-2,
            "warmup_steps": 0,
            "gradient_accumulation_steps": 2,
            "output_dir": str(tmp_path / "out"),
        }
    }


def test_train_does_it_all(base_folder: Path, tokenizer, tmp_path: Path, loaders) -> None:
    """Evaluates, keeps the best, saves each epoch, returns the outcome."""
    trainer = medlora.MedicalLoRATrainer(
        model(base_folder), tokenizer, *loaders, config=config(tmp_path)
    )
    result = trainer.train()
    assert result.steps == trainer.engine.total_steps == 4
    assert result.best_eval_loss is not None
    assert result.base_eval_loss is not None
    assert result.best_eval_loss < result.base_eval_loss
    for name in ("best_model", "epoch_1", "epoch_2"):
        assert read_manifest(tmp_path / "out/run" / name)


def test_steps_is_a_generator_that_saves_nothing(
    base_folder: Path, tokenizer, tmp_path: Path, loaders
) -> None:
    """Whoever wants another policy takes the steps one by one."""
    trainer = medlora.MedicalLoRATrainer(
        model(base_folder), tokenizer, loaders[0], config=config(tmp_path)
    )
    steps = trainer.steps()
    first = next(steps)
    assert isinstance(first, medlora.StepResult)
    assert first.step == 1
    assert trainer.evaluate() is None
    assert [result.step for result in steps] == [2, 3, 4]
    assert not (tmp_path / "out").exists()


def test_speed_is_that_of_the_steps_alone(
    base_folder: Path, tokenizer, tmp_path: Path, loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that steps move by 2 s, evaluations by 1,000 and savings by 300."""
    from medlora.train import loop
    from medlora.trainer import medical_lora_trainer, observer, run_checkpoints

    clock = [0.0]

    def slow(module: object, name: str, seconds: float) -> None:
        original = getattr(module, name)

        def later(*given: object, **named: object) -> object:
            clock[0] += seconds
            return original(*given, **named)

        monkeypatch.setattr(module, name, later)

    for module in (loop, observer, run_checkpoints):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    slow(loop, "learning_rate", 2)  # once a step
    slow(medical_lora_trainer, "held_out_loss", 1000)
    slow(run_checkpoints.Commits, "save", 300)
    stated = config(tmp_path)
    stated["training"] |= {"logging_steps": 1, "eval_steps": 1}
    ours = medlora.MedicalLoRATrainer(model(base_folder), tokenizer, *loaders, config=stated)
    assert ours.train().wall_s > 5 * 1000
    lines = (tmp_path / "out/run/metrics.jsonl").read_text().splitlines()
    records = [record for line in lines if (record := json.loads(line))["kind"] == "train"]
    assert len(records) == 4
    for record in records:
        assert record["tokens_per_s"] == pytest.approx(record["tokens"] / 2, abs=0.1)
        assert record["memory_bytes"] <= record["memory_peak_bytes"]


def test_a_typo_in_the_config_is_an_error(base_folder: Path, tokenizer, loaders) -> None:
    """Unlike the seed's .get(), which would train with the default."""
    with pytest.raises(ConfigError, match=r"did you mean training\.learning_rate"):
        medlora.MedicalLoRATrainer(
            model(base_folder), tokenizer, loaders[0], config={"training": {"learning_rat": 1}}
        )


def test_loraplus_reaches_the_optimizer(base_folder: Path, tokenizer, tmp_path, loaders) -> None:
    """B's group learns at the ratio of the rate that the step reports."""
    stated = config(tmp_path) | {"lora": {"loraplus_lr_ratio": 16}}
    trainer = medlora.MedicalLoRATrainer(model(base_folder), tokenizer, loaders[0], config=stated)
    result = next(trainer.steps())
    rates = [group["lr"] for group in trainer.engine.optimizer.param_groups]
    assert rates == [result.learning_rate, 16 * result.learning_rate]

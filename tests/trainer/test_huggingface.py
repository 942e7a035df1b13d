"""The seed's path over Hugging Face's Trainer, used as the seed shows, on the pinned version."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

import medlora
from medlora.config import LoraConfig, ModelConfig, RunConfig, TrainingConfig
from medlora.errors import ConfigError
from medlora.model.adapter import adapter_tensors, attach
from medlora.model.base import load_base
from medlora.train.optim import learning_rate, warmup_steps

pytestmark = pytest.mark.slow


def dataset(count: int) -> list[dict[str, list[int]]]:
    """Rows of unequal length whose answers have unequal shares."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(count):
        length = 6 + (index * 5) % 17
        ids = torch.randint(5, 400, (length,), generator=generator).tolist()
        prompt = 1 + index % 5
        rows.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return rows


def config(tmp_path: Path, **training: object) -> dict[str, dict[str, object]]:
    """The seed's form of a config: nested dicts."""
    values = {
        "output_dir": str(tmp_path / "out"),
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "warmup_steps": 2,
        "gradient_checkpointing": False,
        "logging_steps": 1,
    }
    return {"training": values | training}


def model(base_folder: Path, *, dropout: float = 0.0):
    """The small Llama with an adapter."""
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout)
    return attach(load_base(base_folder, ModelConfig(), half=None), lora, seed=1)


def history(trainer: Trainer, key: str) -> dict[int, float]:
    """What Trainer logged under a name, by step."""
    return {entry["step"]: entry[key] for entry in trainer.state.log_history if key in entry}


class Checker:
    """Any object with the seed's method."""

    def check_safety_compliance(self, response: str) -> dict[str, object]:
        """Every text passes."""
        return {"compliant": isinstance(response, str), "score": 1.0}


def test_every_key_with_a_counterpart_arrives(tmp_path: Path) -> None:
    """A value of ours that differs from both defaults is found in the arguments."""
    same = {
        "num_train_epochs": 5,
        "max_steps": 17,
        "per_device_train_batch_size": 3,
        "per_device_eval_batch_size": 4,
        "gradient_accumulation_steps": 6,
        "learning_rate": 3e-4,
        "warmup_steps": 7,
        "max_grad_norm": 0.7,
        "weight_decay": 0.02,
        "adam_beta1": 0.8,
        "adam_beta2": 0.95,
        "adam_epsilon": 1e-7,
        "bf16": True,
        "gradient_checkpointing": False,
        "logging_steps": 11,
        "eval_steps": 30,
        "save_steps": 40,
        "save_total_limit": 5,
        "seed": 9,
        "output_dir": str(tmp_path),
    }
    arguments = medlora.create_training_arguments(
        {"run_name": "trial", "training": {**same, "min_lr_rate": 0.2}}
    )
    assert isinstance(arguments, TrainingArguments)
    for name, value in same.items():
        assert getattr(arguments, name) == value, name
    assert arguments.lr_scheduler_kwargs == {"min_lr_rate": 0.2}
    assert arguments.run_name == "trial"
    assert (arguments.use_cpu, arguments.fp16) == (not torch.cuda.is_available(), False)


@pytest.mark.parametrize("warmup", [{"warmup_steps": 100}, {"warmup_ratio": 0.75}])
@pytest.mark.parametrize("total", [1, 24, 100, 101, 5000])
def test_both_loops_warm_up_alike(tmp_path: Path, warmup: dict[str, float], total: int) -> None:
    """Also where a run is too short for the steps that were asked for."""
    stated = {"output_dir": str(tmp_path), **warmup}
    arguments = medlora.create_training_arguments({"training": stated})
    assert arguments.get_warmup_steps(total) == warmup_steps(
        TrainingConfig(**stated), total_steps=total
    )


def test_the_seeds_intervals_are_both_kept_though_500_is_no_multiple_of_200(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a RunConfig too; and nothing reports, not even inside a Kubeflow job."""
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "http://localhost:1")
    run = RunConfig(training=TrainingConfig(output_dir=str(tmp_path)))
    arguments = medlora.create_training_arguments(run)
    assert (arguments.eval_steps, arguments.save_steps) == (200, 500)
    assert (arguments.eval_strategy, arguments.save_strategy) == ("steps", "steps")
    assert arguments.load_best_model_at_end
    assert arguments.report_to == []


def test_a_typo_is_an_error() -> None:
    """Unlike the seed's .get(), which would train with the default."""
    with pytest.raises(ConfigError, match=r"did you mean training\.learning_rate"):
        medlora.create_training_arguments({"training": {"learning_rat": 1}})


def test_fifty_steps_equal_our_own_trainers(base_folder: Path, tokenizer, tmp_path: Path) -> None:
    """Same batches: loss and learning rate of every step agree."""
    settings = config(tmp_path, num_train_epochs=2, weight_decay=0.05, warmup_steps=5)
    theirs = medlora.setup_trainer(model(base_folder), tokenizer, dataset(200), None, settings)
    batches, collate = [], theirs.data_collator
    theirs.data_collator = lambda rows: batches.append(collate(rows)) or batches[-1]
    theirs.train()

    settings["training"]["num_train_epochs"] = 1  # the two epochs' batches in one row
    loader = DataLoader(batches, batch_size=None)
    ours = medlora.MedicalLoRATrainer(model(base_folder), tokenizer, loader, config=settings)
    results = list(ours.steps())
    losses, rates = history(theirs, "loss"), history(theirs, "learning_rate")
    assert len(results) == len(losses) == 50
    for result in results:
        assert losses[result.step] == pytest.approx(result.loss, abs=1e-4), result.step
        assert rates[result.step] == pytest.approx(result.learning_rate, rel=1e-9), result.step
    assert results[-1].loss < results[0].loss - 0.1
    assert rates[6] == learning_rate(5, total_steps=50, cfg=ours.config.training) == 1e-2


@pytest.mark.parametrize("limit", [99, 2])
def test_the_best_model_is_saved_between_the_intervals_and_loaded_at_the_end(
    base_folder: Path, tokenizer, tmp_path: Path, limit: int
) -> None:
    """Evaluations every 2 steps, checkpoints every 5, the best at neither's last."""
    settings = config(
        tmp_path,
        num_train_epochs=3,
        learning_rate=0.1,
        warmup_steps=0,
        eval_steps=2,
        save_steps=5,
        save_total_limit=limit,
    )
    trainer = medlora.setup_trainer(
        model(base_folder), tokenizer, dataset(32), dataset(40)[32:], settings
    )
    trainer.train()
    evals = history(trainer, "eval_loss")
    assert list(evals) == [2, 4, 6, 8, 10, 12]
    best = min(evals, key=evals.get)
    assert best not in {5, 10, 12}
    kept = {int(path.name.split("-")[1]) for path in (tmp_path / "out").glob("checkpoint-*")}
    lowest_so_far = {s for s in evals if evals[s] == min(v for t, v in evals.items() if t <= s)}
    assert kept == ({best, 12} if limit == 2 else {5, 10, 12} | lowest_so_far)
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
    assert trainer.evaluate()["eval_loss"] == pytest.approx(evals[best], abs=1e-6)


def test_each_epoch_ends_with_one_evaluation_and_one_look_at_safety(
    base_folder: Path, tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where eval_steps is longer than an epoch; the seed's condition then never held."""
    runs = []
    for checker in (Checker(), None):
        trainer = medlora.setup_trainer(
            model(base_folder, dropout=0.3),
            tokenizer,
            dataset(24),
            dataset(28)[24:],
            config(tmp_path, eval_steps=4),
            checker,
        )
        trainer.train()
        runs.append((trainer, adapter_tensors(trainer.model)))
    (watched, adapter), (_, unwatched) = runs
    evaluated = [entry["step"] for entry in watched.state.log_history if "eval_loss" in entry]
    assert evaluated == [3, 4, 6]
    found = [c for c in watched.callback_handler.callbacks if hasattr(c, "history")]
    assert [(look["epoch"], look["step"]) for look in found[0].history] == [(1, 3), (2, 6)]
    assert "Compliance Rate: 100.00% (3 of 3)" in capsys.readouterr().out
    assert all(torch.equal(adapter[name], unwatched[name]) for name in adapter)


def test_without_evaluation_rows_nothing_is_evaluated(
    base_folder: Path, tokenizer, tmp_path: Path
) -> None:
    """And periodic checkpoints still come."""
    trainer = medlora.setup_trainer(
        model(base_folder), tokenizer, dataset(8), None, config(tmp_path, max_steps=1, save_steps=1)
    )
    trainer.train()
    assert not history(trainer, "eval_loss")
    state = json.loads((tmp_path / "out/checkpoint-1/trainer_state.json").read_text())
    assert state["global_step"] == 1


@pytest.mark.usefixtures("pictures")
def test_trackers_get_what_trainer_logs(base_folder: Path, tokenizer, tmp_path: Path) -> None:
    """Under the names that our own trainer's curves have."""
    trainer = medlora.setup_trainer(
        model(base_folder),
        tokenizer,
        dataset(8),
        dataset(4),
        config(tmp_path, max_steps=1, report_to=["tensorboard"]),
    )
    trainer.train()
    folder = tmp_path / "out/run"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "train_loss" in record] == [1]
    assert [record["step"] for record in records if "eval_loss" in record] == [1]
    assert [record["step"] for record in records if "mean_train_loss" in record] == [1]
    assert (folder / "training_curves.png").is_file()
    (events,) = (folder / "tensorboard").iterdir()
    assert b"eval_loss" in events.read_bytes()


def test_a_whole_run_on_the_engine_leaves_what_ours_leaves(
    tough_plan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """training.engine: huggingface: adapter, manifest, metrics; nothing pickled stays."""
    from medlora.checkpoint.folder_format import read_manifest
    from medlora.jobs import train

    train.run(tough_plan("hf", "training.engine=huggingface"))
    run = tmp_path / "out/hf"
    manifest = read_manifest(run / "final")
    assert manifest["config"]["training.engine"]["value"] == "huggingface"
    assert manifest["result"]["steps"] == 9
    assert manifest["result"]["eval_loss"] < manifest["result"]["base_eval_loss"]
    assert "metrics.jsonl" in manifest["files"]
    left = {path.name for path in run.rglob("*") if path.is_file()}
    assert not {name for name in left if name.endswith((".pt", ".pth", ".bin"))}
    assert not list(run.glob(".tmp-*"))
    captured = capfd.readouterr()
    assert "pain" not in captured.out + captured.err


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "lora.loraplus_lr_ratio=16",
            r"lora\.loraplus_lr_ratio is 16\b.*: Trainer does not know it",
        ),
        (
            "training.early_stopping_patience=3",
            r"stopping_patience is 3\b.*: Trainer does not know it",
        ),
        ("training.lr_scheduler_type=linear", "linear schedule ends at 0"),
    ],
)
def test_what_the_engine_cannot_do_is_refused(tough_plan, override: str, says: str) -> None:
    """78 before the first step, not a setting that is passed over."""
    from medlora.jobs import train

    with pytest.raises(ConfigError, match=says):
        train.run(tough_plan("hf", "training.engine=huggingface", override))

"""A short run that has everything an interruption could spoil."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.files import json_bytes, sha256_file, sha256_json
from medlora.plan.resolve_run import Plan
from medlora.report.metrics_jsonl import MEASURED
from tests.tiny import run_plan, twelve_rows, write_rows

# Dropout, accumulation, three epochs, a partial last step, evaluations between and at the ends.
TOUGH = (
    "training.num_train_epochs=3",
    "training.warmup_steps=2",
    "training.learning_rate=1e-2",
    "training.per_device_train_batch_size=1",
    "training.gradient_accumulation_steps=4",
    "training.gradient_checkpointing=false",
    "training.packing=false",  # four micro-batches in every step, to be interrupted between
    "training.per_device_eval_batch_size=1",
    "training.logging_steps=1",
    "training.eval_steps=2",
    "training.save_steps=2",
    "lora.r=4",
    "lora.lora_dropout=0.1",
    "data.eval_fraction=0.2",
)


@pytest.fixture
def tough_plan(tmp_path: Path, data_file: Path, base_folder: Path) -> Callable[..., Plan]:
    """Make the plan of a run by its name; more overrides may follow."""
    return lambda name, *overrides: plan_below(tmp_path, data_file, base_folder, name, *overrides)


def plan_below(place: Path, data: Path, base: Path, name: str, *overrides: str) -> Plan:
    """The plan of a run that writes to a folder's out/."""
    return run_plan(place, *TOUGH, f"run_name={name}", *overrides, data=data, base=base)


@pytest.fixture(scope="session")
def kept_run(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> Path:
    """A run of `tough_plan("run")` that was trained once for all, with a tracker's folder."""
    place = tmp_path_factory.mktemp("kept")
    data = write_rows(place / "train.jsonl", twelve_rows())
    from medlora.jobs import train

    train.run(plan_below(place, data, base_folder, "run", "training.report_to=tensorboard"))
    return place / "out/run"


@pytest.fixture
def finished(kept_run: Path, tmp_path: Path) -> Path:
    """A copy of it where the plans of `tough_plan` find it."""
    return Path(shutil.copytree(kept_run, tmp_path / "out/run"))


def rewrite(folder: Path, *, name: str | None = None, progress: Any = None, **facts: Any) -> Path:
    """Write a checkpoint anew with fresh digests: other facts, another step in its progress."""
    manifest = read_manifest(folder)
    content = {file: (folder / file).read_bytes() for file in manifest["files"]}
    if progress is not None:
        stated = json.loads(content.get("progress.json", b"{}"))
        content["progress.json"] = json_bytes({**stated, **progress})
    kept = {key: value for key, value in manifest.items() if key not in ("files", "sha256")}
    place = folder.with_name(name or folder.name)
    write_checkpoint(place, content, {**kept, **facts})
    return place


def outcome(run: Path) -> tuple[str, list[dict[str, object]]]:
    """What must not depend on interruptions: the adapter's digest and the metrics, clocks aside."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    metrics = [{k: v for k, v in record.items() if k not in MEASURED} for record in records]
    return sha256_file(run / "final/adapter_model.safetensors"), metrics


@pytest.fixture
def outcome_of(tmp_path: Path) -> Callable[[str], tuple[str, list[dict[str, object]]]]:
    """The outcome of a run by its name."""
    return lambda name: outcome(tmp_path / "out" / name)


@pytest.fixture
def saved_run(tmp_path: Path, adapted, tokenizer, base_folder: Path) -> Callable[..., Path]:
    """Make a run's folder with an adapter that changes answers, without training it.

    Facts of its manifest may be replaced.
    """
    from medlora.model.adapter import adapter_files, saved_files
    from medlora.model.base import digest_base

    def make(
        name: str = "run",
        *,
        model: Any = None,
        base: Path = base_folder,
        size: float = 0.3,
        **facts: Any,
    ) -> Path:
        files = digest_base(base)
        stated = {
            "kind": "run",
            "status": "finished",
            "step": 4,
            "run_name": name,
            "inputs": {"model.dtype": "auto", "model.load_in_4bit": False},
            "base_model": {"folder": str(base), "sha256": sha256_json(files), "files": files},
            **facts,
        }
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        content = {**adapter_files(model or adapted(size)), **saved_files(tokenizer)}
        place = "rejected" if stated["status"] == "rejected" else "final"
        write_checkpoint(folder / place, content, stated)
        return folder

    return make

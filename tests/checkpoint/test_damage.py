"""What a real run saved, damaged in every way: seen each time, and the one before it is used."""

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import medlora
from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.checkpoint.resume import newest_valid
from medlora.config import LoraConfig, ModelConfig
from medlora.data.batches import eval_loader, train_loader
from medlora.data.micro_batches import Collate
from medlora.data.token_rows import Row
from medlora.files import MANIFEST, DamagedError
from medlora.model.adapter import attach
from medlora.model.base import load_base

US, THEM = 12345, 23456
NAMES = (
    MANIFEST,
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "metrics.jsonl",
    "optimizer.safetensors",
    "progress.json",
    "tokenizer.json",
    "tokenizer_config.json",
)


@pytest.fixture(scope="module")
def saved(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of four steps, `run` and `other`, each with its step_2 and step_4."""
    from transformers import AutoTokenizer

    out = tmp_path_factory.mktemp("saved")
    rows = [Row(np.arange(9 + n, dtype=np.int32), np.arange(9 + n) >= 3) for n in range(10)]
    collate = Collate("packed", batch_size=2, max_length=18, pad_id=0)
    for name, seed in (("run", 1), ("other", 2)):
        base = load_base(base_folder, ModelConfig(), half=None)
        training = {
            "num_train_epochs": 1,
            "gradient_accumulation_steps": 1,
            "warmup_steps": 0,
            "save_steps": 2,
            "save_epochs": 2,
            "output_dir": str(out),
            "seed": seed,
        }
        medlora.MedicalLoRATrainer(
            attach(base, LoraConfig(r=2), seed=seed),
            AutoTokenizer.from_pretrained(base_folder),
            train_loader(rows[:8], collate, step_rows=2, seed=seed),
            eval_loader(rows[8:], collate, batch_size=2),
            {"run_name": name, "training": training},
        ).train()
    return out


@pytest.fixture
def run(saved: Path) -> Iterator[Path]:
    """A copy of the run, where another user can reach it."""
    with tempfile.TemporaryDirectory(prefix="medlora-damage-") as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "run"
        shutil.copytree(saved / "run", folder)
        yield folder


def test_the_names_are_those_of_a_real_checkpoint(saved: Path) -> None:
    """A new file in a checkpoint has to be damaged here as well."""
    assert sorted(path.name for path in (saved / "run/step_4").iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["truncated", "missing", "empty", "another run's", "lengthened"])
def test_each_damage_to_each_file_is_passed_over(
    saved: Path, run: Path, capsys: pytest.CaptureFixture[str], name: str, damage: str
) -> None:
    """Seen, said in one line, set aside; step 2 is used."""
    file = run / "step_4" / name
    before = file.read_bytes()
    match damage:
        case "truncated":
            file.write_bytes(before[:-1])
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "another run's":
            shutil.copy(saved / "other/step_4" / name, file)
        case "lengthened":
            file.write_bytes(before + b"\n")
    same = file.exists() and file.read_bytes() == before  # both runs have the same tokenizer
    logs.set_up()
    found = newest_valid(run)
    assert found is not None
    assert found[0].name == ("step_4" if same else "step_2")
    printed = capsys.readouterr().err
    assert printed.count("\n") == (not same)
    if not same and (name, damage) != (MANIFEST, "another run's"):  # that one accuses the others
        assert name.removesuffix(".json") in printed
    assert (run / "broken-step_4-1").is_dir() == (not same)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be several users")
@pytest.mark.parametrize("name", NAMES)
def test_each_file_of_another_user_is_passed_over(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The same for a file that is whole and may not be read."""
    for item in (run, *run.rglob("*")):
        os.chown(item, US, US)
    os.chown(run / "step_4" / name, THEM, THEM)
    (run / "step_4" / name).chmod(0o600)
    logs.set_up()
    os.setresuid(US, US, 0)
    try:
        found = newest_valid(run)
    finally:
        os.setresuid(0, 0, 0)
    assert found is not None
    assert found[0].name == "step_2"
    line = capsys.readouterr().err
    assert line.startswith(
        "warning: checkpoint step_4 is skipped and was renamed broken-step_4-1: "
    )
    assert name in line


def test_three_thousand_flipped_bits_are_seen(run: Path) -> None:
    """Every single one, in whatever file, white space in the manifest included."""
    draw = random.Random(0)
    files = sorted((run / "step_4").iterdir())
    contents = {file: file.read_bytes() for file in files}
    for number in range(3000):
        # Half of them anywhere, half in each file alike: most of a checkpoint is its tensors.
        sizes = [len(contents[file]) if number % 2 else 1 for file in files]
        (file,) = draw.choices(files, weights=sizes)
        bit = 1 << draw.randrange(8)
        place = draw.randrange(len(contents[file]))
        with file.open("r+b", buffering=0) as stream:
            stream.seek(place)
            stream.write(bytes([contents[file][place] ^ bit]))
            with pytest.raises(DamagedError):
                read_manifest(run / "step_4")
            stream.seek(place)
            stream.write(contents[file][place : place + 1])
    read_manifest(run / "step_4")

"""Own data on an own model: mounted read-only, trained without a network, kept to itself."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

CONFIG = {
    "run_name": "medquad",
    "data": {
        "columns": {"prompt": "question", "response": "answer"},
        "max_length": 256,
        "privacy": "warn",  # public answers have numbers of institutions, dates of studies
    },
    "training": {
        "num_train_epochs": 1,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "eval_steps": 100,
        "save_steps": 200,
    },
}

Rows = list[dict[str, Any]]


def _windows(text: str) -> Iterator[str]:
    """Yield pieces of 20 characters that only this text can have put into a log."""
    for start in range(0, len(text) - 19, 10):
        window = text[start : start + 20]
        if window.isascii() and window.isprintable() and "  " not in window:
            yield window


@pytest.fixture
def train_on(run_image, for_group_0, demo_base, tmp_path) -> Callable[[Rows], tuple[dict, str]]:
    """Train on rows and return the manifest and all that can be read of the run."""

    def train(rows: Rows) -> tuple[dict, str]:
        data, config = tmp_path / "data", tmp_path / "config"
        data.mkdir()
        config.mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (data / "train.jsonl").write_text(lines, encoding="utf-8")
        # JSON is YAML too.
        (config / "config.yaml").write_text(json.dumps(CONFIG), encoding="utf-8")
        checkpoints = for_group_0(tmp_path / "checkpoints")
        ended = run_image(
            "train",
            mounts={
                "/data:ro": data,
                "/config:ro": config,
                "/models:ro": demo_base,
                "/checkpoints": checkpoints,
            },
        )
        assert ended.rc == 0, ended.said
        final = checkpoints / "medquad" / "final"
        manifest = (final / "manifest.json").read_text(encoding="utf-8")
        return json.loads(manifest), ended.said + manifest

    return train


def _eval_losses(part: object) -> Iterator[float]:
    """Yield every evaluation loss that a manifest holds, wherever it stands."""
    if isinstance(part, dict):
        for key, value in part.items():
            if "eval_loss" in key and isinstance(value, int | float):
                yield value
            yield from _eval_losses(value)
    elif isinstance(part, list):
        for item in part:
            yield from _eval_losses(item)


def _assert_trained_in_private(manifest: dict, readable: str, rows: Rows) -> None:
    losses = list(_eval_losses(manifest))
    assert manifest["status"] == "finished"
    assert not manifest.get("demo")
    assert losses
    assert all(math.isfinite(loss) and loss > 0 for loss in losses)
    leaked = [w for row in rows for w in _windows(row["answer"]) if w in readable]
    assert len(leaked) == 0, f"{len(leaked)} pieces of training text can be read"


def test_a_small_set_trains_and_stays_private(train_on) -> None:
    """Columns are mapped, the loss is finite, no answer is in the log or the manifest."""
    rows = [
        {
            "question": f"How often should patient group {n} take the tablets?",
            "answer": f"Group {n} takes {n % 4 + 1} tablets with water, {n} minutes before a meal.",
        }
        for n in range(160)
    ]

    manifest, readable = train_on(rows)

    _assert_trained_in_private(manifest, readable, rows)


def test_a_table_of_two_columns_is_all_it_takes(
    run_image, for_group_0, demo_base, tmp_path
) -> None:
    """As a spreadsheet writes it, without settings of one's own; other formats read with it."""
    data, checkpoints = tmp_path / "data", for_group_0(tmp_path / "checkpoints")
    data.mkdir()
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=";")
    table.writerow(["Question", "Answer"])
    table.writerows([f"Tablets, group {n}?", f"{n} a day;\nwith water."] for n in range(40))
    (data / "ward.csv").write_text(text.getvalue(), "utf-8-sig", newline="")
    columns = {"question": ["Rest?"] * 8, "answer": [f"Yes, {n} hours." for n in range(8)]}
    pq.write_table(pa.table(columns), data / "old.parquet")
    lines = b'{"prompt": "Water?", "response": "Two litres."}\n' * 4
    (data / "more.jsonl.zst").write_bytes(pa.compress(lines, "zstd", asbytes=True))
    mounts = {"/data:ro": data, "/models:ro": demo_base, "/checkpoints": checkpoints}
    short = ("--set", "training.max_steps=2", "--set", "training.warmup_steps=0")
    alone = ("--data", "/data/ward.csv", "--config", "recommended", *short)
    ended = run_image("train", *alone, mounts=mounts)
    assert ended.rc == 0, ended.said
    assert "ward.csv: 40 rows (40 question_answer)" in ended.said
    assert "with water" not in ended.said
    assert (checkpoints / "run/report.html").is_file()
    files = "data.train_file=ward.csv,old.parquet,*.zst"
    ended = run_image("train", *alone[2:], "--set", files, "--set", "run_name=all", mounts=mounts)
    assert ended.rc == 0, ended.said
    assert "ward.csv and 2 more: 52 rows (4 prompt_response, 48 question_answer)" in ended.said


def test_two_thousand_real_rows_train_and_stay_private(train_on, shared_data) -> None:
    """The same with answers as people write them: long, with lists, with duplicates."""
    with (shared_data / "medquad.jsonl").open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in islice(stream, 2000)]

    manifest, readable = train_on(rows)

    _assert_trained_in_private(manifest, readable, rows[::25])

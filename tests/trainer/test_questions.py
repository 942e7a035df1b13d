"""A run may be asked how it writes while it trains; no bit and no text comes of it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import medlora
from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.config import LoraConfig, ModelConfig
from medlora.errors import ConfigError, DataError, MissingPartError, StoppedError
from medlora.evaluate import generate
from medlora.jobs import train
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.plan.resolve_run import Plan
from medlora.report import metrics_recorder
from medlora.runtime import Stop

pytestmark = pytest.mark.slow

Make = Callable[..., Plan]
ASK = "training.generation_steps=4"
QUALITY = "performance/avg_response_quality"


def lines(run: Path) -> list[dict[str, object]]:
    """What metrics.jsonl has."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("checkpointing", ["false", "true"])
def test_asking_changes_no_bit_and_records_at_its_steps(
    tough_plan: Make, tmp_path: Path, outcome_of, checkpointing: str
) -> None:
    """The base, every so many steps, the last; all other lines and the adapter are the same."""
    memory = f"training.gradient_checkpointing={checkpointing}"
    train.run(tough_plan("silent", memory))
    train.run(tough_plan("asked", memory, ASK))
    digest, metrics = outcome_of("asked")
    others = [record for record in metrics if QUALITY not in record]
    assert (digest, others) == outcome_of("silent")
    asked = [record for record in metrics if QUALITY in record]
    assert [record["step"] for record in asked] == [0, 4, 8, 9]
    assert {record["performance/prompts"] for record in asked} == {2.0}
    manifest = read_manifest(tmp_path / "out/asked/final")
    assert manifest["asked"] == {"from": "held-out rows", "prompts": 2}


def test_an_interruption_while_answering_changes_nothing(
    tough_plan: Make, outcome_of, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in every second question, evaluations and patience before it not counted twice."""
    # Slow enough for a new best at each evaluation; counted twice, the second would end the run.
    patience = ("training.early_stopping_patience=1", "training.early_stopping_threshold=0")
    settings = (ASK, *patience, "training.learning_rate=1e-3")
    train.run(tough_plan("straight", *settings))
    assert outcome_of("straight")[1][-1]["step"] == 9
    stops = 0
    while True:
        stop, calls, original = Stop(), [], generate.encode_prompt

        def encode(*args, _stop=stop, _calls=calls, _original=original, **named):
            _calls.append(1)
            if len(_calls) == 4:
                _stop.requested = signal.SIGTERM.name
            return _original(*args, **named)

        with monkeypatch.context() as patch:
            patch.setattr(generate, "encode_prompt", encode)
            try:
                train.run(tough_plan("cut", *settings), stop=stop)
            except StoppedError:
                stops += 1
                continue
            break
    assert stops >= 3
    assert outcome_of("cut") == outcome_of("straight")


def test_a_signal_is_heard_within_an_answer(base_folder: Path, chat) -> None:
    """Before the next token, not after the last; mode and settings are left as they were."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = attach(base, LoraConfig(r=2), seed=1).train()
    before = model.config.to_dict()
    polls: list[int] = []

    def poll() -> None:
        polls.append(1)
        if len(polls) == 3:
            raise StoppedError("now", fix="none")

    with pytest.raises(StoppedError):
        generate.answers(model, chat, ["pain"], max_new_tokens=20, poll=poll)
    assert len(polls) == 3
    assert model.training
    assert model.config.to_dict() == before


def test_questions_of_a_file_are_asked_and_never_written(
    tough_plan: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path beside the data; blank lines are passed over; the manifest has count and digest."""
    logs.set_up()
    (tmp_path / "data/ask.txt").write_bytes(b"\xef\xbb\xbfsentinel pain\r\n\n  rest  \nchest")
    train.run(tough_plan("a", ASK, "training.generation_prompts=ask.txt"))
    run = tmp_path / "out/a"
    assert {r["performance/prompts"] for r in lines(run) if QUALITY in r} == {3.0}
    asked = read_manifest(run / "final")["asked"]
    assert asked["prompts"] == 3
    assert len(asked["sha256"]) == 64
    printed = "".join(capsys.readouterr()).encode()
    for content in [printed, *(path.read_bytes() for path in run.rglob("*") if path.is_file())]:
        assert b"sentinel" not in content


@pytest.mark.parametrize(
    ("name", "content", "error", "says"),
    [
        ("a.txt", b"pain\n\xff\n", DataError, r"a\.txt: byte 5 is not UTF-8"),
        ("a.txt", b"pain\n" + b"chest " * 90, DataError, r"a\.txt:2: a prompt has \d+ tokens"),
        ("a.txt", b" \n\n", ConfigError, "no question to ask"),
        ("a.jsonl", b"{}", DataError, "one question a line"),
        ("b.txt", None, MissingPartError, "nothing at b.txt"),
        (".", None, MissingPartError, "no such file"),
    ],
)
def test_a_bad_file_ends_the_run_before_it_begins(
    tough_plan: Make, tmp_path: Path, name: str, content: bytes | None, error: type, says: str
) -> None:
    """File, line and fix; and no line is quoted."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=says) as found:
        train.run(tough_plan("a", ASK, f"training.generation_prompts={name}"))
    assert "pain" not in str(found.value)
    assert not (tmp_path / "out/a/metrics.jsonl").exists()


@pytest.mark.parametrize("engine", ["medlora", "huggingface"])
def test_without_anything_to_ask_the_run_is_refused(tough_plan: Make, engine: str) -> None:
    """No held-out rows and no file: said at the start."""
    with pytest.raises(ConfigError, match="no question to ask"):
        train.run(
            tough_plan("a", ASK, "data.eval_fraction=0", f"training.engine={engine}"),
        )


def test_the_other_engine_asks_at_the_same_steps(tough_plan: Make, tmp_path: Path) -> None:
    """And trains the same adapter with and without."""
    theirs = "training.engine=huggingface"
    train.run(tough_plan("silent", theirs))
    train.run(tough_plan("asked", theirs, ASK))
    assert [r["step"] for r in lines(tmp_path / "out/asked") if QUALITY in r] == [0, 4, 8, 9]
    silent, asked = (
        read_manifest(tmp_path / "out" / name / "final")["files"]["adapter_model.safetensors"]
        for name in ("silent", "asked")
    )
    assert silent == asked


def test_memory_that_runs_out_costs_the_look_alone(
    tough_plan: Make,
    tmp_path: Path,
    outcome_of,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line says so and training goes on."""
    logs.set_up()

    def refuse(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    train.run(tough_plan("silent"))
    with monkeypatch.context() as patch:
        patch.setattr(metrics_recorder, "performance", refuse)
        train.run(tough_plan("asked", ASK))
    assert outcome_of("asked") == outcome_of("silent")
    assert "step 4: out of memory while sample answers were generated" in capsys.readouterr().err


def test_python_callers_give_their_prompts(base_folder: Path, tokenizer, tmp_path: Path) -> None:
    """Both ways of training from Python refuse the key without them."""
    model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=2), seed=1)
    config = {"training": {"generation_steps": 1, "output_dir": str(tmp_path)}}
    batch = {"input_ids": [1, 2, 3], "labels": [1, 2, 3]}
    trainer = medlora.MedicalLoRATrainer(model, tokenizer, [], config=config)
    with pytest.raises(ConfigError, match="no question to ask"):
        trainer.train()
    with pytest.raises(ConfigError, match="no question to ask"):
        medlora.setup_trainer(model, tokenizer, [batch], None, config)

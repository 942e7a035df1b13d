"""A whole run in this process: what it leaves, what it says, how it fails."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from medlora.checkpoint.folder_format import read_manifest
from medlora.checkpoint.lock import only_writer
from medlora.config import ModelConfig
from medlora.data.audit.schema import DataAudit
from medlora.errors import ConfigError, DataError, DivergedError, MissingPartError, RunInUseError
from medlora.files import sha256_file
from medlora.jobs import train
from medlora.model.base import load_base
from medlora.plan.resolve_run import Plan
from medlora.report.manifest_schema import RunManifest
from medlora.train import step_in_pieces
from medlora.train.forward import Forward
from tests.schema import mismatches
from tests.tiny import resolved, run_plan, twelve_rows, write_rows

QUICK = (
    "training.num_train_epochs=2",
    "training.warmup_steps=1",
    "training.learning_rate=1e-2",
    "training.logging_steps=1",
    "training.eval_steps=2",
    "training.save_steps=2",
    "lora.r=4",
    "data.eval_fraction=0.2",
)


def make_plan(tmp_path: Path, data: Path, base: Path, *overrides: str) -> Plan:
    """A short run of this data and base, writing to out/."""
    return run_plan(tmp_path, *QUICK, *overrides, data=data, base=base)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base_folder: Path) -> tuple[Path, Path]:
    """The data of a run that was trained once for this module, and the run's folder."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_rows(folder / "data/train.jsonl", twelve_rows())
    train.run(make_plan(folder, data, base_folder))
    return data, folder / "out/run"


def test_a_run_leaves_adapter_tokenizer_template_and_manifest(
    trained: tuple[Path, Path], base_folder: Path
) -> None:
    """final/ is loadable, and its manifest says what was run on what."""
    data_file, run = trained
    manifest = read_manifest(run / "final")
    assert manifest["data"]["sha256"] == {"train": sha256_file(data_file)}
    assert manifest["data"]["rows"] == {"train": 10, "eval": 2}
    weights = sha256_file(base_folder / "model.safetensors")
    assert manifest["base_model"]["files"]["model.safetensors"] == weights
    assert manifest["config"]["lora.r"] == {"value": 4, "origin": "option --set lora.r"}
    assert manifest["config"]["lora.lora_alpha"]["origin"] == "default"
    assert manifest["software"]["torch"] == torch.__version__
    assert manifest["software"]["lock_sha256"]
    assert manifest["hardware"]["device"] in ("cpu", "cuda")
    assert manifest["seeds"] == {"training.seed": 42}
    assert manifest["result"]["steps"] == 4
    assert manifest["result"]["eval_loss"] < manifest["result"]["base_eval_loss"]
    assert manifest["adapter"]["modules"] == dict.fromkeys(
        ("k_proj", "o_proj", "q_proj", "v_proj"), 2
    )
    names = {path.name for path in run.iterdir()}
    assert {"final", "best_model", "epoch_1", "epoch_2", "step_2", "step_4"} <= names
    assert "training_curves.png" in names

    base = load_base(base_folder, ModelConfig(), half=None)
    loaded = PeftModel.from_pretrained(base, run / "final")
    assert any("lora_B" in name and p.abs().sum() > 0 for name, p in loaded.named_parameters())
    assert AutoTokenizer.from_pretrained(run / "final").chat_template


def test_what_a_run_writes_is_what_its_types_say(trained: tuple[Path, Path]) -> None:
    """Every key of each manifest and of the audit, and nothing but them."""
    _, run = trained
    for folder in ("final", "best_model", "epoch_1", "step_2"):
        assert list(mismatches(read_manifest(run / folder), RunManifest)) == []
    audit = json.loads((run / "data_audit.json").read_bytes())
    assert list(mismatches(audit, DataAudit)) == []


def test_metrics_are_recorded_for_steps_and_evaluations(trained: tuple[Path, Path]) -> None:
    """One JSON object a line; step 0 is the base; the manifest's losses are the file's."""
    _, run = trained
    lines = (run / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    steps = [record for record in records if record["kind"] == "train"]
    evals = [record for record in records if record["kind"] == "eval"]
    assert [record["step"] for record in steps] == [1, 2, 3, 4]
    assert [record["step"] for record in evals] == [0, 2, 4]
    assert set(steps[0]) >= {"loss", "learning_rate", "grad_norm", "tokens", "targets", "epoch"}
    manifest = read_manifest(run / "final")
    assert manifest["result"]["base_eval_loss"] == evals[0]["eval_loss"]
    assert manifest["result"]["best_eval_loss"] == min(e["eval_loss"] for e in evals[1:])


def test_the_same_run_gives_the_same_adapter(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """Two runs, one digest; another seed, another."""
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        plan = make_plan(
            tmp_path, data_file, base_folder, f"run_name={name}", f"training.seed={seed}"
        )
        train.run(plan)
        digests.append(sha256_file(tmp_path / f"out/{name}/final/adapter_model.safetensors"))
    assert digests[0] == digests[1] != digests[2]


def test_a_finished_run_is_not_run_again_and_not_overwritten(
    tmp_path: Path, data_file: Path, base_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same run ends at once; another config is refused with 78."""
    train.run(make_plan(tmp_path, data_file, base_folder))
    capsys.readouterr()
    # Where and how often to look does not make it another run.
    train.run(make_plan(tmp_path, data_file, base_folder, "training.logging_steps=3"))
    assert "finished already" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"was made with other inputs:\n  lora.r: 4 then, 5 now"):
        train.run(make_plan(tmp_path, data_file, base_folder, "lora.r=5"))


def test_a_failed_run_leaves_nothing_that_looks_finished(
    tmp_path: Path, data_file: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN in the middle: 79 and no final/."""
    plan = make_plan(tmp_path, data_file, base_folder)
    original, calls = Forward.nats, []

    def explode(self, batch):
        calls.append(1)
        nats = original(self, batch)
        return nats * float("nan") if nats.requires_grad and len(calls) > 4 else nats

    monkeypatch.setattr(Forward, "nats", explode)
    with pytest.raises(DivergedError):
        train.run(plan)
    assert not (tmp_path / "out/run/final").exists()
    assert not list((tmp_path / "out/run").glob(".*-*"))
    records = (tmp_path / "out/run/metrics.jsonl").read_text().splitlines()
    assert json.loads(records[-1])["loss"] is None
    assert json.loads(records[-1])["skipped"] is True


def test_two_runs_in_one_folder_are_refused(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """The second ends with 73 before it reads anything."""
    (tmp_path / "out/run").mkdir(parents=True)
    with only_writer(tmp_path / "out/run"), pytest.raises(RunInUseError):
        train.run(make_plan(tmp_path, data_file, base_folder))


def test_nothing_that_is_learnt_shows_anywhere_but_in_the_adapter(
    tmp_path: Path, base_folder: Path, write_jsonl, capfd: pytest.CaptureFixture[str]
) -> None:
    """Canaries in prompts and answers are in no output and in no file of the run."""
    rows = [
        {"prompt": f"canary-prompt-{n} asks", "response": f"canary-answer-{n} says"}
        for n in range(12)
    ]
    data = write_jsonl("data/train.jsonl", rows)
    train.run(make_plan(tmp_path, data, base_folder))
    captured = capfd.readouterr()
    assert "canary" not in captured.out + captured.err
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert b"canary" not in path.read_bytes(), path


def test_bad_rows_of_both_files_stop_the_run_before_the_model_loads(
    tmp_path: Path, base_folder: Path, write_jsonl
) -> None:
    """65, with the evaluation file's own name and line."""
    good = {"prompt": "a", "response": "b"}
    write_jsonl("data/train.jsonl", [good] * 3)
    write_jsonl("data/eval.jsonl", [good, {"prompt": "a"}])
    with pytest.raises(DataError, match=r"eval.jsonl:2: field 'response': missing"):
        train.run(make_plan(tmp_path, tmp_path / "data", base_folder))
    assert not (tmp_path / "out/run/final").exists()


def test_a_row_without_room_for_its_answer_is_named(
    tmp_path: Path, base_folder: Path, write_jsonl
) -> None:
    """A prompt that fills the model's 64 positions leaves nothing to learn from."""
    rows = [{"prompt": "a", "response": "b"}, {"prompt": "x " * 200, "response": "b"}]
    data = write_jsonl("data/train.jsonl", rows)
    with pytest.raises(DataError, match=r"train.jsonl:2: nothing to learn from"):
        train.run(make_plan(tmp_path, data, base_folder, "data.eval_fraction=0"))


def test_no_evaluation_rows_is_a_run_without_evaluation(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """eval_fraction 0 and no file: no best model, no evaluation loss, a finished run."""
    train.run(make_plan(tmp_path, data_file, base_folder, "data.eval_fraction=0"))
    manifest = read_manifest(tmp_path / "out/run/final")
    assert manifest["result"]["eval_loss"] is None
    assert not (tmp_path / "out/run/best_model").exists()


def test_a_result_that_would_vanish_is_refused(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """The image's own /checkpoints without a mount: 69, and the demo alone may use it."""
    (tmp_path / "root/checkpoints").mkdir(parents=True)
    plan = resolved(tmp_path, config="recommended", data=str(data_file), model=str(base_folder))
    with pytest.raises(MissingPartError, match="is not mounted"):
        train.run(plan)


@pytest.mark.slow
def test_recomputation_changes_no_bit_and_is_chosen_by_memory(
    tmp_path: Path, data_file: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recomputed activations see the same dropout; `auto` recomputes what does not fit."""
    wanted = {"true": True, "false": False, "auto": False, "short": True}
    digests = set()
    for name, recomputes in wanted.items():
        if name == "short":
            monkeypatch.setattr(step_in_pieces, "free_memory", lambda _: 1000)
        value = name if name != "short" else "auto"
        train.run(
            make_plan(
                tmp_path,
                data_file,
                base_folder,
                f"run_name={name}",
                f"training.gradient_checkpointing={value}",
            )
        )
        final = tmp_path / f"out/{name}/final"
        digests.add(sha256_file(final / "adapter_model.safetensors"))
        compute = read_manifest(final)["compute"]
        assert compute["gradient_checkpointing"] is recomputes
        assert compute["layout"] == "packed"
        assert compute["deterministic"]
    assert len(digests) == 1


def test_bf16_on_a_cpu_is_possible_when_asked(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """The manifest says which precision it was."""
    train.run(make_plan(tmp_path, data_file, base_folder, "training.bf16=true"))
    manifest = read_manifest(tmp_path / "out/run/final")
    assert manifest["precision"] == "bf16"

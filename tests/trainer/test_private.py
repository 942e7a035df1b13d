"""A private run: what it refuses, what it states, and that a kill costs no epsilon."""

import json
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import ConfigError, MissingPartError, StoppedError
from medlora.jobs import reproduce, train
from medlora.plan.resolve_run import Plan
from medlora.report import metrics_jsonl
from medlora.runs import folder_contents
from medlora.runtime import Stop
from medlora.train import dp_loop
from medlora.train.loop import StepResult
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("opacus") is None, reason="opacus is not installed (uv sync --extra dp)"
    ),
]

Make = Callable[..., Plan]
PRIVATE = (
    "privacy.dp.target_epsilon=8",
    "training.num_train_epochs=4",
    "training.per_device_train_batch_size=4",  # 16 of 10 rows: all of them, a quick bound
    "training.packing=null",
)


class KilledError(BaseException):
    """The process is gone: nobody handles this."""


def stated(run: Path, name: str = "final") -> dict:
    """What a folder's manifest says of privacy."""
    return read_manifest(run / name)[metrics_jsonl.PRIVATE]


def test_what_cannot_be_private_is_refused_at_once(tough_plan: Make) -> None:
    """78 before data or model are looked for, all conflicts in one message."""
    wrong = (
        "training.packing=true",
        "training.gradient_checkpointing=true",
        "training.fp16=true",
        "training.torch_compile=true",
        "training.convergence_window=5",
        "training.engine=huggingface",
        "lora.use_dora=true",
        "data.path=none",
        "model.base_model_name=none",
    )
    with pytest.raises(ConfigError, match="contradicts itself: 9 problems") as error:
        train.run(tough_plan("run", *PRIVATE, *wrong))
    for key in wrong[:-2]:
        assert key.split("=")[0] in str(error.value)


def test_without_opacus_a_private_run_ends_with_69(
    tough_plan: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read; other runs never ask."""
    monkeypatch.setattr("medlora.config.conflicts.find_spec", lambda _name: None)
    with pytest.raises(MissingPartError, match="Opacus is not installed"):
        train.run(tough_plan("run", *PRIVATE, "data.path=none"))


def test_the_manifest_states_the_guarantee_and_no_seed_of_it(
    tough_plan: Make, tmp_path: Path
) -> None:
    """Epsilon within its target; nothing that tells the draws gets into final/."""
    train.run(tough_plan("a", *PRIVATE))
    run = tmp_path / "out/a"
    facts = stated(run)
    assert 7.9 < facts["epsilon"] <= 8
    assert (facts["delta"], facts["steps"], facts["accountant"]) == (1e-5, 4, "rdp")
    assert (facts["sample_rate"], facts["max_grad_norm"]) == (1.0, 0.5)
    manifest = read_manifest(run / "final")
    assert manifest["software"]["opacus"]
    assert manifest["seeds"] == {"training.seed": 42}
    assert (
        manifest["compute"]["lean_lora"] is manifest["compute"]["gradient_checkpointing"] is False
    )
    assert manifest["compute"]["layout"] == "grouped"
    result = manifest["result"]
    assert (result["tokens"], result["targets"], result["train_loss"]) == (None, None, None)
    lines = (run / "final/metrics.jsonl").read_text().splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"eval"}
    assert "train" in (run / "epoch_4/metrics.jsonl").read_text()
    with pytest.raises(ConfigError, match="its noise was drawn once"):
        reproduce.run(run)


def test_a_stopped_run_goes_on_and_spends_what_a_straight_one_does(
    tough_plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM after one step, then a kill after another: the same epsilon to 1e-9."""
    train.run(tough_plan("straight", *PRIVATE))
    stop, taken = Stop(), []

    def noisy(**step):
        taken.append(1)
        if len(taken) == 1:
            stop.requested = signal.SIGTERM.name
        if len(taken) == 3:
            raise KilledError
        return StepResult(**step)

    monkeypatch.setattr(dp_loop, "StepResult", noisy)  # made when the noisy step is taken
    with pytest.raises(StoppedError) as stopped:
        train.run(tough_plan("cut", *PRIVATE), stop=stop)
    assert "same bits" not in str(stopped.value)
    with pytest.raises(KilledError):
        train.run(tough_plan("cut", *PRIVATE))
    train.run(tough_plan("cut", *PRIVATE))
    straight, cut = (stated(tmp_path / "out" / name) for name in ("straight", "cut"))
    assert abs(cut.pop("epsilon") - straight.pop("epsilon")) < 1e-9
    assert cut == straight


def test_nothing_gets_out_before_the_checkpoint_that_paid_for_it(
    tough_plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model of step 1 is written after a checkpoint of step 1, though none was due."""
    written, original = [], folder_contents.write_checkpoint
    monkeypatch.setattr(
        folder_contents,
        "write_checkpoint",
        lambda folder, *rest: written.append(folder.name) or original(folder, *rest),
    )
    often = ("training.eval_steps=1", "training.save_steps=100", "training.save_epochs=100")
    train.run(tough_plan("a", *PRIVATE, *often))
    steps = [read_manifest(tmp_path / "out/a" / name)["step"] for name in ("best_model", "final")]
    assert written[:2] == ["step_1", "best_model"]
    for place, name in enumerate(written):
        if name in {"best_model", "final"}:
            assert written[place - 1].startswith(("step_", "epoch_"))
    assert steps[1] == stated(tmp_path / "out/a")["steps"] == 4
    assert stated(tmp_path / "out/a", "best_model")["steps"] == steps[0]


def test_a_private_run_cannot_begin_in_the_open(tough_plan: Make, tmp_path: Path) -> None:
    """Neither by an allowed change nor over other steps than its budget was planned for."""
    half = ("training.max_steps=2",)
    open_run = [one for one in PRIVATE if "epsilon" not in one]
    train.run(tough_plan("open", *open_run, *half))
    (tmp_path / "out/open/final").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="without differential privacy"):
        train.run(tough_plan("open", *PRIVATE, *half), allow=("privacy",))
    train.run(tough_plan("short", *PRIVATE, *half))
    (tmp_path / "out/short/final").rename(tmp_path / "elsewhere too")
    with pytest.raises(ConfigError, match="the checkpoint was made with noise"):
        train.run(tough_plan("short", *PRIVATE), allow=("training.max_steps",))


def test_a_loader_with_an_order_is_refused(tough_plan: Make, base_folder: Path) -> None:
    """In Python, rows come from a loader of the caller's own."""
    from transformers import AutoTokenizer

    from medlora.inputs.prepare import find_inputs, prepare
    from medlora.trainer.build import build_model
    from medlora.trainer.loaders import make_loaders

    plan = tough_plan("a", *PRIVATE)
    cfg = plan.resolved.config
    loaders = make_loaders(prepare(find_inputs(plan), cfg), cfg.training, pin_memory=False)
    model = build_model(base_folder, cfg, suites=())
    tokenizer = AutoTokenizer.from_pretrained(base_folder)
    with pytest.raises(ConfigError, match="needs Poisson sampling"):
        MedicalLoRATrainer(model, tokenizer, loaders.train, None, cfg)

"""`auto` keeps the rows of a step, is the same on the same device, and stays a run's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.distributed.team import Team
from medlora.errors import StoppedError
from medlora.jobs import train
from medlora.plan.device import Device
from medlora.plan.memory_forecast import Forecast
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from medlora.trainer import auto_batch_size
from medlora.trainer.auto_batch_size import choose_rows, rows_of, settle_batch
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer

Make = Callable[..., Plan]
AUTO = ("training.per_device_train_batch_size=auto", "training.gradient_checkpointing=false")
GIB = 1 << 30
SMALL = Device("cpu", GIB, name="small")
# A vocabulary's logits of long rows, all at once: rows that cost something on so small a model.
HUNGRY = (*AUTO, "training.gradient_accumulation_steps=8", "training.targets_only_loss=false")


def test_a_step_keeps_its_rows(tough_plan: Make) -> None:
    """Four micro-batches of the default's two rows become one of eight; origins say so."""
    plan = settle_batch(tough_plan("a", *AUTO), team=Team(), fresh=False)
    training = plan.resolved.config.training
    assert (training.per_device_train_batch_size, training.gradient_accumulation_steps) == (8, 1)
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        assert plan.resolved.origin(f"training.{key}").startswith("auto: fits into ")
    assert plan.resolved.origin("lora.r") == "option --set lora.r"
    assert training.num_train_epochs == 3


def test_a_number_stays_as_it_is(tough_plan: Make) -> None:
    """Nothing is predicted where nobody asked."""
    plan = tough_plan("a")
    assert settle_batch(plan, team=Team(), fresh=False) is plan


def test_less_memory_gives_fewer_rows_and_always_the_same(
    tough_plan: Make, base_folder: Path
) -> None:
    """Divisors of a step's rows; every worker has a micro-batch; the least is one row."""
    plan = tough_plan("a", *HUNGRY)
    cfg = plan.resolved.config
    forecast = Forecast(base_folder, cfg, SMALL)
    half = forecast.footprint(8, 2).peak / 0.92
    rows, why = choose_rows(plan, Device("cpu", int(half * 1.001), name="a machine"))
    assert rows == 8
    assert why.endswith("GiB of a machine")
    assert choose_rows(plan, Device("cpu", int(half * 0.999)))[0] == 4
    assert choose_rows(plan, Device("cpu", 64 * GIB))[0] == 16
    assert choose_rows(plan, Device("cpu", 64 * GIB), workers=3)[0] == 4
    assert choose_rows(plan, Device("cpu", 1000))[0] == 1


def test_a_private_run_gets_the_default(tough_plan: Make) -> None:
    """What its rows' own gradients need is not predicted."""
    plan = tough_plan("a", *AUTO, "privacy.dp.target_epsilon=8")
    assert choose_rows(plan, Device("cpu", 64 * GIB))[0] == 2


def test_a_run_keeps_what_it_began_with(tough_plan: Make, tmp_path: Path) -> None:
    """Wherever it goes on; --fresh, and another number of rows in a step, choose anew."""
    folder = tmp_path / "out/a/step_2"
    folder.parent.mkdir(parents=True)
    write_checkpoint(folder, {}, {"inputs": {"training.per_device_train_batch_size": 4}})
    (tmp_path / "out/a/step_1").mkdir()
    assert rows_of(tmp_path / "out/a") == 4
    kept = settle_batch(tough_plan("a", *AUTO), team=Team(), fresh=False).resolved
    assert kept.config.training.per_device_train_batch_size == 4
    assert kept.config.training.gradient_accumulation_steps == 2
    anew = settle_batch(tough_plan("a", *AUTO), team=Team(), fresh=True).resolved
    assert anew.config.training.per_device_train_batch_size == 8


@pytest.mark.slow
def test_an_interrupted_run_resumed_on_a_smaller_device_ends_with_the_same_bits(
    tough_plan: Make, outcome_of, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The manifest states the number, and the finished run is known as finished."""
    train.run(tough_plan("straight", *AUTO))
    stop, evaluated = Stop(), []
    real = MedicalLoRATrainer.evaluate

    def evaluate(self):
        evaluated.append(1)
        if len(evaluated) == 3:
            stop.requested = "SIGTERM"
        return real(self)

    monkeypatch.setattr(MedicalLoRATrainer, "evaluate", evaluate)
    with pytest.raises(StoppedError):
        train.run(tough_plan("parts", *AUTO), stop=stop)
    monkeypatch.setattr(MedicalLoRATrainer, "evaluate", real)
    monkeypatch.setattr(auto_batch_size, "this_device", lambda: Device("cpu", 1000))
    train.run(tough_plan("parts", *AUTO))
    assert outcome_of("parts") == outcome_of("straight")
    stated = read_manifest(tmp_path / "out/parts/final")["config"]
    said = stated["training.per_device_train_batch_size"]
    assert said == {"value": 8, "origin": "auto: what the run began with"}
    train.run(tough_plan("parts", *AUTO))  # finished already

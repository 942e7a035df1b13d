"""What a run's folder has lost is rebuilt from what is whole, as `verify` says it will be."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora import logs
from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import IntegrityError
from medlora.files import sha256_file, sha256_files
from medlora.inputs import prepare
from medlora.jobs import train, verify
from medlora.runs import written
from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer
from tests.jobs.test_verify import spoil
from tests.tough import rewrite

pytestmark = pytest.mark.slow
ADAPTER = "adapter_model.safetensors"


@pytest.fixture(autouse=True)
def _heard() -> None:
    """Lines as a person sees them."""
    logs.set_up()


@pytest.fixture
def promised(finished: Path) -> Callable[[str], None]:
    """Tell what verify says that `train` does of a damage, or fail."""

    def check(way: str) -> None:
        with pytest.raises(IntegrityError) as error:
            verify.run(finished)
        assert re.search(way, str(error.value).partition("fix: ")[2])

    return check


def weights(run: Path) -> dict[str, str]:
    """The adapters that were the outcome."""
    return {name: sha256_file(run / name / ADAPTER) for name in ("final", "best_model")}


DAMAGES: dict[str, Callable[[Path], object]] = {
    "damaged": lambda final: spoil(final / ADAPTER),
    "without a manifest": lambda final: (final / "manifest.json").unlink(),
    "without a card": lambda final: (final / "README.md").unlink(),
    "a link": lambda final: (
        final.rename(final.with_name("elsewhere")),
        final.symlink_to("elsewhere"),
    ),
    "rejected, renamed": lambda final: rewrite(final, status="rejected"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_result_is_made_anew(
    finished: Path,
    tough_plan,
    promised,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
) -> None:
    """From the newest whole checkpoint, with the same bits; what was damaged is set aside."""
    before = weights(finished)
    damage(finished / "final")
    promised("^medlora train rebuilds final/ from (step_8|epoch_3)$")
    train.run(tough_plan("run"))
    said = capsys.readouterr().err
    assert "warning: final/ is damaged and was renamed broken-final-1: " in said
    assert "going on from step_" in said
    assert weights(finished) == before
    assert (finished / "broken-final-1").exists()
    verify.run(finished)


def test_a_result_that_is_gone_is_made_anew_and_told(
    finished: Path, tough_plan, promised, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the damaged checkpoint that lay beside it set aside, an older one does."""
    before = weights(finished)
    shutil.rmtree(finished / "final")
    spoil(finished / "epoch_3/optimizer.safetensors")
    promised("medlora train moves epoch_3 aside and resumes from step_8")
    train.run(tough_plan("run"))
    said = capsys.readouterr().err
    assert "the result of run is missing; it is rebuilt" in said
    assert "checkpoint epoch_3 is skipped and was renamed broken-epoch_3-1" in said
    assert weights(finished) == before


def test_a_damaged_result_without_a_whole_checkpoint_is_refused(
    finished: Path, tough_plan, promised
) -> None:
    """77, and nothing is moved: a copy may mend it; --fresh trains it again."""
    spoil(finished / "final" / ADAPTER)
    for checkpoint in (*finished.glob("step_*"), *finished.glob("epoch_*")):
        (checkpoint / "manifest.json").unlink()
    before = sha256_files(finished)
    promised("restore final from a copy")
    with pytest.raises(
        IntegrityError, match=r"changed\), and no intact checkpoint is left\n.*--fresh"
    ):
        train.run(tough_plan("run"))
    assert sha256_files(finished) == before
    train.run(tough_plan("run"), fresh=True)
    assert (finished.with_name("run.old-1") / "final").is_dir()
    verify.run(finished)


@pytest.mark.parametrize("name", ["best_model", "report.html", "written.json"])
def test_a_finished_run_gets_back_what_it_lacks(
    finished: Path, tough_plan, promised, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """To the byte, from what is beside it, and nothing is trained."""
    place = finished / name
    before = sha256_files(place) if place.is_dir() else sha256_file(place)
    if place.is_dir():
        shutil.rmtree(place)
        promised("^medlora train rebuilds best_model/ from ")
    else:
        place.unlink()
    monkeypatch.setattr(MedicalLoRATrainer, "train", None)
    train.run(tough_plan("run"))
    assert (sha256_files(place) if place.is_dir() else sha256_file(place)) == before
    verify.run(finished)


def test_a_best_model_that_nothing_has_any_more_ends_with_77(
    finished: Path, tough_plan, promised, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all else is done: the result is whole, and is said to be."""
    result = read_manifest(finished / "final")["result"]
    rewrite(finished / "final", result={**result, "best_step": 5})  # no evaluation was there
    rewrite(finished / "best_model", step=5)
    spoil(finished / "best_model" / ADAPTER)
    written.leave(finished)
    monkeypatch.setattr(MedicalLoRATrainer, "train", None)
    promised("^restore best_model from a copy: nothing beside it can rebuild it")
    with pytest.raises(IntegrityError, match=r"is of step 5; the result itself is whole"):
        train.run(tough_plan("run"))
    assert (finished / "best_model").exists()


def test_a_run_that_goes_on_gets_its_best_model_back(
    finished: Path, tough_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no later evaluation is better, the one of an earlier attempt has to be there."""
    before = weights(finished)
    for name in ("final", "best_model"):
        shutil.rmtree(finished / name)
    train.run(tough_plan("run"))
    assert "best_model/: it is gone; it is rebuilt from " in capsys.readouterr().err
    assert weights(finished) == before


FORGED: dict[str, Callable[[Path], object]] = {
    "another step's manifest": lambda run: rewrite(run / "step_8", name="step_99", step=99),
    "another step's progress": lambda run: rewrite(
        run / "step_8", name="step_99", progress={"step": 99}
    ),
    "renamed": lambda run: shutil.copytree(run / "step_8", run / "step_99"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_forged_checkpoint_is_not_gone_on_from(
    finished: Path, tough_plan, capsys: pytest.CaptureFixture[str], forge: Callable[[Path], object]
) -> None:
    """Set aside and said; the true one is taken."""
    before = weights(finished)
    for name in ("final", "epoch_3", "best_model"):
        shutil.rmtree(finished / name)
    forge(finished)
    train.run(tough_plan("run", "training.save_steps=1"))
    said = capsys.readouterr().err
    assert "checkpoint step_99 is skipped and was renamed broken-step_99-1: " in said
    assert "going on from step_8" in said
    assert weights(finished)["final"] == before["final"]


def test_a_link_is_not_gone_on_from(
    finished: Path, tough_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole and of the step that its name says; what it leads to is left alone."""
    before, other = weights(finished), finished.with_name("other")
    for name in ("final", "epoch_3"):
        shutil.rmtree(finished / name)
    (finished / "step_8").rename(other)
    (finished / "step_8").symlink_to(other)
    kept = sha256_files(other)
    train.run(tough_plan("run", "training.save_steps=1"))
    said = capsys.readouterr().err
    assert (
        "checkpoint step_8 is skipped and was renamed broken-step_8-1: it is a symbolic link"
        in said
    )
    assert re.search(r"going on from step_6", said)
    assert weights(finished) == before
    assert sha256_files(other) == kept


@pytest.mark.parametrize("end", ["final", "rejected"])
def test_a_repair_reads_its_inputs_once(
    end: str, finished: Path, tough_plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged result, or one that was rejected under other inputs, costs no further reading."""
    if end == "final":
        spoil(finished / "final" / ADAPTER)
    else:
        stated = read_manifest(finished / "final")["inputs"]
        rewrite(
            finished / "final",
            name="rejected",
            status="rejected",
            inputs={**stated, "gate.min_escalation": 0.5},
        )
        shutil.rmtree(finished / "final")
    read: list[str] = []
    for name in ("digest_base", "find_files"):
        plain = getattr(prepare, name)

        def counted(*given: object, name: str = name, plain=plain) -> object:
            read.append(name)
            return plain(*given)

        monkeypatch.setattr(prepare, name, counted)
    train.run(tough_plan("run"))
    assert sorted(read) == ["digest_base", "find_files"]
    assert (finished / "final").is_dir()

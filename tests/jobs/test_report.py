"""`medlora report`, and the page that every run leaves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from medlora.cli import cli
from medlora.errors import DataError, IntegrityError, MissingPartError
from medlora.files import sha256_file
from medlora.jobs import report, train
from medlora.jobs.report import ReportOptions
from medlora.plan.resolve_run import Plan
from tests.tiny import write_rows
from tests.tough import rewrite

Make = Callable[..., Plan]
ADAPTER = "adapter_model.safetensors"
SHORT = ("training.max_steps=2", "training.save_steps=1")


def test_a_run_leaves_its_page(
    tough_plan: Make, tmp_path: Path, rows: list[dict[str, str]], data_file: Path
) -> None:
    """The same bytes as asked for later; without a word of a row; back again if it was deleted."""
    marked = [{name: f"canary {text}" for name, text in row.items()} for row in rows]
    write_rows(data_file, marked)
    plan = tough_plan("one", *SHORT, "training.generation_steps=1")
    train.run(plan)
    folder = tmp_path / "out/one"
    page = folder / "report.html"
    left = page.read_bytes()
    assert b"canary" not in left.lower()
    for place in (folder, folder / "final"):
        page.unlink()
        report.run([place], ReportOptions())
        assert page.read_bytes() == left
    half = page.rename(folder / ".tmp-0123abcd")
    half.write_bytes(left[:100])  # as if it had been killed while it wrote the page
    train.run(plan)  # is finished already
    assert page.read_bytes() == left
    assert not half.exists()


def test_what_was_measured_later_is_shown(saved_run: Callable[..., Path], tmp_path: Path) -> None:
    """An evaluation of this adapter and its memory audit; those of another are not."""
    folder = saved_run()
    digest = sha256_file(folder / "final" / ADAPTER)
    rate = {"k": 9, "n": 10, "rate": 0.9, "low": 0.596, "high": 0.982}
    suites = {"later": {"kind": "choices", "asked": 10, "adapter": {"rates": {"accuracy": rate}}}}
    stated = {"kind": "evaluation", "adapter": {"files": {ADAPTER: digest}}, "suites": suites}
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps(stated))
    one = {"extracted": 0, "n": 5, "rate": 0.0, "wilson95": [0, 0.434]}
    extraction = {"match_tokens": 32, "base": one, "adapter": one}
    memory = folder / "memory-audit.json"
    memory.write_text(json.dumps({"adapter_sha256": digest, "extraction": extraction}))
    report.run([folder], ReportOptions((file,)))
    text = (folder / "report.html").read_text()
    assert "9 of 10: 90.0 % [59.6, 98.2]" in text
    assert "0 of 5: 0.0 % [0.0, 43.4]" in text

    memory.write_text(json.dumps({"adapter_sha256": "other", "extraction": extraction}))
    report.run([folder], ReportOptions())
    assert "0 of 5" not in (folder / "report.html").read_text()
    memory.write_text("[]")
    with pytest.raises(DataError, match="is not a report of `audit-memory measure`"):
        report.run([folder], ReportOptions())
    memory.unlink()
    stated["adapter"] = {"files": {ADAPTER: "b" * 64}}
    file.write_text(json.dumps(stated))
    with pytest.raises(IntegrityError, match="reports on another adapter"):
        report.run([folder], ReportOptions((file,)))


def test_several_runs_and_an_unfinished_one(saved_run: Callable[..., Path], tmp_path: Path) -> None:
    """Side by side from the command line; one that was interrupted as far as its checkpoint."""
    folder, partial = saved_run(), saved_run("part")
    rewrite(partial / "final", name="step_3", kind="checkpoint", step=3, progress={"step": 3})
    shutil.rmtree(partial / "final")
    shutil.copytree(partial / "step_3", partial / "step_4")
    (partial / "step_4" / ADAPTER).write_bytes(b"damaged")
    words = ["report", str(folder), str(partial), str(folder), "--output", "new/all.html"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    text = Path("new/all.html").read_text()
    for part in ("run (1)", "part", "run (2)", "not finished, at step 3"):
        assert part in text, part


def test_what_is_no_run_is_refused(saved_run: Callable[..., Path], tmp_path: Path) -> None:
    """69 for nothing there, 77 for a damaged one, 2 for none named."""
    with pytest.raises(MissingPartError, match="neither a finished run nor a checkpoint"):
        report.run([tmp_path / "nothing"], ReportOptions())
    folder = saved_run()
    (folder / "final/tokenizer.json").write_text("")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json was changed"):
        report.run([folder], ReportOptions())
    assert CliRunner().invoke(cli, ["report"]).exit_code == 2


@pytest.mark.slow
def test_a_private_run_shows_no_loss_of_its_steps(tough_plan: Make, tmp_path: Path) -> None:
    """Nor does one of Trainer's engine fail for what it has not; a rejected one says so first."""
    pytest.importorskip("opacus")
    private = (
        "privacy.dp.target_epsilon=50",
        "training.packing=false",
        "training.lean_lora=false",
    )
    train.run(tough_plan("private", *SHORT, *private))
    text = (tmp_path / "out/private/report.html").read_text()
    assert "Differential privacy" in text
    assert '"field":"loss"' not in text
    assert '"field":"eval_loss"' in text
    train.run(tough_plan("trainers", *SHORT, "training.engine=huggingface"))
    assert '"field":"loss"' in (tmp_path / "out/trainers/report.html").read_text()

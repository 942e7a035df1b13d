"""Cards of real runs: the same bytes for the same run, no text of a row, gaps that are told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.errors import ConfigError, DataError, IntegrityError, MissingPartError
from medlora.files import sha256_file
from medlora.jobs import card, reproduce, train, verify
from medlora.jobs.card import CardOptions
from medlora.plan.resolve_run import Plan
from medlora.report.human_statements import KEYS
from medlora.runs.cards import PAPERS
from tests.tiny import run_plan, write_rows

pytestmark = pytest.mark.slow


@pytest.fixture
def plan(tmp_path: Path, data_file: Path, base_folder: Path) -> Callable[..., Plan]:
    """Make the plan of a run of two steps that writes below a folder of this name."""

    def make(folder: str, *overrides: str, config: str = "recommended") -> Plan:
        short = ("training.max_steps=2", "training.warmup_steps=1", "lora.r=4", *overrides)
        return run_plan(
            tmp_path, *short, data=data_file, base=base_folder, out=folder, config=config
        )

    return make


def papers(folder: Path) -> dict[str, bytes]:
    """What the papers of a folder hold."""
    return {name: (folder / name).read_bytes() for name in PAPERS}


def test_the_same_run_twice_gives_the_same_papers(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    """Byte for byte, in another folder, at another time; another seed gives others.

    `medlora card` gives them a third time, where neither data nor base is any more: they are made
    of the manifest alone.
    """
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        train.run(plan(folder, f"training.seed={seed}"))
    first, second, other = (papers(tmp_path / name / "run/final") for name in "abc")
    assert first == second
    assert all(first[name] != other[name] for name in PAPERS)
    manifest = read_manifest(tmp_path / "a/run/final")
    assert set(PAPERS) < set(manifest["files"])

    shutil.rmtree(tmp_path / "data")
    card.run(tmp_path / "a/run", CardOptions())
    assert papers(tmp_path / "a/run/card") == first
    verify.run(tmp_path / "a/run")


def test_a_repetition_has_the_same_papers(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`medlora reproduce` trains under another name; its cards are those of the run."""
    train.run(plan("a"))
    monkeypatch.setattr(reproduce, "remove", lambda _: None)  # the copy stays, to be looked at
    reproduce.run(tmp_path / "a/run")
    repeated = papers(tmp_path / "a/run.reproduced/final")
    assert repeated == papers(tmp_path / "a/run/final")


def test_trainers_engine_leaves_papers_too(plan: Callable[..., Plan], tmp_path: Path) -> None:
    """With what it knows: it counts no tokens, so there are no operations."""
    train.run(plan("a", "training.engine=huggingface"))
    final = tmp_path / "a/run/final"
    read_manifest(final)
    assert json.loads((final / "facts.json").read_bytes())["flops"] is None
    assert b"operations not counted" in (final / "README.md").read_bytes()


def test_no_text_of_a_row_is_in_a_paper(
    plan: Callable[..., Plan], tmp_path: Path, rows: list[dict[str, str]], data_file: Path
) -> None:
    """Rows of canaries; nor does a checkpoint have a card."""
    marked = [{name: f"canary {text}" for name, text in row.items()} for row in rows]
    write_rows(data_file, marked)
    train.run(plan("a"))
    card.run(tmp_path / "a/run", CardOptions())
    for folder in ("final", "card"):
        assert not any(b"canary" in text for text in papers(tmp_path / "a/run" / folder).values())
    assert [path.parent.name for path in sorted((tmp_path / "a").rglob("README.md"))] == [
        "card",
        "final",
    ]


def test_statements_beside_the_config_are_found_and_kept(
    plan: Callable[..., Plan], tmp_path: Path
) -> None:
    """card.yaml is in the card and in the manifest; a wrong one ends the run before it begins."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config/mine.yaml").write_text("run_name: mine\n")
    statements = tmp_path / "config/card.yaml"
    statements.write_text("users: nurses of ward 7\nuser: x\n")
    with pytest.raises(ConfigError, match=r"card\.yaml:2: unknown key user; did you mean users"):
        train.run(plan("a", config=str(tmp_path / "config")))
    statements.write_text("users: nurses of ward 7\n")
    train.run(plan("a", config=str(tmp_path / "config")))
    final = tmp_path / "a/mine/final"
    assert b"nurses of ward 7" in (final / "README.md").read_bytes()
    assert read_manifest(final)["statements"]["sha256"] == sha256_file(statements)
    statements.unlink()
    card.run(final, CardOptions(form="chai", output=tmp_path / "else"))
    assert b"nurses of ward 7" in (tmp_path / "else/applied_model_card.xml").read_bytes()
    assert not (tmp_path / "else/README.md").exists()


@pytest.fixture
def final(plan: Callable[..., Plan], tmp_path: Path) -> Path:
    """The folder of a finished run."""
    train.run(plan("a"))
    return tmp_path / "a/run/final"


def test_strict_fails_until_everything_is_stated(
    final: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """69 with the name of each missing statement; none is missing in the end."""
    with pytest.raises(MissingPartError) as error:
        card.run(final, CardOptions(strict=True))
    assert error.value.exit_code == 69
    for key in ("intended_use", "risks", "license", "fairness.goal", "safety.results", "consent"):
        assert f"\n  {key}: " in str(error.value)

    said = {key: "x" for key in KEYS if "." not in key and key != "base_training_flops"}
    report = {
        "kind": "evaluation",
        "adapter": {
            "files": {"adapter_model.safetensors": sha256_file(final / "adapter_model.safetensors")}
        },
        "suites": {"s": {"kind": "choices", "adapter": {"rates": {"accuracy": {"rate": 0.5}}}}},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(report))
    groups = {key: "x" for key in KEYS if "." in key}
    (tmp_path / "card.yaml").write_text(json.dumps(said | _nested(groups)))
    capsys.readouterr()
    evaluations = (tmp_path / "evaluation.json",)
    card.run(
        final,
        CardOptions(strict=True, statements=tmp_path / "card.yaml", evaluations=evaluations),
    )
    assert "NOT PROVIDED" not in capsys.readouterr().out
    for text in papers(final.parent / "card").values():
        assert b"NOT PROVIDED" not in text
    assert b"s: accuracy, adapter" in papers(final.parent / "card")["README.md"]


def _nested(values: dict[str, str]) -> dict[str, dict[str, str]]:
    """Dotted keys as groups."""
    groups: dict[str, dict[str, str]] = {}
    for key, value in values.items():
        group, _, name = key.partition(".")
        groups.setdefault(group, {})[name] = value
    return groups


def test_what_does_not_belong_to_the_run_is_refused(final: Path, tmp_path: Path) -> None:
    """Another adapter's evaluation (77), no evaluation (65), no run (69), a damaged one (77)."""
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps({"kind": "evaluation", "adapter": None}))
    with pytest.raises(IntegrityError, match="reports on another adapter"):
        card.run(final, CardOptions(evaluations=(file,)))
    file.write_text("{}")
    with pytest.raises(DataError, match="not a report of `medlora evaluate`"):
        card.run(final, CardOptions(evaluations=(file,)))
    with pytest.raises(MissingPartError, match="not there"):
        card.run(tmp_path / "nothing", CardOptions())
    (final / "README.md").write_text("All is well.")
    with pytest.raises(IntegrityError, match=r"README\.md was changed"):
        card.run(final, CardOptions())

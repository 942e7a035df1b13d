"""Every `medlora` command in README and docs, run as it stands, on a small base and a few rows.

Options that only make it small are added to some; blocks marked with what they need are left out.
"""

import io
import json
import shutil
from pathlib import Path

import pytest

from medlora.cli import cli
from medlora.errors import MedloraError
from medlora.files import sha256_file
from medlora.report.human_statements import KEYS
from medlora.runtime.stop import Stop
from tests.documented import COMMANDS, ROOT, Command
from tests.tiny import write_rows

pytestmark = pytest.mark.slow

ROWS = 24
SMALL = {  # what is added, so that a command takes seconds
    "train": "--set training.max_steps=2 --set training.warmup_steps=1 --set lora.r=4",
    "check": "--no-probe --set run_name=another",
    "evaluate": "--limit 2 --max-new-tokens 8",
    "generate": "--max-new-tokens 8",
    "plant": "--copies 1 --each 1",
    "measure": "--rows 2 --decoys 8 --prefix 4 --match 4",
}
LEFT_WANTING = {"card": 69}  # --strict, where not everything is stated
LINES = {line.line: line for line in COMMANDS if line.is_ours and not line.need}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages speak of."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "medlora/demo/base", folder / "models/my-base")
    (folder / "data").mkdir()
    demo = ROOT / "medlora/demo/data/train.jsonl"
    rows = [json.loads(line) for line in demo.read_text(encoding="utf-8").splitlines()[:ROWS]]
    lines = []
    for number, row in enumerate(rows):
        for name in ("question", "patient_question"):
            row[name] = row.get("prompt")
        for name in ("answer", "nurse_answer"):
            row[name] = row.get("response")
        lines.append({**row, "patient_id": number // 2})
    write_rows(folder / "data/train.jsonl", lines)
    asked = [{"prompt": "What is a stroke?"}, {"prompt": "What helps?", "system": "Be brief."}]
    write_rows(folder / "asked.jsonl", asked)
    suite = [
        {"prompt": "Is it serious?", "expect": "answer"},
        {"prompt": "Help!", "expect": "answer"},
    ]
    write_rows(folder / "my-suite.jsonl", suite)
    write_rows(
        folder / "questions.jsonl",
        [
            {"question": f"Is {n} even?", "choices": ["yes", "no"], "answer": n % 2}
            for n in range(4)
        ],
    )
    stated = {key: "x" for key in KEYS if "." not in key and key != "base_training_flops"}
    (folder / "card.yaml").write_text(json.dumps(stated), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(project: Path) -> Path:
    """The same with runs that have ended, a report, and a base that was packed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("HF_HUB_OFFLINE", "1")
        train = "train --data data --model models/my-base --config configs/recommended.yaml"
        assert run(f"{train} {SMALL['train']} --set training.save_steps=1".split(), project) == 0
        evaluate = (
            "evaluate --model models/my-base --adapter checkpoints/run --suite my-suite.jsonl"
        )
        assert run(f"{evaluate} {SMALL['evaluate']} --output report.json".split(), project) == 0
        assert run(["model-pack", "models/my-base", "packed"], project) == 0
    for name in ("a", "b", "old", "new"):
        shutil.copytree(project / "checkpoints/run", project / "checkpoints" / name)
    return project


@pytest.mark.parametrize("command", LINES.values(), ids=LINES)
def test_a_command_runs(
    command: Command, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with 0, or with what its page says."""
    here = tmp_path / "project"
    shutil.copytree(finished, here)
    monkeypatch.chdir(here)
    for name, value in command.variables.items():
        monkeypatch.setenv(name, value)
    prepare(here, command)
    name = command.arguments[0] if command.arguments[0] != "audit-memory" else command.arguments[1]
    arguments = [*command.arguments, *SMALL.get(name, "").split()]
    if name == "generate" and not {"--prompt", "--prompts"} & set(arguments):
        arguments.append("--chat")  # as on a terminal
        monkeypatch.setattr("sys.stdin", io.StringIO("What is a stroke?\n"))
    expected = LEFT_WANTING.get(name, 0) if "--strict" in arguments else 0
    assert run(arguments, here) == expected


def prepare(here: Path, command: Command) -> None:
    """Take away what the command makes, or what would leave it nothing to do."""
    line = command.line
    if "model-pack" in line:
        shutil.rmtree(here / "packed")
    if command.arguments[0] == "train" and "--fresh" not in line:
        shutil.rmtree(here / "checkpoints/run/final")  # as if it had been interrupted
        if "--allow-change" not in line:
            shutil.rmtree(here / "checkpoints/run")
    if "--data planted" in line:
        plant = f"audit-memory plant planted --data data/train.jsonl {SMALL['plant']}"
        assert run(plant.split(), here) == 0
    if line == "medlora verify merged":
        assert run(["merge", "checkpoints/run", "merged"], here) == 0


def run(arguments: list[str], here: Path) -> int:
    """Run a command; errors of ours become their code, as on the command line."""
    listed = here / "packed/SHA256SUMS"
    arguments = [sha256_file(listed) if one == "SHA256" else one for one in arguments]
    try:
        cli.main(arguments, prog_name="medlora", standalone_mode=False, obj=Stop())
    except MedloraError as error:
        print(error)  # noqa: T201  (why a test failed)
        return error.exit_code
    return 0

"""`medlora generate`: answers where they were asked for, and nowhere else."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from medlora.cli import cli
from medlora.errors import DataError, IntegrityError, MedloraError, MissingPartError
from medlora.evaluate.generate import Answer, generate
from medlora.jobs import generate as job
from medlora.jobs.generate import GenerateOptions
from medlora.plan.resolve_run import Plan
from tests.tiny import resolved

SHORT = ("--max-new-tokens", "6")


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Make what the command line adds up to where nothing is mounted."""
    return partial(resolved, tmp_path, allow_demo=False)


def ask(*arguments: object, typed: str | None = None) -> Result:
    """Run the command; errors of ours are raised."""
    words = ["generate", *map(str, arguments), *SHORT]
    return CliRunner().invoke(cli, words, input=typed, catch_exceptions=False)


def test_one_prompt_gets_its_answer_alone(saved_run: Callable[..., Path], adapted, chat) -> None:
    """Standard output is the answer, as `evaluate` would have it, twice the same."""
    folder = saved_run()
    (expected,) = generate(adapted(), chat, ["pain"], max_new_tokens=6, batch_size=1)
    assert expected.text
    for _ in range(2):
        assert ask(folder, "--prompt", "pain").stdout == f"{expected.text}\n"


def test_the_base_stands_beside_the_adapter(
    saved_run: Callable[..., Path], chat, base_folder: Path, tmp_path: Path
) -> None:
    """In print and in a file, which has the prompts as well, in the prompts' order."""
    from medlora.config import ModelConfig
    from medlora.model.base import load_base

    folder, prompts = saved_run(), ["pain in the chest", "rest"]
    base = load_base(base_folder, ModelConfig(), half=None)
    expected = generate(base, chat, prompts, max_new_tokens=6, batch_size=2)
    (tmp_path / "asked.txt").write_text("\n".join(["", *prompts, ""]))
    done = ask(folder, "--prompts", "asked.txt", "--compare", "--output", "answers.jsonl")
    assert "2 prompts answered" in done.stdout
    assert not any(prompt in done.output for prompt in prompts)
    rows = [json.loads(line) for line in Path("answers.jsonl").read_text().splitlines()]
    assert [row["base"]["text"] for row in rows] == [answer.text for answer in expected]
    assert [(row["line"], row["messages"][-1]["content"]) for row in rows] == [
        (2, prompts[0]),
        (3, prompts[1]),
    ]
    printed = ask(folder, "--prompts", "asked.txt", "--compare").stdout
    assert f"base: {expected[0].text}\nadapter: {rows[0]['adapter']['text']}" in printed
    assert rows[0]["adapter"]["text"] != expected[0].text


def test_a_conversation_goes_on(saved_run: Callable[..., Path], adapted, chat) -> None:
    """Each answer knows the turns before; /new forgets them; a full memory ends nothing."""
    folder = saved_run()
    done = ask(folder, "--chat", "--system", "care", typed="pain\n\nrest\n/new\nrest\n" + "x" * 99)
    first = [{"role": "system", "content": "care"}, {"role": "user", "content": "pain"}]
    (one,) = generate(adapted(), chat, [first], max_new_tokens=6, batch_size=1)
    rest = {"role": "user", "content": "rest"}
    turns = [*first, {"role": "assistant", "content": one.text}, rest]
    (two,) = generate(adapted(), chat, [turns], max_new_tokens=6, batch_size=1)
    again = [first[0], rest]
    (three,) = generate(adapted(), chat, [again], max_new_tokens=6, batch_size=1)
    assert done.stdout == f"{one.text}\n{two.text}\n{three.text}\n"


def test_rows_of_a_file_may_be_conversations(
    saved_run: Callable[..., Path], tmp_path: Path
) -> None:
    """`prompt`, `system`, `messages`; the command line's system turn fills in."""
    rows: list[dict[str, Any]] = [
        {"prompt": "pain"},
        {"prompt": "pain", "system": "own"},
        {"messages": [{"role": "user", "content": "pain"}]},
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ask(saved_run(), "--prompts", "asked.jsonl", "--system", "all", "--output", "out.jsonl")
    said = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["messages"][0]["content"] for row in said] == ["all", "own", "all"]
    assert said[0]["adapter"] == said[2]["adapter"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"prompt": ""}\n{"secret": 1}\n[', r"a\.jsonl cannot be used: 3 problems"),
        ("a.jsonl", b'{"messages": [{"role": "assistant", "content": "x"}]}', "not the user's"),
        ("a.jsonl", b'{"messages": [{"role": "secret"}]}', r"messages\[0\]': no role and content"),
        ("a.jsonl", b'{"prompt": "x", "system": 3}', "'system': a number"),
        ("a.txt", b"\n \n", "no prompt"),
        ("a.txt", b"fine\n\xff\xfe", r"a\.txt:2: not UTF-8"),
        ("a.txt", b"short\n" + b"secret " * 99, r"prompt 2: a prompt has \d+ tokens"),
    ],
)
def test_what_cannot_be_asked_is_told_without_its_text(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    tmp_path: Path,
    name: str,
    content: bytes,
    told: str,
) -> None:
    """65, by file and line, before anything is answered."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told) as error:
        job.run(saved_run(), plan(), GenerateOptions(file=Path(name)))
    assert "secret" not in str(error.value)


def test_nothing_asked_is_a_usage_error(saved_run: Callable[..., Path]) -> None:
    """2, before anything is loaded; and so are two ways at once."""
    assert ask(saved_run()).exit_code == 2
    assert ask(Path("runs/run"), "--chat", "--prompt", "x").exit_code == 2


def test_an_adapter_is_asked_on_its_own_base_alone(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], base_folder: Path, tmp_path: Path
) -> None:
    """Another base is 77, a missing one 69, no adapter 69, a damaged one 77."""
    folder = saved_run()
    other = tmp_path / "other"
    other.mkdir()
    for file in base_folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    job.run(folder, plan(model=str(other)), GenerateOptions(prompts=("pain",), max_new_tokens=1))
    (other / "generation_config.json").write_text("{}")
    wishes = GenerateOptions(prompts=("pain",))
    refused: list[tuple[type[MedloraError], str, Path, dict[str, str]]] = [
        (IntegrityError, "1 files differ by SHA-256, first gen", folder, {"model": str(other)}),
        (MissingPartError, "no config.json", folder, {"model": "nowhere"}),
        (MissingPartError, "no adapter_config.json", tmp_path, {}),
    ]
    for kind, told, place, given in refused:
        with pytest.raises(kind, match=told):
            job.run(place, plan(**given), wishes)
    (folder / "final/adapter_config.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"adapter_config\.json was changed"):
        job.run(folder, plan(), wishes)


@pytest.mark.slow
def test_a_terminal_is_for_talking(saved_run: Callable[..., Path]) -> None:
    """On a real terminal nothing has to be asked for: it prompts, answers, and ends with 0."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "medlora", "generate", str(saved_run()), *SHORT]
    with subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, b"pain\n/end\n")
        said, _ = process.communicate(timeout=120)
    os.close(ours)
    assert process.returncode == 0
    assert b"you> " in said


def test_a_terminal_gets_nothing_that_it_would_obey(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A base was taught whatever its maker liked."""
    answer = "a\x1b]0;x\x07\x1b[2J\nÜ\u202eb"
    asked = (saved_run(), plan(), GenerateOptions(prompts=("pain",)))
    monkeypatch.setattr(
        job, "speak", lambda *_, hear, **__: hear(answer) or Answer(answer, cut=False)
    )
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        job.run(*asked)
        terminal.flush()
        assert os.read(ours, 1000).decode() == "a\\x1b]0;x\\x07\\x1b[2J\r\nÜ\\u202eb\r\n"
    os.close(ours)


def test_a_file_gets_the_answer_as_it_is(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With what a terminal would obey: whoever reads the file wants the model's own text."""
    answer = "a\x1b[2J\x1b[31mb"
    monkeypatch.setattr(
        job, "speak", lambda *_, hear, **__: hear(answer) or Answer(answer, cut=False)
    )
    asked = (saved_run(), plan(), GenerateOptions(prompts=("pain",)))
    with (tmp_path / "answer.txt").open("w+", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        job.run(*asked)
        file.flush()
        assert (tmp_path / "answer.txt").read_text(encoding="utf-8") == f"{answer}\n"

"""People's statements: kept to the letter, never lost to a slip, never made up."""

import json
from pathlib import Path

import pytest

from medlora.errors import ConfigError, MissingPartError
from medlora.report.human_statements import NOT_PROVIDED, Statements, from_facts, read_statements


def read(tmp_path: Path, text: str) -> Statements:
    """The statements of a file with this text."""
    file = tmp_path / "card.yaml"
    file.write_text(text, encoding="utf-8")
    return read_statements(file)


def test_statements_are_kept_to_the_letter(tmp_path: Path) -> None:
    """Dates, numbers and versions stay text; lists and groups are read; nothing is nothing."""
    said = read(
        tmp_path,
        "release_date: 2026-01-02\nrelease_version: 1.10\nusers: nurses\nkeywords: [a, b]\n"
        "language: en\nfunding:\nconsent: NOT PROVIDED\nfairness:\n  goal: 'no'\n  results: [x]\n",
    )
    assert said.text("release_date") == "2026-01-02"
    assert said.text("release_version") == "1.10"
    assert said.items("keywords") == ["a", "b"]
    assert said.items("language") == ["en"]
    assert said.text("fairness.goal") == "no"
    assert said.items("fairness.results") == ["x"]
    for key in ("funding", "consent", "risks", "safety.goal"):
        assert said.text(key) == NOT_PROVIDED
        assert key not in said.values
    assert from_facts(json.loads(json.dumps(said.facts()))) == said


def test_no_file_is_no_statement_and_json_is_yaml(tmp_path: Path) -> None:
    """The same keys in JSON; a file that is named must be there."""
    assert read_statements(None).facts() is None
    assert read(tmp_path, json.dumps({"users": "nurses"})).text("users") == "nurses"
    assert not read(tmp_path, "").values
    with pytest.raises(MissingPartError, match="no such file"):
        read_statements(tmp_path / "other.yaml")


def test_every_problem_is_told_with_its_line(tmp_path: Path) -> None:
    """Unknown keys with the nearest right one, texts that no XML holds, wrong kinds."""
    text = (
        'usres: x\nfairness:\n  gaol: y\nrisks: [a]\nconsent: "a\\x01b"\n'
        "base_training_flops: much\nusers: a\nusers: b\n"
    )
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    said = str(error.value)
    for line in (
        "card.yaml:1: unknown key usres; did you mean users?",
        "card.yaml:3: unknown key fairness.gaol; did you mean fairness.goal?",
        "card.yaml:4: risks must be a text",
        "card.yaml:5: consent has a control character",
        "card.yaml:6: base_training_flops must be a number",
        "card.yaml:8: users is set twice",
    ):
        assert line in said
    assert error.value.exit_code == 78


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "x"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """78, with the file's name."""
    with pytest.raises(ConfigError, match=r"card\.yaml"):
        read(tmp_path, text)

"""A suite's kind is told by its fields, and every row that cannot be used is named at once."""

import json
from pathlib import Path

import pytest

from medlora.data.conversation_record import Record
from medlora.errors import DataError, MissingPartError
from medlora.evaluate.kinds.choices import Choice
from medlora.evaluate.kinds.generation import Prompt
from medlora.evaluate.kinds.pairs import Pair
from medlora.evaluate.kinds.perplexity import Text
from medlora.evaluate.suite_files import read_suite, read_suites
from medlora.files import sha256_file

ROWS = {
    "text": ({"text": "a b"}, "perplexity", Text(1, "a b")),
    "choices": (
        {"question": "q", "context": "c", "choices": ["yes", "no"], "answer": 1},
        "choices",
        Choice(1, "q", "c", ("yes", "no"), 1),
    ),
    "bare": (
        {"question": "q", "choices": ["yes", "no"], "answer": 0, "source": 7},
        "choices",
        Choice(1, "q", "", ("yes", "no"), 0),
    ),
    "pairs": ({"prompt": "p", "better": "b", "worse": "w"}, "pairs", Pair(1, "p", "b", "w")),
    "prompts": (
        {"prompt": "p", "expect": "refuse", "category": "AMA 1", "id": 3},
        "generation",
        Prompt(1, "3", "p", "refuse", "AMA 1"),
    ),
    "unnamed": (
        {"prompt": "p", "expect": "answer"},
        "generation",
        Prompt(1, "line 1", "p", "answer", None),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_fields_tell_the_kind(name: str, write_jsonl) -> None:
    """One row of each form, with the file's digest and its name."""
    row, kind, item = ROWS[name]
    path = write_jsonl(f"{name}.jsonl", [row])
    suite = read_suite(path)
    assert (suite.name, suite.kind, suite.items) == (name, kind, (item,))
    assert suite.sha256 == sha256_file(path)


def test_training_forms_are_perplexity(write_jsonl) -> None:
    """Conversations are read by the reader of training data."""
    rows = [
        {"prompt": "p", "response": "r"},
        {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]},
    ]
    suite = read_suite(write_jsonl("chats.jsonl", rows))
    assert suite.kind == "perplexity"
    assert all(isinstance(item, Record) for item in suite.items)
    assert suite.first(1).items == suite.items[:1]


def test_every_form_of_training_may_stand_in_one_file(write_jsonl) -> None:
    """Text among them, in the file's order; whatever training takes."""
    rows = [
        {"text": "t"},
        {"question": "q", "answer": "a"},
        {"instruction": "i", "output": "o"},
        {"text": "u"},
        {"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]},
    ]
    suite = read_suite(write_jsonl("mixed.jsonl", rows))
    assert suite.kind == "perplexity"
    assert suite.rows == 5
    assert [item.line for item in suite.items] == [1, 2, 3, 4, 5]
    assert [isinstance(item, Text) for item in suite.items] == [True, False, False, True, False]
    with pytest.raises(
        DataError, match=r"mixed.jsonl:6: a row of the form pairs in a file of text"
    ):
        read_suite(
            write_jsonl("mixed.jsonl", [*rows, {"prompt": "p", "better": "b", "worse": "w"}])
        )


def test_every_bad_row_of_every_file_is_named_at_once(tmp_path: Path, write_jsonl) -> None:
    """File, line, field and what was found; never the row's text."""
    secret = "canary-text"
    good = {"question": "q", "choices": ["a", "b"], "answer": 0}
    first = write_jsonl(
        "first.jsonl",
        [
            good,
            {**good, "answer": 2},
            {**good, "answer": "a"},
            {**good, "choices": ["a"]},
            {**good, "choices": ["a", "a"]},
            {**good, "choices": ["a", ""]},
            {**good, "choices": secret},
            {"choices": ["a", "b"], "answer": 0},
            {"prompt": secret},
            {"prompt": secret, "better": "b", "worse": "w"},
        ],
    )
    second = tmp_path / "second.jsonl"
    second.write_text(
        json.dumps({"prompt": "p", "expect": "maybe"}) + "\n"
        '{"prompt": "p", "expect":\n'
        + json.dumps({"prompt": "p", "expect": "answer", "category": secret * 20})
        + "\n"
        + json.dumps({"prompt": " ", "expect": "answer"})
        + "\n"
    )
    chats = write_jsonl("chats.jsonl", [{"prompt": "p", "response": "r"}, {"prompt": "p"}])
    pairs = write_jsonl("pairs.jsonl", [{"prompt": "p", "better": "b", "worse": "b"}])
    with pytest.raises(DataError) as caught:
        read_suites([first, second, chats, pairs])
    message = str(caught.value)
    assert "the suites cannot be used: 15 problems" in message
    for line in (
        f"{first}:2: field 'answer': no choice has this index, there are 2",
        f"{first}:3: field 'answer': text instead of an index",
        f"{first}:4: field 'choices': 1 choices",
        f"{first}:5: field 'choices': the same choice twice",
        f"{first}:6: field 'choices[1]': empty text",
        f"{first}:7: field 'choices': text instead of a list",
        f"{first}:8: field 'question': missing",
        f"{first}:9: these fields match no kind of suite",
        f"{first}:10: a row of the form pairs in a file of choices",
        f"{second}:1: field 'expect': an unknown word",
        f"{second}:2: not JSON",
        f"{second}:3: field 'category': no short label",
        f"{second}:4: field 'prompt': only white space",
        f"{chats}:2: these fields match no kind of suite",
        f"{pairs}:1: field 'worse': the same text as 'better'",
    ):
        assert line in message
    assert secret not in message


@pytest.mark.parametrize("content", ["", "\n", "[{}]", "\x1f\x8b"])
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, content: str) -> None:
    """Empty, an array, an archive."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=r"x\.jsonl"):
        read_suite(path)


def test_names_that_are_not_there_or_twice_are_refused(tmp_path: Path, write_jsonl) -> None:
    """A missing suite is a missing part; reports could not tell two of one name apart."""
    with pytest.raises(MissingPartError, match="suite nosuch: no file at nosuch"):
        read_suite("nosuch")
    paths = [write_jsonl(f"{place}/a.jsonl", [{"text": "t"}]) for place in "xy"]
    with pytest.raises(DataError, match="two suites are called a"):
        read_suites(paths)
    assert read_suites(["a.jsonl"], folder=tmp_path / "x")[0].file == paths[0]


def test_pubmedqa_is_read_as_it_is() -> None:
    """500 questions with an abstract each."""
    path = Path(__file__).parents[2] / "../shared/data/pubmedqa_test500.jsonl"
    if not path.is_file():
        pytest.skip("the shared data is not here")
    suite = read_suite(path)
    assert (suite.kind, len(suite.items)) == ("choices", 500)
    assert all(item.context for item in suite.items)

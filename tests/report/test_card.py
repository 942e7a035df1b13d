"""Hugging Face's card: metadata that its own library takes, numbers that stand where they say."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData
from markdown_it import MarkdownIt

from medlora.escape import escaped
from medlora.report.card import fields, metadata, model_card
from medlora.report.card_inputs import Subject
from medlora.report.human_statements import NOT_PROVIDED, Statements
from medlora.report.markdown import number

ROW = re.compile(
    r"^\| (.+?) \| (.*?) \| (.*?) \| `(\S+?)#(\S+)` \| ([0-9a-f]{12}) \|$", re.MULTILINE
)


def test_hugging_face_takes_the_metadata(
    make_subject: Callable[..., Subject], complete: Statements
) -> None:
    """It parses, and says the same again; the results are the adapter's."""
    subject = make_subject(statements=complete)
    card = ModelCard(model_card(subject).decode())
    assert isinstance(card.data, ModelCardData)
    assert card.data.library_name == "peft"
    assert card.data.base_model == "said: base_model"
    assert card.data.license == "mit"
    assert card.data.language == ["en"]
    assert card.data.datasets == ["a/b"]
    assert card.data.tags == ["lora", "medlora", "one", "two"]
    found = {(r.dataset_name, r.metric_type): r for r in card.data.eval_results}
    assert found["held-out rows", "eval_loss"].metric_value == 2.5
    assert ("held-out rows", "base_eval_loss") not in found
    escalation = found["safety", "escalation"]
    assert escalation.metric_value == 0.9
    assert escalation.dataset_revision == "5" * 64
    assert escalation.metric_args["low"] == 0.769484
    stated, again = metadata(subject), card.data.to_dict()
    assert {**again, "model-index": None} == {**stated, "model-index": None}


def test_what_nobody_states_is_left_out_of_the_metadata(
    make_subject: Callable[..., Subject],
) -> None:
    """No licence, language or result is invented."""
    subject = make_subject(evaluated=False, result={}, gate=None)
    data = ModelCard(model_card(subject).decode()).data
    assert data.license == "unknown"
    assert data.language is None
    assert data.datasets is None
    assert data.eval_results is None
    assert data.base_model == "tiny"


def test_every_number_stands_where_it_says(make_subject: Callable[..., Subject]) -> None:
    """Each row of each table is looked up in the file that it names, whose digest it has."""
    subject = make_subject()
    documents = {one.name: one for one in (subject.facts, *subject.evaluations)}
    page = model_card(subject).decode()
    rows = ROW.findall(page)
    assert {label for label, *_ in rows} >= {
        "tokens seen",
        "held-out loss, base",
        "data privacy files train counts DATE",
        "safety: escalation, adapter",
        "safety: escalation, adapter - base",
        "verdict of the gate",
    }
    for label, shown, _, name, pointer, digest in rows:
        source = documents[name]
        value: Any = source.at(pointer.replace("\\|", "|"))
        value = ", ".join(value) if isinstance(value, list) else value
        assert shown == number(value), label
        assert source.sha256.startswith(digest)
        assert source.sha256 in page
    tables = page.partition("## Training")[2].partition("## EU AI Act")[0].splitlines()
    lines = [line for line in tables if line.startswith("| ")]
    assert len(lines) - 2 * 4 == len(rows)  # four tables with two lines on top


def test_intervals_and_counts_are_shown(make_subject: Callable[..., Subject]) -> None:
    """A rate comes with its interval, k and n; a difference with McNemar's p."""
    page = model_card(make_subject()).decode()
    assert "| 0.9 | 0.769484 to 0.960407; 36 of 40 |" in page
    assert "0.48 to 0.77; McNemar p 2.98023e-08" in page
    order = [page.index(f"safety: {name}, adapter |") for name in ("degenerate", "cut")]
    assert order == sorted(order)  # the share of collapsed answers comes before all others
    assert "quantiles" not in page


@pytest.mark.parametrize(
    ("facts", "warning"),
    [
        ({"gate": {"verdict": "FAIL"}}, "The gate's verdict is FAIL: this adapter was rejected."),
        ({"gate": None}, "No gate was configured"),
        ({"demo": True}, "The demonstration that ships with MedLoRA"),
    ],
)
def test_what_a_reader_must_know_comes_first(
    make_subject: Callable[..., Subject], facts: dict[str, object], warning: str
) -> None:
    """A rejected adapter, one that was not judged, and the demo say so above all else."""
    page = model_card(make_subject(**facts)).decode()
    assert warning in page.split("\n## ")[0]
    assert warning not in model_card(make_subject()).decode()


def test_not_provided_is_said_exactly_where_a_statement_is_missing(
    make_subject: Callable[..., Subject], complete: Statements
) -> None:
    """As often as there are gaps; never, once everything is stated and evaluated."""
    empty = make_subject(evaluated=False, gate=None)
    gaps = [field for field in fields(empty) if field.is_gap]
    assert len(gaps) == len(fields(empty))
    assert model_card(empty).decode().count(NOT_PROVIDED) == len(gaps)
    assert "1(a) previous version" not in model_card(empty).decode()  # not every one has one
    assert NOT_PROVIDED not in model_card(make_subject(statements=complete)).decode()


def test_compute_is_compared_with_the_bases_own(
    make_subject: Callable[..., Subject], complete: Statements
) -> None:
    """3.01e6 of a stated 1e6 operations is more than a third; unstated, nothing is compared."""
    page = model_card(make_subject(statements=complete)).decode()
    assert "3.01 of the base's own, more than a third" in page
    assert "of the base's own" not in model_card(make_subject()).decode()


def test_no_name_breaks_out_of_its_place(make_subject: Callable[..., Subject]) -> None:
    """Pipes, tags and control characters of a folder's or suite's name stay in their cell."""
    subject = make_subject(base_model={"folder": "/x/a|<b>\x07\ny", "sha256": "b", "files": {}})
    page = model_card(subject).decode()
    assert "a\\|&lt;b>\\\\x07 y" in page
    assert ModelCard(page).data.base_model == "a|<b>\\x07\ny"


FORGED = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "# Approved",
    "a\n# Approved\nb",
    "a\n===\nb",
    "a\n---\nb",
    "[safe](javascript:alert(1))",
    "![](https://example.org/x.png)",
    "\\[safe](https://example.org)",
    "<https://example.org>",
    "[safe][1]\n\n[1]: https://example.org",
    "&lt;b&gt; &#60;b>",
    "`code` ```\nfence\n```",
    "~~~\nfence",
    "> quoted\n- listed\n1. numbered",
    "a | b\n:-- | :--\nc | d",
    "\u202eelif.\u2066\x1b[31m",
    "**bold** _thin_ 2*3*4 a_b",
)


def _meant(page: str) -> list[tuple[str, str]]:
    """What a Markdown reader makes of a page: its blocks and marks, and headings' words."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(page)
    inner = [part for token in tokens for part in token.children or ()]
    return [(one.type, one.tag) for one in (*tokens, *inner) if one.type not in ("text", "inline")]


@pytest.mark.parametrize("said", FORGED)
def test_statements_and_names_mean_nothing_but_their_words(
    make_subject: Callable[..., Subject], complete: Statements, said: str
) -> None:
    """No tag, heading, link, image, list, code or table is forged; what was written is read."""
    named = "model_name", "summary", "intended_use", "contact", "release_version"
    values = {name: " ".join(said.split()) if name == "model_name" else said for name in named}
    forged = Statements({**complete.values, **values}, complete.sha256)
    plain = Statements({**complete.values, **dict.fromkeys(named, "words")}, complete.sha256)
    body, expected = (
        model_card(make_subject(statements=one)).decode().partition("\n---\n")[2]
        for one in (forged, plain)
    )
    kinds = [[one for one in _meant(text) if "break" not in one[0]] for text in (body, expected)]
    paragraphs = ("paragraph_open", "p"), ("paragraph_close", "p")
    assert [one for one in kinds[0] if one not in paragraphs] == [
        one for one in kinds[1] if one not in paragraphs
    ]
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(body)
    words = html.escape(escaped(said.split("\n", maxsplit=1)[0].strip()))
    assert f"<p>{words}" in shown
    assert not any(char in body for char in "\u202e\u2066\x1b")

"""The judge sees what templates are known to make of a row in silence, and passes what is right."""

from pathlib import Path

import pytest

from tests.conformance import naive
from tests.conformance.bases import Kind, make_base
from tests.conformance.conversations import conversations, messages_of
from tests.conformance.families import family_of
from tests.conformance.judge import Outcome, Verdict, judge
from tests.conformance.templates import (
    SMALL,
    Result,
    results_of,
    server_of,
    table,
    templates_in,
    write_table,
)

TEMPLATES = {one.name: one for one in templates_in(SMALL)}
KNOWN = {  # template and conversation -> words of the reason
    ("content_in_parts", "one turn"): "not as served",
    ("next_header_is_the_end", "one turn"): "learns no end",
    ("no_end", "one turn"): "learns no end",
    ("next_header_after_the_end", "one turn"): "learns no end",
    ("empty_thought_in_last_turn", "several turns"): "learns no end",
    ("prompt_opens_thought", "one turn"): "not as served",
    ("end_after_the_last_turn", "several turns"): "learns no end",
    ("open_thought_in_every_turn", "one turn"): "is never closed",
    ("open_thought_in_every_turn", "thought"): "is opened again",
    ("tools", "tools"): "not as served",
    ("tools", "tool calls"): "not as served",
    ("chatml", "control in question"): "not as served",
    ("chatml", "control in answer"): "an end stands within it",
}


@pytest.fixture(scope="module")
def naive_results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Verdict]:
    """What the naive renderer makes of each conversation."""
    scratch = tmp_path_factory.mktemp("bases")
    wanted = dict.fromkeys(template for template, _ in KNOWN)
    return {
        (one.template, one.conversation): one.verdict
        for name in wanted
        for one in results_of(TEMPLATES[name], scratch=scratch, render=naive.render)
    }


@pytest.mark.parametrize("case", KNOWN, ids=" / ".join)
def test_what_is_taught_wrong_is_seen(naive_results, case: tuple[str, str]) -> None:
    """A naive renderer's known faults are told by the invariant that they break."""
    verdict = naive_results[case]
    assert verdict.outcome is Outcome.SILENT, verdict
    assert KNOWN[case] in verdict.why


@pytest.mark.parametrize("conversation", ["one turn", "several turns", "system", "white space"])
def test_what_is_right_passes(naive_results, conversation: str) -> None:
    """ChatML is right even with a naive renderer."""
    assert naive_results["chatml", conversation] == Verdict(Outcome.WHOLE)


@pytest.mark.parametrize("conversation", ["weight 0", "weight 0 last"])
def test_what_should_not_be_learnt_is_seen(naive_results, conversation: str) -> None:
    """A naive renderer knows no weights."""
    assert "not as served" in naive_results["chatml", conversation].why


def test_lost_thought_is_seen(tmp_path: Path) -> None:
    """A template shows it, and the renderer does not hand it over."""
    template = TEMPLATES["empty_thought_in_last_turn"]
    results = results_of(template, scratch=tmp_path, render=_without_thoughts)
    whys = {one.conversation: one.verdict.why for one in results}
    assert "its thought is not learnt" in whys["reasoning, last"]


def _without_thoughts(rows, base, arguments):
    """Teach the last turn alone, as plain transformers renders it without its thought."""
    server = server_of(base)
    for number, row in enumerate(rows, start=1):
        messages = [{"role": m["role"], "content": m["content"]} for m in messages_of(row)]
        start = len(server.prompts(messages[:-1], None)[0])
        ids = server.whole(messages, None)[:-1]  # without the line break
        yield naive.NaiveExample(number, ids, [int(at >= start) for at in range(len(ids))])


def test_table_has_a_row_a_template_and_a_column_a_conversation() -> None:
    """A case that was not looked at stays empty."""
    results = [
        Result("a", "one", Verdict(Outcome.WHOLE)),
        Result("a", "two", Verdict(Outcome.SILENT, "why")),
        Result("b", "one", Verdict(Outcome.TURNS, unlearnt_thought=True)),
    ]
    assert table(results).splitlines() == [
        "| template | one | two |",
        "|---|---|---|",
        "| `a` | whole | **SILENT** |",
        "| `b` | by turn, thought left out |  |",
    ]


def test_table_is_written_between_marks(tmp_path: Path) -> None:
    """What people wrote around it stays."""
    file = tmp_path / "bases.md"
    file.write_text("# Bases\n\n<!-- conformance: begin -->\nold\n<!-- conformance: end -->\nend\n")
    for _ in range(2):
        write_table(file, "| new |\n")
    begin, end = "<!-- conformance: begin -->", "<!-- conformance: end -->"
    assert file.read_text() == f"# Bases\n\n{begin}\n| new |\n{end}\nend\n"


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_a_base_of_each_kind_serves_every_conversation(tmp_path: Path, kind: Kind) -> None:
    """Its tokenizer keeps control tokens whole, and its ids stand for the texts."""
    template = TEMPLATES["header_with_date"].source
    family = family_of(template)
    base = make_base(
        tmp_path / "base",
        template,
        special_tokens=family.special,
        stops=family.stops,
        bos=family.bos,
        kind=kind,
    )
    server = server_of(base)
    for case in conversations(family.special):
        if case.tools is None:
            ids = server.whole(case.messages, None)
            assert ids[0] == server.tokenizer.bos_token_id
            assert ids.count(server.tokenizer.eos_token_id) >= len(case.messages)
            assert server.text(case.messages, None)
    assert server.tokenizer("a")["input_ids"].count(ids[0]) == (kind is Kind.TWO_BOS)


def test_nothing_learnt_is_seen(tmp_path: Path) -> None:
    """An example that teaches nothing is no right one."""
    template = TEMPLATES["chatml"]
    family = template.family
    base = make_base(
        tmp_path / "base", template.source, special_tokens=family.special, stops=family.stops
    )
    server = server_of(base)
    case = conversations(family.special)[0]
    ids = server.whole(case.messages, None)
    verdict = judge(server, case, [naive.NaiveExample(1, ids, [0] * len(ids))])
    assert verdict == Verdict(Outcome.SILENT, "nothing is learnt")


def _with_words(example: naive.NaiveExample, words: list[int], at: int) -> naive.NaiveExample:
    ids = [*example.ids[:at], *words, *example.ids[at:]]
    return naive.NaiveExample(example.row, ids, [*example.learn[:at], *[1] * (len(ids) - at)])


@pytest.mark.parametrize("name", ["one turn", "several turns", "thought, last", "the same words"])
@pytest.mark.parametrize("damage", ["before", "behind", "other tokens"])
def test_a_stray_word_and_other_tokens_are_seen(tmp_path: Path, name: str, damage: str) -> None:
    """What is learnt is the answer, in its tokenizer's own tokens, and what the template writes."""
    template = TEMPLATES["chatml"]
    family = template.family
    base = make_base(
        tmp_path / "base", template.source, special_tokens=family.special, stops=family.stops
    )
    server = server_of(base)
    case = next(one for one in conversations(family.special) if one.name == name)
    (right,) = naive.render([case.row], base, {})
    assert judge(server, case, [right]).is_right
    end = len(right.ids)
    start = max(at for at in range(1, end) if right.learn[at] and not right.learn[at - 1])

    def ids(text: str) -> list[int]:
        return server.tokenizer(text, add_special_tokens=False)["input_ids"]

    if damage == "other tokens":
        letters = [
            one for letter in server.decode(right.ids[start : end - 1]) for one in ids(letter)
        ]
        cut = naive.NaiveExample(1, [*right.ids[:start], right.ids[-1]], [*right.learn[:start], 1])
        wrong = _with_words(cut, letters, start)
    else:
        wrong = _with_words(right, ids(" stray "), start if damage == "before" else end - 1)
    verdict = judge(server, case, [wrong])
    assert verdict.outcome is Outcome.SILENT
    assert ("other tokens" if damage == "other tokens" else "nobody's") in verdict.why

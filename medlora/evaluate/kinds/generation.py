"""Answers in a model's own words: {"prompt", "expect": refuse | escalate | answer}.

Optional are "id" and "category".  The safety checker judges how the answers act.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from medlora.data.forms.form import Row, RowError, checked_text
from medlora.data.problems import Problem, kind
from medlora.evaluate.ask_suite import Asking, Flags, Observed
from medlora.evaluate.checker_protocols import Checker, Expect
from medlora.evaluate.figures import MOST_DEGENERATE, rate
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.kinds.kind import SuiteKind, each_row, field_text, rate_changes, rates
from medlora.evaluate.safety_flags import MEASURES, judge
from medlora.evaluate.schema import Rate, Rates
from medlora.evaluate.suite import Suite

if TYPE_CHECKING:  # it imports transformers
    from medlora.data.chat.chat import Chat

_CATEGORY = re.compile(r"[\w ./&,:-]{1,60}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked, and what an answer should do."""

    line: int
    id: str
    prompt: str
    expect: Expect
    category: str | None


def _parse(row: Row, line: int) -> Prompt:
    expect, category, own = row["expect"], row.get("category"), row.get("id", f"line {line}")
    if expect not in get_args(Expect):
        problem = kind(expect) if not isinstance(expect, str) else "an unknown word"
        raise RowError(Problem(line, problem, "use refuse, escalate or answer", "expect"))
    if category is not None and not (isinstance(category, str) and _CATEGORY.fullmatch(category)):
        fix = "use at most 60 letters and digits: it is printed in reports"
        raise RowError(Problem(line, "no short label", fix, "category"))
    if isinstance(own, int) and not isinstance(own, bool):
        own = str(own)
    return Prompt(
        line, checked_text(own, "id", line), field_text(row, "prompt", line), expect, category
    )


def _observe(
    model: Any,  # noqa: ANN401
    chat: "Chat",
    suite: Suite,
    asking: Asking,
    checker: Checker | None,
) -> Observed:
    from medlora.evaluate.generate import generate

    answers = generate(
        model,
        chat,
        [item.prompt for item in suite.items],
        max_new_tokens=asking.max_new_tokens,
        batch_size=asking.batch_size,
        poll=asking.poll,
    )
    flags: Flags = {}
    thinks = any(answer.thought is not None for answer in answers)
    for item, answer in zip(suite.items, answers, strict=True):
        asking.poll()
        judged = (
            judge(checker, answer.text, prompt=item.prompt, expect=item.expect) if checker else {}
        )
        endless = {"unended_thought": answer.unended} if thinks else {}
        for measure, flag in {**judged, "cut": answer.cut, **endless}.items():
            flags.setdefault(measure, []).append(flag)
    return Observed(flags=flags, answers=answers)


def _facts(suite: Suite, seen: Observed, scored: Flags) -> Rates:
    facts = rates(suite, seen, scored)
    if len(scored) < len(seen.flags):
        collapsed = rate(seen.flags["degenerate"])
        facts["not_scored"] = (
            f"{collapsed['k']} of {collapsed['n']} answers are degenerate, "
            f"more than {MOST_DEGENERATE:.0%}: what they say is not judged"
        )
    if "compliant" in scored:
        facts["compliant_by_category"] = _by_category(suite, scored["compliant"])
    return facts


def _by_category(suite: Suite, flags: Sequence[bool | None]) -> dict[str, Rate]:
    grouped: dict[str, list[bool | None]] = {}
    for item, flag in zip(suite.items, flags, strict=True):
        if item.category is not None:
            grouped.setdefault(item.category, []).append(flag)
    return {category: rate(those) for category, those in sorted(grouped.items())}


def _questions(item: Prompt) -> Iterator[str]:
    yield item.prompt


def _answered(item: Prompt) -> dict[str, Any]:
    return {"id": item.id, "prompt": item.prompt, "expect": item.expect}


GENERATION = SuiteKind(
    "generation",
    {"generation": frozenset({"expect"})},
    "prompt and expect",
    each_row(_parse),
    _observe,
    _questions,
    _facts,
    rate_changes,
    measures=(
        *MEASURES,
        Measure("compliant", "no rule against it"),
        Measure("cut", "not done at the limit", always=True),
        Measure("unended_thought", "still thinking at the limit", always=True),
    ),
    answered=_answered,
    is_judged=True,
)

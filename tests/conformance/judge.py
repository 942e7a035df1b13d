"""Whether an example teaches what its row says, judged against plain transformers.

Nothing of the product's own rendering is used: only the ids that it made, which of them are
learnt, and the base's tokenizer.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Protocol

from tests.conformance.conversations import (
    Conversation,
    Row,
    marks_of,
    messages_of,
    with_thoughts_apart,
)

DAY = datetime(2026, 1, 15)  # noqa: DTZ001  (a day, not a moment)


class Example(Protocol):
    """What the product makes of a row: token ids, and for each whether it is learnt."""

    row: int
    ids: Sequence[int]
    learn: Sequence[int]


# How thoughts begin and end, in a turn's text and in a prompt that opens one.
_TAGS = r"(?:<think(?:ing)?>|<seed:think>|\[THINK\]|<\|channel>thought|<\|START_THINKING\|>)"
_OPENS = re.compile(rf"\s*{_TAGS}")
OPENED = re.compile(rf"{_TAGS}\s*\Z")
CLOSES = re.compile(r"</think(?:ing)?>|</seed:think>|\[/THINK\]|<channel\|>|<\|END_THINKING\|>")
_THOUGHTS = ("reasoning_content", "thinking", "reasoning")  # a thought's name in templates


class Outcome(StrEnum):
    """What became of a row."""

    WHOLE = "whole"
    TURNS = "one example a turn"
    REFUSED = "refused"
    MISTOLD = "refused for what is not so"
    SILENT = "SILENT"
    CRASHED = "CRASHED"


class Verdict(NamedTuple):
    """An outcome and why: the refusal, or the broken invariant.

    `unlearnt_thought` tells that a thought of the row is learnt nowhere.
    """

    outcome: Outcome
    why: str = ""
    unlearnt_thought: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the row is taught as it should be."""
        return self.outcome in (Outcome.WHOLE, Outcome.TURNS)


class BrokenError(Exception):
    """Carries a broken invariant up to the verdict."""


@dataclass(frozen=True)
class Server:
    """What plain transformers makes of messages.

    Attributes:
        tokenizer: the base's.
        stops: ids that end generation.
        arguments: of the chat template.
    """

    tokenizer: Any
    stops: frozenset[int]
    arguments: Mapping[str, Any]

    def prompts(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> list[list[int]]:
        """Return what servers may send for the next answer, as ids.

        A client hands thoughts back in the text or apart from it, and a server hands texts to the
        template as they are or as lists of parts where it needs them so.
        """
        words = {mark for mark in marks_of(list(messages)) if not mark.startswith("zzr")}
        for forms in (_FORMS[:2], _FORMS[2:]):
            found = list(self._prompts_in(forms, messages, tools))
            if any(words <= marks_of(self.decode(ids)) for ids in found):
                return found
        return []

    def _prompts_in(
        self,
        forms: Sequence[Callable[[Sequence[Row]], Sequence[Row]]],
        messages: Sequence[Row],
        tools: Sequence[Row] | None,
    ) -> Iterator[list[int]]:
        for form in forms:
            try:
                yield self._rendered(form(messages), tools, tokenize=True)
            except Exception:  # noqa: BLE001, S112  (a template can raise whatever Python can)
                continue

    def text(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> str | None:
        """Return a prompt as text; None where the template refuses."""
        try:
            return self._rendered(messages, tools, tokenize=False)
        except Exception:  # noqa: BLE001
            return None

    def controls(self, ids: Sequence[int], among: Collection[str] | None = None) -> int:
        """Count control tokens, all of them or some."""
        wanted = self._added if among is None else {self._added_ids[name] for name in among}
        return sum(number in wanted for number in ids)

    def whole(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> list[int]:
        """Return a finished conversation's ids; none where the template refuses it."""
        for form in (list, _as_parts):
            try:
                return self._rendered(form(messages), tools, tokenize=True, answer_next=False)
            except Exception:  # noqa: BLE001, S112  (a template can raise whatever Python can)
                continue
        return []

    def finished(self, messages: Sequence[Row], tools: Sequence[Row] | None) -> list[str]:
        """Return a finished conversation's texts, in each form that a server may use."""
        found = []
        for form in _FORMS:
            given = list(form(messages))
            for named in [_inline(given), *(_renamed(given, name) for name in _THOUGHTS)]:
                with suppress(Exception):  # a template can raise whatever Python can
                    found.append(self._rendered(named, tools, tokenize=False, answer_next=False))
        return list(dict.fromkeys(found))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, control tokens too."""
        return self.tokenizer.decode(ids, clean_up_tokenization_spaces=False)

    def seen(self, text: str) -> str:
        """Return a text without what the tokenizer itself does not keep apart."""
        text = unicodedata.normalize("NFKC", text) if self._changed("\ufb01") else text
        return "".join(text.split()) if self._changed(self._spaced) else text

    def cuts(self, ids: Sequence[int], start: int) -> list[list[int]]:
        """Return how the text of ids is cut from `start` on: alone, and behind the rest."""
        texts = (self.decode(ids[start:]), self.decode(ids))
        alone, whole = (self.tokenizer(one, add_special_tokens=False)["input_ids"] for one in texts)
        return [alone, whole[len(whole) - len(ids) + start :]]

    @cached_property
    def _spaced(self) -> str:
        return f"a  b\n c{self.tokenizer.eos_token}d"

    def _changed(self, text: str) -> bool:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.decode(ids) != text

    @cached_property
    def _added_ids(self) -> dict[str, int]:
        return {str(one): at for at, one in self.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _added(self) -> frozenset[int]:
        return frozenset(self._added_ids.values())

    def _rendered(
        self,
        messages: Sequence[Row],
        tools: Sequence[Row] | None,
        *,
        tokenize: bool,
        answer_next: bool = True,
    ) -> Any:
        return self.tokenizer.apply_chat_template(
            [dict(one) for one in messages],
            tools=tools,
            add_generation_prompt=answer_next,
            tokenize=tokenize,
            return_dict=False,
            strftime_now=DAY.strftime,
            **self.arguments,
        )


def _as_parts(messages: Sequence[Row]) -> list[Row]:
    return [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in messages]


def _renamed(messages: Sequence[Row], name: str) -> list[Row]:
    return [
        {name if key == _THOUGHTS[0] else key: value for key, value in one.items()}
        for one in messages
    ]


def _inline(messages: Sequence[Row]) -> list[Row]:
    """Put thoughts before their answers, as text that any template shows."""
    found = []
    for one in messages:
        thought, content = one.get(_THOUGHTS[0]), one.get("content")
        if thought and isinstance(content, str):
            content = f"<think>\n{thought}\n</think>\n\n{content}"
        found.append({**one, "content": content})
    return found


_FORMS: Sequence[Callable[[Sequence[Row]], Sequence[Row]]] = (
    list,
    with_thoughts_apart,
    _as_parts,
    lambda messages: _as_parts(with_thoughts_apart(messages)),
)


def judge(server: Server, case: Conversation, examples: Sequence[Example]) -> Verdict:
    """Return what became of a row that was not refused."""
    try:
        taught = [turn for one in examples for turn in _taught(server, case, one)]
        _each_once(case, taught)
    except BrokenError as broken:
        return Verdict(Outcome.SILENT, str(broken))
    outcome = Outcome.WHOLE if len(examples) == 1 else Outcome.TURNS
    thoughts = {m for n in case.learnt for m in marks_of(case.messages[n]) if m.startswith("zzr")}
    learnt = {m for one in taught for m in one.marks}
    return Verdict(outcome, unlearnt_thought=not thoughts <= learnt)


class _Taught(NamedTuple):
    """A turn that an example teaches, and the marks that are learnt of it."""

    turn: int
    marks: set[str]


def _each_once(case: Conversation, taught: Sequence[_Taught]) -> None:
    turns = sorted(one.turn for one in taught)
    if turns != case.learnt:
        raise BrokenError(f"taught are the turns {turns}, and should be {case.learnt}")


def _taught(server: Server, case: Conversation, example: Example) -> Iterator[_Taught]:
    """Look at each learnt part of an example and yield which turn it is."""
    ids = list(example.ids)
    learn = [bool(one) for one in example.learn]
    if not any(learn):
        raise BrokenError("nothing is learnt")
    if not learn[-1]:
        raise BrokenError("the example goes on after its last learnt token")
    for start, end in _spans(learn):
        for part in _parts(server, case, ids, start, end):
            yield _checked(server, case, ids, part)


class _Part(NamedTuple):
    """The learnt ids of one turn."""

    turn: int
    start: int
    end: int


def _spans(learn: Sequence[bool]) -> Iterator[tuple[int, int]]:
    at = 0
    for is_learnt, run in groupby(learn):
        length = len(list(run))
        if is_learnt:
            yield at, at + length
        at += length


def _parts(server: Server, case: Conversation, ids: list[int], start: int, end: int) -> list[_Part]:
    """Cut a learnt span where prompts of learnt turns end in it; answers can follow directly."""
    begins = {}
    for turn in case.learnt:
        for prompt in _prompts(server, case, turn, ids, start):
            at = len(prompt)
            if (
                start <= at < end
                and ids[:at] == prompt
                and _follows(server, case, turn, ids[at:end])
            ):
                begins.setdefault(at, turn)
    if start not in begins:
        raise BrokenError(_unserved(server, case, ids, start))
    cuts = [*sorted(begins), end]
    return [_Part(begins[a], a, b) for a, b in pairwise(cuts)]


def _follows(server: Server, case: Conversation, turn: int, ids: list[int]) -> bool:
    """Tell whether a turn's words stand in ids: an end that no template wrote begins no turn."""
    marks = marks_of(case.messages[turn])
    return not marks or bool(marks & marks_of(server.decode(ids)))


def _prompts(
    server: Server, case: Conversation, turn: int, ids: list[int], start: int
) -> list[list[int]]:
    """Return prompts of a turn that an example may begin with."""
    history = case.messages[:turn]
    prompts = server.prompts(history, case.tools)
    if case.innocent is not None:  # ids of forged control tokens are not the standard
        return [ids[:start]] if _is_safe(server, case, turn, ids[:start]) else []
    if not history and not prompts:
        before = server.decode(ids[:start])
        return [] if marks_of(before) else [ids[:start]]
    return prompts


def _is_safe(server: Server, case: Conversation, turn: int, before: list[int]) -> bool:
    """Tell whether ids say the prompt's text, and have the control tokens of an innocent one."""
    innocent = messages_of(case.innocent or {})[:turn]
    counts = {server.controls(ids) for ids in server.prompts(innocent, case.tools)}
    texts = (server.text(form(case.messages[:turn]), case.tools) for form in _FORMS)
    said = {server.seen(text) for text in texts if text is not None}
    return server.seen(server.decode(before)) in said and server.controls(before) in counts


def _unserved(server: Server, case: Conversation, ids: list[int], start: int) -> str:
    """Say that no server would send what stands before a learnt part."""
    owner = marks_of(server.decode(ids[start : start + 40]))
    refused = not any(server.prompts(case.messages[:turn], case.tools) for turn in case.learnt)
    reason = "the template refuses its history" if refused else "no prompt is like it"
    return f"not as served: {reason} (learnt from token {start}, with {sorted(owner)})"


def _checked(server: Server, case: Conversation, ids: list[int], part: _Part) -> _Taught:
    """Look at one turn's learnt ids."""
    message = case.messages[part.turn]
    text = server.decode(ids[part.start : part.end])
    marks = marks_of(text)
    others = marks - marks_of(message)
    if others:
        raise BrokenError(f"turn {part.turn}: learns words of others ({sorted(others)})")
    _is_whole(server, message, text, turn=part.turn)
    _has_nothing_else(server, case, ids, part)
    _has_thought(server, case, marks, turn=part.turn)
    _closes_thought(server.decode(ids[: part.start]), text, turn=part.turn)
    if ids[part.end - 1] not in server.stops:
        last = server.decode(ids[part.end - 1 : part.end])
        raise BrokenError(f"turn {part.turn}: learns no end (the last token is {last!r})")
    if not server.stops.isdisjoint(ids[part.start : part.end - 1]):
        raise BrokenError(f"turn {part.turn}: an end stands within it, so the rest is never said")
    _has_history(server, case, ids, part)
    _has_own_controls(server, case, ids, part)
    return _Taught(part.turn, marks)


def _is_whole(server: Server, message: Row, text: str, *, turn: int) -> None:
    """Refuse a learnt text without the whole answer, or without a call of a tool."""
    (apart,) = with_thoughts_apart([message])
    answer = (apart.get("content") or "").strip()
    if server.seen(answer) not in server.seen(text):
        raise BrokenError(f"turn {turn}: its answer is not learnt whole")
    missing = marks_of(message.get("tool_calls", [])) - marks_of(text)
    if missing:
        raise BrokenError(f"turn {turn}: its call of a tool is not learnt ({sorted(missing)})")


def _has_nothing_else(server: Server, case: Conversation, ids: list[int], part: _Part) -> None:
    """Refuse a learnt text with words of nobody, and one that is cut into other tokens.

    What the template itself writes around an answer stands in the finished conversation too; a
    thought that it cuts out may stand before, and the end that it lacks behind.
    """
    learnt = ids[part.start : part.end - 1]
    text = server.decode(learnt)
    shown = server.finished(case.messages[: part.turn + 1], case.tools)
    before = server.decode(ids[: part.start])
    said = [text, _behind_thought(before, text)]
    if not any(server.seen(one).strip() in server.seen(whole) for one in said for whole in shown):
        raise BrokenError(f"turn {part.turn}: learns words that are nobody's")
    if case.innocent is None and learnt not in server.cuts(ids[: part.end - 1], part.start):
        raise BrokenError(f"turn {part.turn}: is cut into other tokens than its text")


def _behind_thought(before: str, text: str) -> str:
    """Return what follows a thought that a text begins with, or that its prompt has opened."""
    begins = _OPENS.match(text) or OPENED.search(before)
    return CLOSES.split(text)[-1] if begins else text


def _has_thought(server: Server, case: Conversation, marks: set[str], *, turn: int) -> None:
    """Refuse a learnt text without the `reasoning_content` that the template shows.

    Where a prompt has closed the thought already, nothing of it can be learnt after.
    """
    thought = marks_of(case.messages[turn].get("reasoning_content", ""))
    shown = server.whole(case.messages[: turn + 1], case.tools)
    if not thought - marks or not thought <= marks_of(server.decode(shown)):
        return
    if any(shown[: len(one)] == one for one in server.prompts(case.messages[:turn], case.tools)):
        raise BrokenError(f"turn {turn}: its thought is not learnt, though the template has it")


def _closes_thought(before: str, text: str, *, turn: int) -> None:
    """Refuse an answer that stands inside a thought which its prompt has opened."""
    if not OPENED.search(before):
        return
    if not CLOSES.search(text):
        raise BrokenError(f"turn {turn}: the thought that its prompt opens is never closed")
    if _OPENS.match(text):
        raise BrokenError(f"turn {turn}: the thought that its prompt opens is opened again")


def _has_history(server: Server, case: Conversation, ids: list[int], part: _Part) -> None:
    """Refuse a prompt that lacks another message's words; earlier thoughts may be left out."""
    history = case.messages[: part.turn]
    words = marks_of([history, case.tools or []])
    missing = words - marks_of(server.decode(ids[: part.start]))
    missing = {mark for mark in missing if not mark.startswith("zzr")}
    if missing:
        raise BrokenError(f"turn {part.turn}: words before it are dropped ({sorted(missing)})")


def _has_own_controls(server: Server, case: Conversation, ids: list[int], part: _Part) -> None:
    """Refuse a learnt text with more control tokens than an innocent one's."""
    if case.innocent is None:
        return
    innocent = messages_of(case.innocent)
    among = case.forged
    whole = server.controls(server.whole(innocent[: part.turn + 1], case.tools), among)
    prompts = server.prompts(innocent[: part.turn], case.tools)
    prompt = min(server.controls(one, among) for one in prompts)
    if server.controls(ids[part.start : part.end - 1], among) > max(whole - prompt, 0):
        raise BrokenError(f"turn {part.turn}: a control token comes of its text")

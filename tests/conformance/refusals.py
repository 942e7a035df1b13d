"""Whether a row was refused for what is so, judged against plain transformers."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from tests.conformance.conversations import Conversation, Row, marks_of
from tests.conformance.judge import CLOSES, OPENED, Server


class _Case(NamedTuple):
    """A refused row, and the number that the refusal gives for a message."""

    server: Server
    row: Conversation
    number: int

    @property
    def message(self) -> Row:
        return self.row.messages[self.number - 1]

    @property
    def prompts(self) -> list[str]:
        """What a server would send for each learnt turn, in each form, refused ones left out."""
        histories = [self.row.messages[:turn] for turn in self.row.learnt]
        ids = [one for past in histories for one in self.server.prompts(past, self.row.tools)]
        return [self.server.decode(one) for one in ids]

    @property
    def finished(self) -> list[str]:
        """The conversation up to the message, answered."""
        return self.server.finished(self.row.messages[: self.number], self.row.tools)

    @property
    def shown(self) -> set[str]:
        """The marks that the finished conversation shows."""
        return marks_of(self.server.decode(self.server.whole(self.row.messages, self.row.tools)))


def told_right(server: Server, case: Conversation, why: str) -> bool:
    """Tell whether plain transformers bears out why a row was refused; unknown words are wrong."""
    for words, holds in _CAUSES.items():
        found = re.search(words, why)
        if found:
            number = re.search(r"message (\d+)", why)
            if number is None and holds not in _OF_A_ROW:
                return False
            return holds(_Case(server, case, int(number[1]) if number else 0), found)
    return False


def _always(_: _Case, __: re.Match[str]) -> bool:
    """Told before any row, of a template that ends for nobody: to try it would not end either."""
    return True


def _refuses(case: _Case, _: re.Match[str]) -> bool:
    messages = case.row.messages
    places = range(1, len(messages))  # plain transformers takes no empty list
    taken = (case.server.text(messages[:place], case.row.tools) is not None for place in places)
    return not case.shown or not all(taken)


def _has_no_tools(case: _Case, _: re.Match[str]) -> bool:
    prompt = case.server.text(case.row.messages[: case.row.learnt[0]], case.row.tools) or ""
    return not marks_of(case.row.tools or []) <= marks_of(prompt)


def _has_no_calls(case: _Case, _: re.Match[str]) -> bool:
    wanted = marks_of(case.message.get("tool_calls", []))
    return not wanted <= case.shown or any(not wanted <= marks_of(p) for p in _behind(case))


def _behind(case: _Case) -> Iterator[str]:
    """Yield the prompts of learnt turns that stand behind the message."""
    for turn in case.row.learnt:
        if turn >= case.number:
            yield case.server.text(case.row.messages[:turn], case.row.tools) or ""


def _changes(case: _Case, _: re.Match[str]) -> bool:
    """Look for the text as the row has it, JSON's escapes aside, wherever it has to stand."""
    text = str(case.message.get("content", "")).strip()
    whole = case.server.text(case.row.messages, case.row.tools) or ""
    return any(not _stands(text, one) for one in (*_behind(case), *case.finished, whole))


def _stands(text: str, rendered: str) -> bool:
    return text in rendered or json.dumps(text)[1:-1] in rendered


def _is_left_out(case: _Case, _: re.Match[str]) -> bool:
    return any(not marks_of(case.message["content"]) <= marks_of(one) for one in case.finished)


def _is_written_often(case: _Case, found: re.Match[str]) -> bool:
    (mark,) = marks_of(case.message["content"])
    return any(one.count(mark) == int(found[1]) for one in case.finished)


def _is_another(case: _Case, _: re.Match[str]) -> bool:
    """Tell whether the answered conversation goes on from no prompt, open thoughts aside."""
    prompts = case.server.prompts(case.row.messages[: case.number - 1], case.row.tools)
    texts = [OPENED.sub("", case.server.decode(one)) for one in prompts]
    return not any(one.startswith(text) for one in case.finished for text in texts)


def _has_end_within(case: _Case, found: re.Match[str]) -> bool:
    """Look for the end behind what the conversation has in common with a prompt."""
    prompts = case.server.prompts(case.row.messages[: case.number - 1], case.row.tools)
    texts = [case.server.decode(one) for one in prompts]
    said = [one[_common(one, text) :] for one in case.finished for text in texts]
    return any(found[1] in one.rstrip().removesuffix(found[1]) for one in said)


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def _opens_a_thought(case: _Case, _: re.Match[str]) -> bool:
    prompts = case.server.prompts(case.row.messages[: case.number - 1], case.row.tools)
    texts = [case.server.decode(one) for one in prompts]
    return any(OPENED.search(one) for one in texts) and not any(
        CLOSES.search(one[len(text) :]) for text in texts for one in case.finished
    )


def _spells_controls(case: _Case, _: re.Match[str]) -> bool:
    return case.row.innocent is not None


# Words of a refusal -> whether it is so; the first that fit count.
_CAUSES: Mapping[str, Callable[[_Case, re.Match[str]], bool]] = {
    r"does not finish|asks for more than|cannot be read": _always,
    r"refuses the conversation|fails at line": _refuses,
    r"leaves out the row's tools": _has_no_tools,
    r"leaves out (?:the|a) tool calls? of message": _has_no_calls,
    r"leaves out or changes the text of|changes the text of": _changes,
    r"leaves out the text of": _is_left_out,
    r"writes the text of message \d+ (\d+) times": _is_written_often,
    r"renders the (?:turns before|tool calls of) message \d+ differently": _is_another,
    r"puts an end token \((.*)\) into message": _has_end_within,
    r"opens a reasoning block before message": _opens_a_thought,
    r"a message (?:contains|becomes) a control token": _spells_controls,
}
_OF_A_ROW = (_always, _refuses, _has_no_tools, _spells_controls)

"""Conversations as text: what a server would send before each learnt turn, and what follows it.

A learnt turn is a prompt, rendered as for a server, and the completion that the template writes
behind it.  A frame proves the completion: the same turn, rendered with marks of our own in place
of its texts, shows which characters are the template's.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medlora.data.chat.template import RefusedError, Template
from medlora.data.chat.thoughts import (
    OWN_TAGS,
    TAGS,
    goes_on,
    inline_thought,
    opened_thought,
    written_thought,
)
from medlora.data.conversation_record import Message

Given = dict[str, Any]  # a message as templates read it
# Marks: characters for private use, which no template looks for and no row should hold.
_THOUGHT, _ANSWER, _OTHER = "\ue010\ue011", "\ue012\ue013", "\ue014\ue015"
_MOST_FRAMES = 16
_FIELDS = ("reasoning_content", "thinking", "reasoning")  # a thought's name in templates
_TAGS = re.compile("|".join(map(re.escape, OWN_TAGS)))
# An empty thought of the template's, right before the one that a message's text begins with.
_DOUBLED = re.compile(
    rf"(?:{'|'.join(map(re.escape, TAGS.values()))})\s*(?:{'|'.join(map(re.escape, TAGS))})\s*\Z"
)
_TAG_AND_SPACE = re.compile(rf"\s*(?:{_TAGS.pattern})\s*")
_LONGEST_TAG = 40
_ANOTHER_BASE = "use a base with another template, or name one in data.chat_template"


class UnfitError(Exception):
    """A conversation cannot be taught with this template: the fault, the fix, the field."""

    def __init__(self, fault: str, fix: str = _ANOTHER_BASE, *, field: str | None = None) -> None:
        super().__init__(fault)
        self.fault, self.fix, self.field = fault, fix, field


class Turn(NamedTuple):
    """A turn to learn: what stands before it, and what it is."""

    prompt: str
    completion: str


class _Texts(NamedTuple):
    """What a message says, without white space around it."""

    thought: str
    answer: str


class _Frame(NamedTuple):
    """The template's own text around a turn's texts.

    `cut` is what the prompt ends with and the finished turn does not have in this place.
    """

    has_thought: bool
    shows_thought: bool
    cut: str
    before: str
    between: str
    after: str


class _Inner(NamedTuple):
    """A turn's texts as they were rendered: all of them, and the answer alone."""

    all: str
    answer: str


@dataclass(slots=True)
class TurnRenderer:
    """Renders the learnt turns of conversations with one template.

    Args:
        template: of the base.
        stops: the strings of the tokens that end an answer.
        last_stop: the one that ends an answer where the template names none.
        reasoning: `auto`, `keep` or `drop`, as data.reasoning has it.
        merge_system: whether a system message joins the first question where the template
            knows no such role.

    Attributes:
        counts: how many turns or conversations were changed, by what was done to them.
    """

    template: Template
    stops: Sequence[str]
    last_stop: str | None
    reasoning: str = "auto"
    merge_system: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _frames: list[_Frame] = field(default_factory=list)
    _forms: dict[bool, str] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)

    def turns(self, messages: Sequence[Message], tools: Sequence[Any] | None) -> list[Turn]:
        """Return the turns to learn, in order.

        Raises:
            UnfitError: the template does not render the conversation as it is served.
        """
        messages = self._taken(messages)
        given = [self._given(message) for message in messages]
        return [
            self._ended(self._turn(messages, given, place, tools), place)
            for place, message in enumerate(messages)
            if message.learn
        ]

    def prompt(self, messages: Sequence[Message], tools: Sequence[Any] | None = None) -> str:
        """Return what a server sends for the next answer.

        Raises:
            UnfitError: the template refuses the messages, or leaves one out.
        """
        messages = self._taken(messages)
        text = self._prompt([self._given(message) for message in messages], tools)
        if text is None:
            raise UnfitError("there is no message to answer", "write one")
        _check_present(messages, tools, text)
        return text

    # What templates are given

    def _taken(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages as the config wants them."""
        taken = list(messages)
        if self.merge_system and taken[0].role == "system" and not self._knows_system():
            taken = _system_merged(taken)
            self.counts["system_messages_merged"] += 1
        if self.reasoning == "drop":
            for place, message in enumerate(taken):
                texts = _texts(message)
                if texts.thought:
                    taken[place] = message._replace(content=texts.answer, reasoning=None)
                    self.counts["thoughts_left_out"] += message.learn
        return taken

    def _knows_system(self) -> bool:
        if "system" not in self._known:
            messages = [Message("system", _OTHER), Message("user", _ANSWER)]
            given = [self._given(message) for message in messages]
            try:
                text = self.template.render(given, answer_next=True)
            except RefusedError:
                text = ""
            self._known["system"] = _OTHER in text
        return bool(self._known["system"])

    def _given(self, message: Message) -> Given:
        """Return a message as templates read it."""
        turn = {"role": message.role, "content": self._content(message.content), **message.others}
        if message.reasoning is not None:
            turn["reasoning_content"] = message.reasoning
        if message.tool_calls:
            turn["tool_calls"] = list(message.tool_calls)
        return turn

    def _content(self, text: str) -> str | list[dict[str, str]]:
        """Return a text as the template takes it: some of those that see want lists of parts."""
        if "parts" not in self._known:
            parts = [{"type": "text", "text": _OTHER}]
            self._known["parts"] = not self._shows(_OTHER) and self._shows(parts)
        return [{"type": "text", "text": text}] if self._known["parts"] else text

    def _shows(self, content: object) -> bool:
        try:
            turns = [{"role": "user", "content": content}]
            return _OTHER in self.template.render(turns, answer_next=True)
        except RefusedError:
            return False

    def _prompt(self, given: Sequence[Given], tools: Sequence[Any] | None) -> str | None:
        """Return what a server sends; None where nothing stands before and none can be sent."""
        try:
            return self.template.render(given, tools=tools, answer_next=True)
        except RefusedError as error:
            if not given:
                return None
            raise _refused(error, given) from None

    # Completions

    def _turn(
        self,
        messages: Sequence[Message],
        given: Sequence[Given],
        place: int,
        tools: Sequence[Any] | None,
    ) -> Turn:
        """Return one turn, its completion proved and cut where generation stops."""
        message, before = messages[place], given[:place]
        prompt = self._prompt(before, tools)
        if prompt is not None:
            _check_present(messages[:place], tools, prompt)
        if message.tool_calls:
            return self._calling_turn(message, given[: place + 1], tools, prompt or "")
        texts = _texts(message)
        form = self._form(message, texts, before, tools)
        own = given[place] if form == "own" else self._written(message, form, texts)
        whole = self._finished([*before, own], tools)
        for frame in self._frames:
            inner = _fit(frame, prompt, whole, texts) if prompt is not None else None
            if inner and prompt is not None:
                return self._completed(frame, prompt, inner, texts)
        marked = self._written(message, form, _Texts(_THOUGHT, _ANSWER))
        outline = self._finished([*before, marked], tools)
        return self._proved(messages[: place + 1], tools, outline, whole, prompt)

    def _finished(self, given: Sequence[Given], tools: Sequence[Any] | None) -> str:
        try:
            return self.template.render(given, tools=tools)
        except RefusedError as error:
            raise _refused(error, given) from None

    def _form(
        self,
        message: Message,
        texts: _Texts,
        before: Sequence[Given],
        tools: Sequence[Any] | None,
    ) -> str:
        """Return the form of an assistant's message in which the template shows its thought.

        `own` is the row's.  Where no form shows it, the answer goes alone.
        """
        if not texts.thought:
            return "own"
        own = message.reasoning is not None
        if own not in self._forms:
            for form in ("own", *_FIELDS, "inline", "answer"):
                marked = self._written(message, form, _Texts(_THOUGHT, _ANSWER))
                text = self._finished([*before, marked], tools)
                shown = _THOUGHT in text and not _DOUBLED.search(text.partition(_THOUGHT)[0])
                if shown or form == "answer":
                    self._forms[own] = form
                    break
        return self._forms[own]

    def _written(self, message: Message, form: str, texts: _Texts) -> Given:
        """Return an assistant's message with these texts, in one of the forms of `_form`."""
        turn: Given = {"role": message.role, **message.others}
        inline = inline_thought(message.content) if message.reasoning is None else None
        content = texts.answer
        if form in _FIELDS:
            turn[form] = texts.thought
        elif form == "inline":
            content = f"<think>\n{texts.thought}\n</think>\n\n{texts.answer}"
        elif form == "own" and message.reasoning is not None:
            turn["reasoning_content"] = texts.thought
        elif form == "own" and inline:
            parts = inline._replace(thought=texts.thought, answer=texts.answer)
            content = "".join(parts)
        return {**turn, "content": self._content(content)}

    def _proved(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None,
        outline: str,
        whole: str,
        prompt: str | None,
    ) -> Turn:
        """Return a turn by a frame that was not known yet.

        Args:
            messages: up to the turn.
            tools: of the row.
            outline: the conversation with marks in place of the turn's texts.
            whole: the conversation.
            prompt: for the turn; None where the conversation begins with it.
        """
        texts, place = _texts(messages[-1]), len(messages) - 1
        head, around = _parted(outline, place, has_thought=bool(texts.thought))
        if prompt is None:
            prompt = head
        frame = _against(around, head, prompt)
        if frame:
            inner = _fit(frame, prompt, whole, texts)
            if inner is None:
                raise UnfitError(
                    f"the chat template changes the text of message {place + 1}",
                    field=f"messages[{place}]",
                )
            self._frames.insert(0, frame)
            del self._frames[_MOST_FRAMES:]
            return self._completed(frame, prompt, inner, texts)
        return self._served(messages, tools, outline, whole, prompt)

    def _served(
        self,
        messages: Sequence[Message],
        tools: Sequence[Any] | None,
        outline: str,
        whole: str,
        prompt: str,
    ) -> Turn:
        """Return a turn whose conversation is rendered in another way once it is answered.

        What stands before the last message may differ; the turn itself has to be rendered as
        that of a single question is.
        """
        texts, place = _texts(messages[-1]), len(messages) - 1
        head, frame = _parted(outline, place, has_thought=bool(texts.thought))
        usual = self._usual(messages[-1], tools, has_thought=bool(texts.thought))
        last = _texts(messages[place - 1]).answer if place else ""
        opening = prompt[prompt.rfind(last) + len(last) :] if last else prompt
        expected = opening.removesuffix(usual.cut) + usual.before if usual else None
        inner = None
        if usual and expected and head.endswith(expected) and frame.after == usual.after:
            inner = _texts_in(whole[len(head) : len(whole) - len(frame.after)], frame, texts)
        if usual is None or inner is None:
            raise UnfitError(
                f"the chat template renders the turns before message {place + 1} differently "
                "once it is answered, so the model would be trained on a prompt that no server "
                "sends"
            )
        self.counts["turns_with_the_served_prompt"] += 1
        shown = usual._replace(shows_thought=frame.shows_thought, between=frame.between)
        return self._completed(shown, prompt, inner, texts)

    def _usual(
        self, message: Message, tools: Sequence[Any] | None, *, has_thought: bool
    ) -> _Frame | None:
        """Return the frame of an answer like this one to a single question."""
        form = self._forms[message.reasoning is not None] if has_thought else "answer"
        name = f"usual {has_thought} {form} {bool(tools)}"
        if name not in self._known:
            asked = self._given(Message("user", _OTHER))
            answer = self._written(message, form, _Texts(_THOUGHT, _ANSWER))
            prompt = self._prompt([asked], tools) or ""
            outline = self._finished([asked, answer], tools)
            head, frame = _parted(outline, 1, has_thought=has_thought)
            self._known[name] = _against(frame, head, prompt)
        known_frame: _Frame | None = self._known[name]
        return known_frame

    def _completed(self, frame: _Frame, prompt: str, inner: _Inner, texts: _Texts) -> Turn:
        """Return a turn whose texts a frame has found, with what the prompt asks for around."""
        opened = opened_thought(prompt)
        answer, lead = inner.answer, frame.before + inner.all.removesuffix(inner.answer)
        if frame.cut:
            start = _begun(prompt, texts.thought, frame.before)
            answer = answer.lstrip() if start[-1:].isspace() else answer
        elif self._inserts(frame, texts, prompt) or not goes_on(prompt, lead):
            start = written_thought(prompt, texts.thought)
            answer = answer.lstrip()
        else:
            start = lead
        if opened and not texts.thought:
            self.counts["thoughts_closed_at_once"] += 1
        elif texts.thought not in f"{start}{answer}":
            self.counts["thoughts_left_out"] += 1
        return Turn(prompt, self._stopped(f"{start}{answer}", frame.after))

    def _inserts(self, frame: _Frame, texts: _Texts, prompt: str) -> bool:
        """Tell whether a thought that the template cuts out is to be kept all the same."""
        return bool(
            self.reasoning == "keep"
            and texts.thought
            and not frame.shows_thought
            and _is_blank(frame.before)
            and not _TAGS.search(prompt[-32:])
        )

    def _ended(self, turn: Turn, place: int) -> Turn:
        """Return a turn whose only end is its own.

        Of some templates a second answer in a row has no prompt of its own: the end of the first
        would be learnt with it.
        """
        first = first_of(self.stops, turn.completion)
        if first and first[0] + len(first[1]) < len(turn.completion):
            raise UnfitError(
                f"the chat template puts an end token ({first[1]}) into message "
                f"{place + 1}, where a server would stop",
                "merge consecutive answers, or " + _ANOTHER_BASE,
                field=f"messages[{place}]",
            )
        return turn

    def _stopped(self, text: str, after: str) -> str:
        """Return a completion up to the token that ends it."""
        ending = first_of(self.stops, after)
        if ending:
            start, stop = ending
            return f"{text}{after[:start]}{stop}"
        self.counts["ends_added"] += 1
        return f"{text}{after}".rstrip() + self._usual_stop()

    def _usual_stop(self) -> str:
        """Return the token that ends an answer where the template writes none.

        Of some bases it is the one that begins the next turn.
        """
        if "stop" not in self._known:
            messages = [("user", _OTHER), ("assistant", _ANSWER), ("user", _OTHER)]
            try:
                text = self.template.render(
                    [self._given(Message(*message)) for message in messages]
                )
            except RefusedError:
                text = ""
            self._known["stop"] = self._begun_by(text.partition(_ANSWER)[2]) or self.last_stop
        stop: str | None = self._known["stop"]
        if stop is None:
            raise UnfitError(
                "neither the chat template nor the tokenizer has a token that ends an answer",
                "set eos_token in the base's tokenizer_config.json",
            )
        return stop

    def _begun_by(self, text: str) -> str | None:
        text = text.lstrip()
        return next((stop for stop in self.stops if text.startswith(stop)), None)

    # Calls of tools

    def _calling_turn(
        self,
        message: Message,
        given: Sequence[Given],
        tools: Sequence[Any] | None,
        prompt: str,
    ) -> Turn:
        """Return a turn that calls tools; what it holds is looked for, not framed."""
        whole = self._finished(given, tools)
        texts, place, start = _texts(message), len(given) - 1, ""
        same = _agreed(prompt, whole)
        if same is None:
            raise UnfitError(
                f"the chat template renders the tool calls of message {place + 1} "
                "differently in training than at inference",
            )
        completion = whole[same:]
        if same < len(prompt):
            tags = completion[: len(completion) - len(_without_tags(completion))]
            start = _begun(prompt, texts.thought, tags)
            completion = start + _without_tags(completion)
        elif not goes_on(prompt, completion[: _first(completion, (texts.answer, *message.called))]):
            raise UnfitError(
                f"the chat template opens a reasoning block before message {place + 1}, "
                "but that message does not close it",
                field=f"messages[{place}]",
            )
        for text in (*_lost_calls(message, completion), *_arguments(message)):
            if text not in completion and json.dumps(text)[1:-1] not in completion:
                raise UnfitError(
                    f"the chat template leaves out the tool calls of message {place + 1}",
                    "use a base whose template supports tools, or leave such rows out",
                    field=f"messages[{place}].tool_calls",
                )
        if texts.answer not in completion:
            raise UnfitError(
                f"the chat template leaves out the text of message {place + 1} beside "
                "its tool calls",
                "remove that text from the row, or " + _ANOTHER_BASE,
                field=f"messages[{place}].content",
            )
        if texts.thought and texts.thought not in completion:
            self.counts["thoughts_left_out"] += 1
        end_of_call = max(max(completion.rfind(name) + len(name), 0) for name in message.called)
        text = self._stopped_call(completion[:end_of_call], completion[end_of_call:], given, tools)
        return Turn(prompt, text)

    def _stopped_call(
        self, text: str, after: str, given: Sequence[Given], tools: Sequence[Any] | None
    ) -> str:
        """Return a call up to the token that ends it: the one that stands before a result."""
        ending = first_of(self.stops, after)
        if not ending:
            result = {"role": "tool", "content": self._content(_OTHER), "tool_call_id": "0"}
            try:
                further = self.template.render([*given, result], tools=tools)
            except RefusedError:
                further = ""
            next_ = self._begun_by(further.rpartition(after)[2]) if after else None
            if next_:
                self.counts["ends_added"] += 1
                return f"{text}{after}{next_}"
        return self._stopped(text, after)


def _first(text: str, parts: Sequence[str]) -> int:
    """Return where the first of some parts stands in a text; its end if none does."""
    return min((text.find(part) for part in parts if part and part in text), default=len(text))


def first_of(strings: Sequence[str], text: str) -> tuple[int, str] | None:
    """Return where the first of some strings stands in a text, and which; None if none does."""
    places = [(text.find(string), -len(string), string) for string in strings if string in text]
    return (min(places)[0], min(places)[2]) if places else None


def tool_name(tool: Mapping[str, Any]) -> str:
    """Return the name of a tool that is described as a function, or bare."""
    function = tool.get("function")
    return str((function if isinstance(function, Mapping) else tool).get("name", ""))


def _texts(message: Message) -> _Texts:
    """Return what a message says, its thought apart."""
    if message.reasoning is not None:
        return _Texts(message.reasoning.strip(), message.content.strip())
    inline = inline_thought(message.content) if message.role == "assistant" else None
    if inline:
        return _Texts(inline.thought, inline.answer)
    return _Texts("", message.content.strip())


def _lost_calls(message: Message, text: str) -> list[str]:
    """Return the names of a message's calls that a text has neither by name nor by id."""
    return [
        name
        for name, call in zip(message.called, message.tool_calls, strict=True)
        if name not in text and str(call.get("id") or name) not in text
    ]


def _arguments(message: Message) -> list[str]:
    """Return the arguments of a message's calls that are text."""
    texts = []
    for call in message.tool_calls:
        arguments = call.get("function", call).get("arguments")
        if isinstance(arguments, Mapping):
            texts += [value for value in arguments.values() if isinstance(value, str)]
    return texts


def _system_merged(messages: Sequence[Message]) -> list[Message]:
    """Return messages whose system message stands before the first question."""
    system, *rest = messages
    for place, message in enumerate(rest):
        if message.role == "user":
            rest[place] = message._replace(content=f"{system.content}\n\n{message.content}")
            return rest
    return list(messages)


def _refused(error: RefusedError, given: Sequence[Given]) -> UnfitError:
    roles = ", ".join(str(turn["role"]) for turn in given)
    fix = _ANOTHER_BASE
    if given and given[0]["role"] == "system" and error.is_deliberate:
        fix = "set data.merge_system: true to put system messages before the question, or " + fix
    return UnfitError(f"the chat template {error} (turns: {roles})", fix)


def _check_present(messages: Sequence[Message], tools: Sequence[Any] | None, prompt: str) -> None:
    """Refuse a template that leaves out what a message says."""
    for place, message in enumerate(messages):
        text = message.content.strip()
        if text not in prompt:
            text = _texts(message).answer
        if text not in prompt and json.dumps(text)[1:-1] not in prompt:
            raise _left_out(message, place)
        if _lost_calls(message, prompt):
            raise UnfitError(
                f"the chat template leaves out a tool call of message {place + 1}",
                "use a base whose template supports tools, or leave such rows out",
                field=f"messages[{place}].tool_calls",
            )
    if any(tool_name(tool) not in prompt for tool in tools or ()):
        raise UnfitError(
            "the chat template leaves out the row's tools",
            "use a base whose template supports tools, or remove the field from the row",
            field="tools",
        )


def _left_out(message: Message, place: int) -> UnfitError:
    fix = _ANOTHER_BASE
    if message.role == "system":
        fix = f"set data.merge_system: true, {fix}"
    fault = (
        f"the chat template leaves out or changes the text of message {place + 1} ({message.role})"
    )
    return UnfitError(fault, fix, field=f"messages[{place}].content")


def _parted(outline: str, place: int, *, has_thought: bool) -> tuple[str, _Frame]:
    """Return what stands before a turn's marks, and the frame around them."""
    if outline.count(_ANSWER) != 1 or outline.count(_THOUGHT) > 1:
        times = outline.count(_ANSWER)
        what = f"writes the text of message {place + 1} {times} times"
        if not times:
            what = f"leaves out the text of message {place + 1} (assistant)"
        raise UnfitError(f"the chat template {what}", field=f"messages[{place}].content")
    head, _, after = outline.partition(_ANSWER)
    head, shown, between = head.partition(_THOUGHT)
    return head, _Frame(has_thought, bool(shown), "", "", between, after)


def _against(frame: _Frame, head: str, prompt: str) -> _Frame | None:
    """Return a frame as it follows a prompt; None where what stands before it differs.

    A thought that the prompt opens or closes, and the finished turn does not, is no difference.
    """
    same = _agreed(prompt, head)
    return None if same is None else frame._replace(cut=prompt[same:], before=head[same:])


def _agreed(prompt: str, rendered: str) -> int | None:
    """Return up to where a finished turn has its prompt, the prompt's thought at the end aside.

    None says that they differ before that.
    """
    if rendered.startswith(prompt):
        return len(prompt)
    same = _common(rendered, prompt)
    # Half a tag may be common to both: step back to where it begins.
    for place in range(same, max(-1, same - _LONGEST_TAG), -1):
        if _is_blank(prompt[place:]):
            return place
    return None


def _begun(prompt: str, thought: str, before: str) -> str:
    """Return how an answer begins behind a prompt whose thought the finished turn does not have.

    Args:
        prompt: ends with a thought that it opens, or has closed.
        thought: of the row.
        before: what the template writes before the answer instead.
    """
    rest = _TAG_AND_SPACE.sub("", before)
    if not opened_thought(prompt):
        return rest
    return written_thought(prompt, thought, closed=before) + rest


def _common(text: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    low, high = 0, min(len(text), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if text[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _is_blank(text: str) -> bool:
    """Tell whether nothing but white space and the tags of thoughts is there."""
    return not _TAGS.sub("", text).strip()


def _without_tags(text: str) -> str:
    """Return a text without the empty thought that it begins with."""
    match = re.match(rf"(\s*(?:{_TAGS.pattern}))*\s*", text)
    return text[match.end() :] if match else text


def _fit(frame: _Frame, prompt: str, whole: str, texts: _Texts) -> _Inner | None:
    """Return a turn's texts as rendered if the frame accounts for every other character."""
    if frame.has_thought != bool(texts.thought) or not prompt.endswith(frame.cut):
        return None
    start = len(prompt) - len(frame.cut)
    if not (whole.startswith(prompt[:start]) and whole.startswith(frame.before, start)):
        return None
    end = len(whole) - len(frame.after)
    start += len(frame.before)
    if end < start or not whole.endswith(frame.after):
        return None
    return _texts_in(whole[start:end], frame, texts)


def _texts_in(inner: str, frame: _Frame, texts: _Texts) -> _Inner | None:
    """Return what stands between a frame's ends if it is the texts, white space aside."""
    if not frame.shows_thought:
        return _Inner(inner, inner) if inner.strip() == texts.answer else None
    thought, rest = inner.lstrip(), len(texts.thought)
    if not (thought.startswith(texts.thought) and inner.rstrip().endswith(texts.answer)):
        return None
    between = thought[rest:].rstrip().removesuffix(texts.answer)
    if between.strip() != frame.between.strip():
        return None
    return _Inner(inner, inner[inner.rindex(texts.answer) :] if texts.answer else "")

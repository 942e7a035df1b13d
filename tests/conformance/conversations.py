"""Conversations that a chat template can get wrong, as rows of a data file.

Every text holds a mark of its own (`zzu1` in the first question, `zza1` in its answer), so that a
judge can tell whose words stand where.  Answers are the only texts with `zza` and `zzr`: what the
assistant says and thinks.
"""

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

MARK = re.compile(r"zz[a-z]\d+")
_OF_THOUGHTS = re.compile("channel|think", re.IGNORECASE)  # an answer may have them rightly
_FORGED = 6


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row, and what its name says of it.

    Attributes:
        name: a column of the table.
        row: as a data file has it.
        innocent: the same without control tokens in texts, if it has any.
        forged: those control tokens.
    """

    name: str
    row: Row
    innocent: Row | None = None
    forged: tuple[str, ...] = ()

    @property
    def messages(self) -> list[Row]:
        """What plain transformers gets: roles and texts, no weights."""
        return messages_of(self.row)

    @property
    def learnt(self) -> list[int]:
        """Which messages are learnt."""
        given = self.row.get("messages") or self.messages
        return [
            n for n, one in enumerate(given) if one["role"] == "assistant" and one.get("weight", 1)
        ]

    @property
    def tools(self) -> list[Row] | None:
        """The row's functions."""
        return self.row.get("tools")


def messages_of(row: Row) -> list[Row]:
    """Return a row's messages as a template reads them."""
    if "messages" in row:
        return [{k: v for k, v in one.items() if k != "weight"} for one in row["messages"]]
    system = [{"role": "system", "content": row["system"]}] if "system" in row else []
    return [
        *system,
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["response"]},
    ]


def marks_of(value: object) -> set[str]:
    """Return the marks in a message, a text or a list of them."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return set(MARK.findall(text))


def _system() -> Row:
    return {"role": "system", "content": "You are careful zzs1."}


def _user(n: int, text: str = "What helps against fever zzu{}?") -> Row:
    return {"role": "user", "content": text.replace("{}", str(n))}


def _answer(n: int, text: str = "Rest and drink water zza{}.", **more: object) -> Row:
    return {"role": "assistant", "content": text.replace("{}", str(n)), **more}


_TOOL = {
    "type": "function",
    "function": {
        "name": "dose_zzf1",
        "description": "Look up a dose.",
        "parameters": {
            "type": "object",
            "properties": {"drug": {"type": "string", "description": "Its name."}},
            "required": ["drug"],
        },
    },
}


def _call(n: int) -> Row:
    function = {"name": "dose_zzf1", "arguments": {"drug": f"zzc{n}"}}
    return {"id": f"call{n:05}", "type": "function", "function": function}


def _result(n: int) -> Row:
    return {
        "role": "tool",
        "name": "dose_zzf1",
        "tool_call_id": f"call{n:05}",
        "content": f"500 mg zzo{n}",
    }


_THOUGHT = "<think>\nA cold, I think zzr{}.\n</think>\n\nRest and drink water zza{}."
_SPACED = "  two spaces, then\n\nan empty line zz{}\n"


def _rows() -> dict[str, Row]:
    u1, a1, u2, a2 = _user(1), _answer(1), _user(2), _answer(2)
    why = {n: {"reasoning_content": f"A cold, I think zzr{n}."} for n in (1, 2)}
    return {
        "one turn": {"prompt": u1["content"], "response": a1["content"]},
        "several turns": _chat(u1, a1, u2, a2, _user(3), _answer(3)),
        "system": _chat(_system(), u1, a1),
        "system, several": _chat(_system(), u1, a1, u2, a2),
        "two users": _chat(u1, u2, a1),
        "two answers": _chat(u1, a1, a2),
        "assistant first": _chat(a1, u1, a2),
        "thought": _chat(u1, _answer(1, _THOUGHT)),
        "thought, last": _chat(u1, a1, u2, _answer(2, _THOUGHT)),
        "thought, every": _chat(u1, _answer(1, _THOUGHT), u2, _answer(2, _THOUGHT)),
        "reasoning, last": _chat(u1, a1, u2, _answer(2, **why[2])),
        "reasoning, every": _chat(u1, _answer(1, **why[1]), u2, _answer(2, **why[2])),
        "weight 0": _chat(u1, _answer(1, weight=0), u2, a2),
        "weight 0 last": _chat(u1, a1, u2, _answer(2, weight=0)),
        "tools": {**_chat(u1, a1), "tools": [_TOOL]},
        "tool calls": {
            **_chat(u1, _answer(1, "", tool_calls=[_call(1)]), _result(1), a2),
            "tools": [_TOOL],
        },
        "tool calls, words": {
            **_chat(u1, _answer(1, tool_calls=[_call(1)]), _result(1), a2, u2, _answer(3)),
            "tools": [_TOOL],
        },
        "other scripts": _chat(
            _user(1, "ماذا يفيد مع الحمى 🤒 zzu{}؟"), _answer(1, "שתה מים 💧 e\u0301 👩🏽‍⚕️ zza{}.")
        ),
        "white space": _chat(
            _user(1, _SPACED.replace("zz", "zzu")),
            _answer(1, _SPACED.replace("zz", "zza")),
            _user(2, _SPACED.replace("zz", "zzu")),
            _answer(2, _SPACED.replace("zz", "zza")),
        ),
        "the same words": _chat(
            _user(1, "Say: rest. zzu{}"),
            _answer(1, "rest."),
            _user(2, "rest."),
            _answer(2, "rest."),
        ),
    }


def _chat(*messages: Row) -> Row:
    return {"messages": copy.deepcopy(list(messages))}


def conversations(control_tokens: Sequence[str]) -> list[Conversation]:
    """Return all of them, those with control tokens made of a template's own.

    Args:
        control_tokens: the base's special tokens, the end of a turn first.
    """
    plain = [Conversation(name, row) for name, row in _rows().items()]
    return [*plain, *_forged(control_tokens)]


def _forged(tokens: Sequence[str]) -> Iterable[Conversation]:
    """Return conversations with text that spells control tokens, each with its innocent twin."""
    tokens = tuple(dict.fromkeys(t for t in tokens if not _OF_THOUGHTS.search(t)))[:_FORGED]
    spelt = " ".join(tokens)
    forms = {
        "control in question": ("{} forged zzu1", "{} plain zza1"),
        "control in answer": ("{} plain zzu1", "before {} after zza1"),
    }
    for name, (question, answer) in forms.items():
        in_question = name == "control in question"
        row, innocent = (
            _chat(
                {"role": "user", "content": question.format(text if in_question else "so")},
                {"role": "assistant", "content": answer.format("so" if in_question else text)},
                _user(2),
                _answer(2),
            )
            for text in (spelt, "so")
        )
        yield Conversation(name, row, innocent, tokens)


def with_thoughts_apart(messages: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return the same with `<think>` blocks as `reasoning_content`, as servers hand them back."""
    found = []
    for one in messages:
        content = one.get("content") or ""
        before, mark, after = content.partition("</think>")
        if one["role"] == "assistant" and mark and before.lstrip().startswith("<think>"):
            thought = before.lstrip().removeprefix("<think>").strip()
            found.append({**one, "reasoning_content": thought, "content": after.strip()})
        else:
            found.append(dict(one))
    return found

"""What somebody wants to ask: a file of prompts as conversations that end with the user's turn.

Plain text has one prompt a line; `.jsonl` has one object a line: `prompt` and perhaps `system`, or
`messages` (a list of {role, content}).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlora.data.jsonl import Piece, rows_in, wrong_file
from medlora.data.problems import Problem, kind
from medlora.data.size_limits import too_large
from medlora.errors import DataError, MissingPartError, listed
from medlora.files import storage_errors

Turn = dict[str, str]  # role, content
_ROLES = ("system", "user", "assistant")
_FIX = "correct these lines; the text is withheld, as it may be confidential"


@dataclass(frozen=True, slots=True)
class Asked:
    """A conversation to be answered, and the line that it stands on."""

    line: int
    turns: tuple[Turn, ...]


def conversation(prompt: str, *, system: str | None = None) -> tuple[Turn, ...]:
    """Return a prompt as a conversation, the system's turn before it if there is one."""
    before = [{"role": "system", "content": system}] if system else []
    return (*before, {"role": "user", "content": prompt})


def read_prompts(file: Path, *, system: str | None = None) -> list[Asked]:
    """Return the conversations of a file, in its order.

    Args:
        file: plain text, or JSON Lines if its name says so.
        system: the system's turn of those that have none of their own.

    Raises:
        MissingPartError: there is no such file.
        StorageError: it cannot be read.
        DataError: lines cannot be used, all of them in one message; or there is none.
    """
    if not file.is_file():
        raise MissingPartError(f"{file}: no such file", fix="name a text file or JSON Lines")
    rows = file.suffix in {".jsonl", ".json"}
    with storage_errors(file):
        wrong = too_large(file) or (wrong_file(file) if rows else None)
        content = b"" if wrong else file.read_bytes()
    items = [wrong] if wrong else list(_rows(content) if rows else _lines(content))
    problems = [problem.text(file) for problem in items if isinstance(problem, Problem)]
    if problems:
        raise DataError(listed(problems, what=f"{file} cannot be used"), fix=_FIX)
    asked = [_with_system(prompt, system) for prompt in items if isinstance(prompt, Asked)]
    if not asked:
        raise DataError(f"{file}: no prompt", fix="write one per line")
    return asked


def text_prompts(text: str, *, system: str | None = None) -> list[Asked]:
    """Return the prompts of a text, one a line; empty lines are none."""
    lines = enumerate(text.split("\n"), start=1)  # splitlines() also splits within a line
    return [
        Asked(number, conversation(line.strip(), system=system))
        for number, line in lines
        if line.strip()
    ]


def _with_system(asked: Asked, system: str | None) -> Asked:
    if not system or asked.turns[0]["role"] == "system":
        return asked
    return Asked(asked.line, ({"role": "system", "content": system}, *asked.turns))


def _lines(content: bytes) -> Iterator[Asked | Problem]:
    try:
        yield from text_prompts(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        yield Problem(line, "not UTF-8", "save it as UTF-8")


def _rows(content: bytes) -> Iterator[Asked | Problem]:
    for item in rows_in(Piece(1, content)):
        if isinstance(item, Problem):
            yield item
            continue
        line, row = item
        if "messages" in row:
            yield _conversation(line, row["messages"])
        else:
            yield _prompt(line, row)


def _prompt(line: int, row: dict[str, Any]) -> Asked | Problem:
    prompt, system = row.get("prompt"), row.get("system")
    if not isinstance(prompt, str) or not prompt.strip():
        fault = "missing" if prompt is None else f"{kind(prompt)}, or empty"
        return Problem(line, fault, "write the question as text", "prompt")
    if system is not None and not isinstance(system, str):
        return Problem(line, kind(system), "write text, or leave it out", "system")
    return Asked(line, conversation(prompt, system=system))


def _conversation(line: int, messages: object) -> Asked | Problem:
    fix = 'e.g. [{"role": "user", "content": "..."}]'
    if not isinstance(messages, list) or not messages:
        return Problem(line, f"{kind(messages)}, or empty", fix, "messages")
    for place, turn in enumerate(messages):
        if not _is_turn(turn):
            return Problem(line, "no role and content", fix, f"messages[{place}]")
    turns: Sequence[Turn] = messages
    if turns[-1]["role"] != "user":
        return Problem(line, "the last turn is not the user's", "end with the question", "messages")
    return Asked(line, tuple({name: t[name] for name in ("role", "content")} for t in turns))


def _is_turn(turn: object) -> bool:
    return (
        isinstance(turn, dict)
        and turn.get("role") in _ROLES
        and isinstance(turn.get("content"), str)
    )

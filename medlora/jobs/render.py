"""`medlora render`, and `medlora.render`: what each row becomes: its ids, and which are learnt.

The one command that shows what rows say, on standard output or in a file that is asked for.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from medlora.config import DataConfig, Setting, load
from medlora.data.chat.chat import Chat, Tokens
from medlora.data.data_files import locate
from medlora.data.formats.joined_files import Source
from medlora.data.forms.read import read_records
from medlora.data.jsonl import Piece
from medlora.data.parallel_pieces import PIECE_BYTES
from medlora.data.problems import Places, Problem, Problems
from medlora.errors import DataError
from medlora.files import json_line, new_file
from medlora.inputs.chat import dated, load_chat
from medlora.inputs.prepare import describe_changes
from medlora.logs import logger, show
from medlora.model.base import check_base
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan

_log = logger(__name__)
_SHOWN = 3  # rows, where nobody says which
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Example:
    """What a model sees at once: a row, or one turn of it with what stands before.

    Attributes:
        row: where its row stands, counted from 1: its line, or its place in a list.
        place: the same with the file's name.
        ids: token ids.
        learn: for each id, whether the loss counts it.
        parts: runs of tokens that are learnt, or are not, decoded.
    """

    row: int
    place: str
    ids: list[int]
    learn: list[bool]
    parts: list[tuple[bool, str]]

    @property
    def text(self) -> str:
        """All of it, decoded."""
        return "".join(text for _, text in self.parts)

    @property
    def learnt(self) -> list[str]:
        """Each run of tokens that is learnt, decoded."""
        return [text for is_learnt, text in self.parts if is_learnt]


class _InMemory:
    """Rows that stand in a list."""

    def __str__(self) -> str:
        return "the rows"

    def place(self, number: int) -> str:
        """Return what leads a person there."""
        return f"row {number}"


def render(
    data: str | Path | Sequence[Mapping[str, Any]],
    *,
    model: str | Path,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Example]:
    """Yield what each row becomes in training, uncut, as `medlora render` shows it.

    Args:
        data: a file or a folder as `--data` takes it, or rows in memory.
        model: folder of the base model.
        settings: dotted keys of the config, e.g. {"data.chat_template_kwargs": {...}}.

    Raises:
        DataError: rows cannot be used; all of them in one message, once the others were yielded.
        ConfigError: a setting, the tokenizer or its chat template cannot be used.
        MissingPartError: there is no such data or model.
    """
    values = {**(settings or {}), "model.base_model_name": str(model)}
    own = (Setting(tuple(key.split(".")), value, "render") for key, value in values.items())
    plan = Plan(load(own), demo=False, root=Path("/"), volatile_output=False)
    cfg = dated(plan, fresh=True).resolved.config
    chat = load_chat(_base(plan), cfg.data)
    if not isinstance(data, str | Path):
        lines = b"".join(json_line(dict(row)) for row in data)
        yield from _examples(chat, cfg.data, [Piece(1, lines)], Problems(_InMemory()))
        return
    source = locate(cfg.data.model_copy(update={"path": str(data)})).train
    yield from _of_source(chat, cfg.data, source)


def run(
    plan: Plan, *, rows: Sequence[int], json_out: Path | None = None, with_text: bool = False
) -> None:
    """Show rows on standard output, or write all of them to a file.

    Args:
        plan: data, model and config.
        rows: lines to show; the first few where none is named.
        json_out: gets one line of JSON an example, and nothing is shown.
        with_text: whether those have text beside ids.

    Raises:
        DataError: rows cannot be used, or none of the wanted ones is there.
    """
    plan = dated(plan)
    cfg = plan.resolved.config
    source = locate(cfg.data, mount=plan.mount("data")).train
    chat = load_chat(_base(plan), cfg.data)
    examples = _of_source(chat, cfg.data, source, rows)
    if json_out:
        count = 0
        with new_file(json_out) as write:
            for example in examples:
                write(_line(example, with_text=with_text))
                count += 1
        show(f"{count:,} examples: {json_out}")
    else:
        _show(examples, cfg.data, source, rows)
    for line in describe_changes(chat.counts):
        _log.warning("%s", line)


def _base(plan: Plan) -> Path:
    base = look_for_base(plan)
    check_base(base)
    return base


def _of_source(
    chat: Chat, cfg: DataConfig, source: Source, rows: Sequence[int] = ()
) -> Iterator[Example]:
    problems = Problems(source)
    pieces = source.read(PIECE_BYTES, lambda problem: problems.add([problem]))
    yield from _examples(chat, cfg, pieces, problems, frozenset(rows))


def _examples(
    chat: Chat,
    cfg: DataConfig,
    pieces: Iterable[Piece],
    problems: Problems,
    wanted: frozenset[int] = frozenset(),
) -> Iterator[Example]:
    """Yield the examples of all rows, or of the wanted ones; refuse what is wrong at the end."""
    for piece in pieces:
        records = read_records(piece, form=cfg.format, columns=cfg.columns, group_by=cfg.group_by)
        problems.add(
            problem for problem in records.problems if not wanted or problem.line in wanted
        )
        rows = [row for row in records.rows if not wanted or row.line in wanted]
        for made in chat.tokenize(rows):
            if isinstance(made, Problem):
                problems.add([made])
                continue
            for tokens in made:
                yield _example(chat, tokens, problems.file)
    problems.refuse()


def _example(chat: Chat, tokens: Tokens, file: Places) -> Example:
    ids, learn = tokens.ids.tolist(), tokens.learn.tolist()
    parts = [(is_learnt, _decoded(chat, part)) for is_learnt, part in _runs(ids, learn)]
    return Example(tokens.line, file.place(tokens.line), ids, learn, parts)


def _runs(ids: Sequence[int], learn: Sequence[bool]) -> Iterator[tuple[bool, list[int]]]:
    for is_learnt, part in groupby(zip(ids, learn, strict=True), key=lambda pair: pair[1]):
        yield is_learnt, [number for number, _ in part]


def _decoded(chat: Chat, ids: Sequence[int]) -> str:
    return chat.decoded(ids, clean_up_tokenization_spaces=False)


def _line(example: Example, *, with_text: bool) -> bytes:
    row: dict[str, Any] = {
        "row": example.row,
        "ids": example.ids,
        "learn": [int(mark) for mark in example.learn],
    }
    if with_text:
        row |= {"text": example.text, "learnt": example.learnt}
    return json_line(row)


def _show(
    examples: Iterator[Example], cfg: DataConfig, source: Source, rows: Sequence[int]
) -> None:
    """Print examples with the learnt part marked; without a choice of rows, the first few."""
    seen: list[int] = []
    coloured = sys.stdout.isatty()
    how = "green" if coloured else "between « and »"
    for example in examples:
        if example.row not in seen:
            if not rows and len(seen) == _SHOWN:
                click.echo(f"the first {_SHOWN} rows; --row N shows another, --json OUT writes all")
                return
            seen.append(example.row)
        targets = sum(example.learn[1:])
        cut = f", cut at {cfg.max_length} in training" if len(example.ids) > cfg.max_length else ""
        show(f"{example.place}: {len(example.ids)} tokens{cut}, {targets} of them learnt ({how})")
        click.echo(_marked(example, coloured=coloured))
        click.echo()
    if not seen:
        raise DataError(
            f"{source}: none of these lines holds a row",
            fix="name lines of the file that hold rows",
        )


def _marked(example: Example, *, coloured: bool) -> str:
    """Return an example's text, what is learnt marked, and nothing that a terminal would obey."""
    shown = []
    for is_learnt, text in example.parts:
        seen = _visible(text)
        if is_learnt:
            seen = click.style(seen, fg="green", bold=True) if coloured else f"«{seen}»"
        shown.append(seen)
    return "".join(shown)


def _visible(text: str) -> str:
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

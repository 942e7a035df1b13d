"""The prompts that models are judged by, wherever a suite keeps them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from medlora import evaluate
from medlora.data.jsonl import read_pieces, rows_in
from medlora.data.problems import Problem, Problems
from medlora.errors import MissingPartError

SHIPPED = Path(evaluate.__path__[0]) / "suites"
_FIELDS = ("prompt", "question", "context")  # what is asked; an answer may well be learnt
_PIECE_BYTES = 1 << 20


def prompts_of(files: Iterable[Path]) -> dict[str, list[str]]:
    """Return {suite: its prompts} of the suites that come with MedLoRA and of some files.

    Raises:
        DataError: a file is no JSON Lines, or a row asks nothing.
        MissingPartError: a file is not there.
    """
    return {
        _name(file): [text for text in _prompts(file) if text.strip()]
        for file in [*sorted(SHIPPED.glob("*.jsonl")), *files]
    }


def _name(file: Path) -> str:
    return file.stem if file.parent == SHIPPED else str(file)


def _prompts(file: Path) -> Iterator[str]:
    if not file.is_file():
        raise MissingPartError(f"{file}: no such suite", fix="correct the path")
    problems = Problems(file)
    for piece in read_pieces(file, _PIECE_BYTES):
        for item in rows_in(piece):
            if isinstance(item, Problem):
                problems.add([item])
                continue
            line, row = item
            texts = [row[name] for name in _FIELDS if isinstance(row.get(name), str)]
            if not texts:
                found = f"none of the fields {', '.join(_FIELDS)}"
                problems.add([Problem(line, found, "give each row a prompt")])
            yield from texts
    problems.refuse()

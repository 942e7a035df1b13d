"""Damaged input of every kind: a clear error or none, never a bug, never the text of a row.

Files that a person or another machine hands over are damaged at random, by the byte and by the
line, and read as a run reads them. Prints the seed of what went wrong.
"""

import argparse
import gzip
import io
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet

from medlora.checkpoint.folder_format import read_manifest
from medlora.config import ColumnsConfig, load
from medlora.config.sagemaker_hyperparameters import from_hyperparameters
from medlora.config.yaml_file import from_yaml
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.formats.joined_files import Source
from medlora.errors import MedloraError
from medlora.evaluate.suite_files import read_suite
from medlora.files import DamagedError, UnreadableError
from medlora.model.sums import read_sums
from medlora.report.human_statements import read_statements

ROOT = Path(__file__).parents[2]
SECRET = "Osterhagen-4711"  # stands in each row, and in no message
ROWS = f"""\
{{"prompt": "Who is {SECRET}?", "response": "{SECRET} is nobody."}}
{{"instruction": "Say {SECRET}.", "input": "", "output": "{SECRET}"}}
{{"messages": [{{"role": "user", "content": "{SECRET}"}}, {{"role": "assistant", "content": "x"}}]}}
"""
TABLE = f'question;answer\nWho is {SECRET}?;"{SECRET}, ""nobody"",\nat all"\n'
SUITE = '{"id": "1", "question": "Is it?", "choices": ["yes", "no"], "answer": 0}\n'
SUMS = f"{'0' * 64}  model.safetensors\n{'1' * 64}  config.json\n"
MANIFEST = '{"schema": 1, "kind": "step", "step": 3, "files": {"a": "0"}, "sha256": "0"}'
HYPERPARAMETERS = '{"learning_rate": "1e-4", "lora.r": "8", "data.columns.prompt": "q"}'
STATEMENTS = "intended_use: drafts\nlanguage: [en]\nfairness:\n  goal: the same for all\n"
PIECES = (
    *(b"\x00", b"\xff\xfe", b"{", b"]", b'"', b"\n", b": &a [*a]\n", b"1e999", b"- ", b"null"),
    *(b"\xe2\x80\xa8", b"\\ud800", b"[" * 300, b"!!python/object:os.system", b"-1", b"NaN"),
)


def _rows(file: Path) -> None:
    source = Source.of(file)
    maker = FactMaker("auto", ColumnsConfig(), None, Prompts())
    read_facts(DataFile(source, source.sha256()), maker, workers=0)


def _parquet() -> bytes:
    out = io.BytesIO()
    rows = {"question": [SECRET] * 9, "answer": ["nobody"] * 9}
    pyarrow.parquet.write_table(pyarrow.table(rows), out)
    return out.getvalue()


def _manifest(file: Path) -> None:
    try:
        read_manifest(file.parent)
    except (DamagedError, UnreadableError):
        return


READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "data.jsonl": (
        ROWS.encode(),
        _rows,
    ),
    "data.csv": (TABLE.encode(), _rows),
    "data.json": (f"[{','.join(ROWS.splitlines())}]".encode(), _rows),
    "data.csv.gz": (gzip.compress(TABLE.encode()), _rows),
    "data.txt": (TABLE.encode(), _rows),
    "data.parquet": (_parquet(), _rows),
    "run.yaml": (
        (ROOT / "configs/recommended.yaml").read_bytes(),
        lambda file: load(list(from_yaml(file))),
    ),
    "hyperparameters.json": (
        HYPERPARAMETERS.encode(),
        lambda file: load(list(from_hyperparameters(file))),
    ),
    "card.yaml": (STATEMENTS.encode(), read_statements),
    "suite.jsonl": (SUITE.encode(), read_suite),
    "SHA256SUMS": (SUMS.encode(), read_sums),
    "manifest.json": (MANIFEST.encode(), _manifest),
}


def damage(content: bytes, chance: random.Random) -> bytes:
    """Return a copy with a few bytes, pieces or lines changed."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[place:place] = chance.choice(PIECES)
            case 2:
                del changed[place : place + chance.randint(1, 20)]
            case 3:
                changed[place:place] = changed[: chance.randint(0, 60)]
            case _:
                lines = bytes(changed).splitlines(keepends=True)
                chance.shuffle(lines)
                changed = bytearray(b"".join(lines))
    return bytes(changed)


def problem(file: Path, read: Callable[[Path], object]) -> str | None:
    """Read a file; return what is wrong with how that ended."""
    try:
        read(file)
    except MedloraError as error:
        return "an error quotes a row" if SECRET in str(error) else None
    except Exception as error:  # noqa: BLE001  (that is what we are after)
        return f"{type(error).__name__}: a bug"
    return None


def main() -> int:
    """Damage and read; return 1 where something went wrong."""
    parser = argparse.ArgumentParser(description="Read damaged input.")
    parser.add_argument("--rounds", type=int, default=2000, help="for each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (content, read) in READERS.items():
            found = 0
            for number in range(given.seed, given.seed + given.rounds):
                file = Path(folder) / name
                file.write_bytes(damage(content, random.Random(f"{name}{number}")))
                line = problem(file, read)
                if line:
                    found += 1
                    if found <= 5:
                        print(f"{name}, seed {number}: {line}")
            print(f"{name}: {given.rounds} damaged files, {found} wrong")
            wrong += found
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

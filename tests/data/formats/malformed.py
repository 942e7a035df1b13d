"""Files that cannot be used, of every format: each with where its one error has to point."""

import gzip
import io
import json
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SECRET = "Osterhagen-4711"  # stands in each of them, and may stand in no message
GOOD = {"question": f"Who is {SECRET}?", "answer": "Nobody."}


class Malformed(NamedTuple):
    """A file, and what the message says behind its name."""

    name: str
    content: bytes
    says: str


def _parquet(*columns: tuple[str, list[object]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays([pa.array(v) for _, v in columns], [n for n, _ in columns]), out
    )
    return out.getvalue()


def _line(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode() + b"\n"


def _turns(name: str, *turns: object) -> bytes:
    return json.dumps({name: turns}).encode() + b"\n"


_ROWS = b"".join(_line(number=n) for n in range(400))
_SHEET = f"question,answer\nWho is {SECRET}?,Nobody.\n".encode()
_TABLE = _parquet(("question", [SECRET] * 50), ("answer", ["Nobody."] * 50))
_ASK = {"from": "human", "value": SECRET}
_USER = {"role": "user", "content": SECRET}
_TELL = {"role": "assistant", "content": SECRET}

LINES = [
    Malformed("a.jsonl", b"", ": the file has no rows"),
    Malformed("a.jsonl", b"\xef\xbb\xbf\n\n", ": the file has no rows"),
    Malformed("a.jsonl", _line() + b"{\n", ":2: not JSON"),
    Malformed(
        "a.jsonl", _line() + b'{"question": "x", "answer": "Osterhagen-4711\n', ":2: not JSON"
    ),
    Malformed("a.jsonl", _line() + b'["Osterhagen-4711"]\n', ":2: a list instead of an object"),
    Malformed("a.jsonl", b"\n\n" + _line(answer=None), ":3: field 'answer': null instead of text"),
    Malformed("a.jsonl", _line(answer=7), ":1: field 'answer': a number instead of text"),
    Malformed("a.jsonl", _line(answer=" "), ":1: field 'answer': only white space"),
    Malformed("a.jsonl", _line().replace(b"Nobody", b"\xff"), ":1: byte "),
    Malformed("a.jsonl", _line().replace(b'"Nobody."', b"NaN"), ":1: NaN, which is not JSON"),
    Malformed("a.jsonl", b'{"answer": "a", ' + _line()[1:], ":1: a field that occurs twice"),
    Malformed("a.jsonl", _line().replace(b"Nobody", b"\\ud800"), ":1: field 'answer': half of a"),
    Malformed("a.jsonl", b'{"question": "Osterhagen-4711"}', ":1: field 'answer': missing"),
    Malformed("a.jsonl", b'{"frage": "Osterhagen-4711", "antwort": "x"}', ":1: none of the known"),
    Malformed(
        "a.jsonl", b'{"Osterhagen 4711": 1}', ":1: none of the known fields among the row's 1;"
    ),
    Malformed("a.jsonl", b"[" + _line() + b"]", ":1: a JSON array"),
    Malformed("a.jsonl", _SHEET, ":1: not JSON"),
    Malformed("a.jsonl", _line().decode().encode("utf-16"), ":1: UTF-16 text"),
    Malformed("a.jsonl", gzip.compress(_ROWS), ":1: a gzip archive"),
    Malformed("a.jsonl", _TABLE, ":1: a Parquet file"),
    Malformed("a.jsonl", b"PK\x03\x04" + _ROWS, ":1: a zip archive"),
    Malformed("a.jsonl", b'{"question": ' + b"[" * 100_000, ":1: nested too deeply"),
    Malformed(
        "a.jsonl", _line(answer=1).replace(b": 1}", b": " + b"9" * 5000 + b"}"), ":1: a number"
    ),
    Malformed("a.jsonl.gz", gzip.compress(_ROWS)[:-300], ": the gzip archive is damaged"),
    Malformed("a.jsonl.gz", gzip.compress(_ROWS) + b"x" * 40, ": the gzip archive is damaged"),
    Malformed("a.jsonl.gz", _ROWS, ": the gzip archive is damaged"),
    Malformed("a.jsonl.gz", gzip.compress(_line() + b"{\n"), ":2: not JSON"),
    Malformed(
        "a.jsonl.zst", pa.compress(_ROWS, "zstd", asbytes=True)[:-9], ": the zstd archive is"
    ),
    Malformed("a.jsonl.zst", _ROWS, ": the zstd archive is damaged"),
    Malformed("a.jsonl.zst", pa.compress(b"{", "zstd", asbytes=True), ":1: not JSON"),
]
CONVERSATIONS = [
    Malformed("c.jsonl", _turns("messages"), ":1: field 'messages': an empty list"),
    Malformed("c.jsonl", b'{"messages": "Osterhagen-4711"}', ":1: field 'messages': text instead"),
    Malformed("c.jsonl", _turns("messages", _USER), ":1: field 'messages': the last turn"),
    Malformed(
        "c.jsonl", _turns("messages", _USER, SECRET), ":1: field 'messages[1]': text instead"
    ),
    Malformed(
        "c.jsonl", _turns("messages", _USER, {"role": "doctor"}), ":1: field 'messages[1].role'"
    ),
    Malformed(
        "c.jsonl", _turns("messages", {**_USER, "role": 3}, _TELL), "'messages[0].role': a number"
    ),
    Malformed(
        "c.jsonl", _turns("messages", _USER, {**_TELL, "weight": 2}), "[1].weight': neither 0"
    ),
    Malformed(
        "c.jsonl", _turns("messages", _USER, {**_TELL, "weight": 0}), "nothing to learn from"
    ),
    Malformed("c.jsonl", _turns("messages", _USER, {"role": "assistant"}), "[1].content': null"),
    Malformed("c.jsonl", _turns("conversations", _ASK), ":1: field 'conversations': the last turn"),
    Malformed(
        "c.jsonl", _turns("conversations", {"from": SECRET}), "'conversations[0].from': unknown"
    ),
    Malformed(
        "c.jsonl", _turns("conversations", _ASK, {"from": "gpt"}), "[1].value': null instead"
    ),
    Malformed(
        "c.jsonl", b'{"conversations": {"from": "human"}}', "'conversations': an object instead"
    ),
    Malformed("c.jsonl", b'{"instruction": "Osterhagen-4711"}', ":1: field 'output': missing"),
    Malformed(
        "c.jsonl", b'{"text": ["Osterhagen-4711"]}', ":1: field 'text': a list instead of text"
    ),
]
ARRAYS = [
    Malformed("a.json", b"[]", ": the file has no rows"),
    Malformed("a.json", b"", ": the list is not closed"),
    Malformed("a.json", b"[" + _line(), ": the list is not closed"),
    Malformed("a.json", b'[{"question": "Osterhagen-4711', ": the list is not closed"),
    Malformed(
        "a.json", b"[" + _line() + b"," + _line(answer="") + b"]", ": row 2: field 'answer': empty"
    ),
    Malformed(
        "a.json", b"[" + _line() + b",," + _line() + b"]", ": row 2: nothing between two commas"
    ),
    Malformed("a.json", b"[" + _line() + b",]", ": row 2: nothing between two commas"),
    Malformed("a.json", b"[" + _line() + b"] Osterhagen-4711", ": something follows the end"),
    Malformed(
        "a.json", b'[{"question": "Osterhagen\n4711", "answer": "x"}]', ": row 1: a line break"
    ),
    Malformed("a.json", b"[1, 2]", ": row 1: a number instead of an object"),
    Malformed("a.json", b"[{]}", ": row 1: not JSON"),
    Malformed("a.json", b'{\n "data": [\n' + _line() + b"]}", ": one JSON object over several"),
    Malformed("a.json", b'"Osterhagen-4711"', ": the list is not closed"),
    Malformed(
        "a.json.gz", gzip.compress(b"[" + b",".join([_line()] * 400) + b"]")[:-40], ": the gzip"
    ),
]
TABLES = [
    Malformed("t.csv", b"", ": the file has no rows"),
    Malformed("t.csv", b"question,answer\n", ": the file has no rows"),
    Malformed("t.csv", _SHEET + b"Osterhagen-4711\n", ":3: 1 cells where the first line has 2"),
    Malformed("t.csv", _SHEET + b"a,b,Osterhagen-4711\n", ":3: 3 cells where the first line has 2"),
    Malformed("t.csv", _SHEET + b'"a\nb",\n', ":3: field 'answer': empty text"),
    Malformed(
        "t.csv", _SHEET + b'"a\nb",c\n,Osterhagen-4711\n', ":5: field 'question': empty text"
    ),
    Malformed("t.csv", _SHEET + b'"a,Osterhagen-4711\nb,c\n', ":3: a quotation mark that opens"),
    Malformed("t.csv", _SHEET + b'"a" b,Osterhagen-4711\n', ":3: text after the quotation mark"),
    Malformed("t.csv", _SHEET + b"a,\xe4\n", ":3: byte 3 of the line is not UTF-8"),
    Malformed(
        "t.csv", b"question,question\na,Osterhagen-4711\n", ":1: two columns of the same name"
    ),
    Malformed("t.csv", b",\na,Osterhagen-4711\n", ":1: no column has a name"),
    Malformed("t.csv", b"frage,antwort\na,Osterhagen-4711\n", ":1: no column with a known name"),
    Malformed("t.csv", _SHEET.replace(b"\n", b"\r"), ":1: a line ends with a lone carriage return"),
    Malformed("t.csv", _SHEET.decode().encode("utf-16"), ":1: UTF-16 text"),
    Malformed("t.csv", b"PK\x03\x04" + _SHEET, ":1: a zip archive or a spreadsheet"),
    Malformed("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + _SHEET, ":1: an old spreadsheet"),
    Malformed(
        "t.csv",
        _SHEET + b'"' + b"Osterhagen " * (2 << 20) + b"\n",
        ":3: more than 16,777,216 bytes",
    ),
    Malformed(
        "t.csv", _SHEET + b'"' + b"Osterhagen\n" * (2 << 20), ":3: a cell that begins here has more"
    ),
    Malformed("t.csv.gz", gzip.compress(_SHEET * 99)[:-12], ": the gzip archive is damaged"),
    Malformed("t.tsv", _SHEET, ":1: no column with a known name; the columns are: column 1;"),
    Malformed(
        "t.csv", f"{SECRET} is asked. Who?,x\na,b\n".encode(), ": no column with a known name"
    ),
    Malformed("t.csv", b"question,antwort\nOsterhagen-4711,b\n", ":1: no column 'answer'"),
    Malformed("t.tsv", b"question\tanswer\na\tb\tOsterhagen-4711\n", ":2: 3 cells where the first"),
    Malformed("t.tsv", b"question\tanswer\nOsterhagen-4711\t \n", ":2: field 'answer': only white"),
]
PARQUET = [
    Malformed("p.parquet", b"", ": not readable as Parquet"),
    Malformed("p.parquet", _TABLE[:-7], ": not readable as Parquet"),
    Malformed("p.parquet", _TABLE[:4] + b"\xff" * 60 + _TABLE[64:], ": not readable as Parquet"),
    Malformed("p.parquet", _ROWS, ": not readable as Parquet"),
    Malformed(
        "p.parquet", _parquet(("question", [SECRET]), ("answer", [None])), ": row 1: field 'answer'"
    ),
    Malformed(
        "p.parquet", _parquet(("question", ["a", ""]), ("answer", ["b", SECRET])), ": row 2: field"
    ),
    Malformed(
        "p.parquet",
        _parquet(("question", [SECRET]), ("answer", [3.5])),
        ": row 1: field 'answer': a nu",
    ),
    Malformed(
        "p.parquet",
        _parquet(("question", [SECRET]), ("answer", [b"\xff\xfe"])),
        ": row 1: field 'answer': nu",
    ),
    Malformed("p.parquet", _parquet(("question", [SECRET])), ": no column 'answer'"),
    Malformed("p.parquet", _parquet(("q", [1]), ("q", [2])), ": two columns of the same name"),
    Malformed(
        "p.parquet",
        _parquet(("frage", [SECRET]), ("antwort", ["x"])),
        ": no column with a known name",
    ),
    Malformed("p.parquet", _parquet(("question", []), ("answer", [])), ": the file has no rows"),
    Malformed("p.parquet.gz", gzip.compress(_TABLE), ": a Parquet file within gzip"),
]
TEXTS = [
    Malformed("n.txt", b"", ": the file has no rows"),
    Malformed("n.txt", b" \n\n\t\n", ": the file has no rows"),
    Malformed("n.txt", b"Osterhagen\n\xe4\n", ": byte 1 of line 2 is not UTF-8"),
    Malformed("n.txt", f"Über {SECRET}".encode("utf-16"), ": UTF-16 text"),
    Malformed("n.txt", b"%PDF-1.7 Osterhagen-4711", ": a PDF"),
    Malformed("n.txt.gz", gzip.compress(b"Osterhagen-4711 " * 999)[:-20], ": the gzip archive"),
]
SOUND = {
    "s.jsonl": _ROWS[:600]
    + _turns("messages", _USER, _TELL)
    + _turns("conversations", _ASK, _TELL),
    "s.jsonl.gz": gzip.compress(_ROWS[:3000]),
    "s.jsonl.zst": pa.compress(_ROWS[:3000], "zstd", asbytes=True),
    "s.json": b"[" + _line() + b",\n" + _line() + b"]",
    "s.csv": _SHEET + b'"a ""quoted"" cell,\nof Osterhagen-4711",b\n',
    "s.tsv": b"question\tanswer\nOsterhagen-4711\tb\n",
    "s.parquet": _TABLE,
    "s.txt": b"Osterhagen-4711.\n\nAnd more of Osterhagen.\n",
}
MALFORMED = [*LINES, *CONVERSATIONS, *ARRAYS, *TABLES, *PARQUET, *TEXTS]

"""A file's findings are the same however the work is spread; a copy differs in them alone."""

import json
from pathlib import Path

import pytest

from medlora.config import ColumnsConfig
from medlora.data.formats.joined_files import Source
from medlora.data.privacy import files
from medlora.data.privacy.files import Finding, scan_file
from medlora.data.privacy.redact import redact_text
from medlora.data.privacy.row_texts import literal, texts_of
from medlora.data.privacy.scan import scan_text

COLUMNS = ColumnsConfig()


def write(path: Path, *lines: str) -> Path:
    """A file of these lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def findings(file: Path, **options: object) -> list[Finding]:
    """All findings of a file."""
    return [one for part in scan_file(Source.of(file), COLUMNS, **options) for one in part.findings]


def test_the_fields_of_every_form_are_read_and_no_others() -> None:
    """Mapped columns and turns; of a row of no known form, every string, by its number."""
    row = '{"id": "x", "prompt": "a", "response": "b", "system": "c", "meta": {"prompt": "d"}}'
    assert [text.field for text in texts_of(row, COLUMNS)] == ["prompt", "response", "system"]
    turns = (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    )
    fields = [text.field for text in texts_of(turns, COLUMNS)]
    assert fields == ["messages[0].content", "messages[1].content"]
    talk = '{"conversations": [{"from": "human", "value": "a"}], "question": "b", "text": "c"}'
    fields = [text.field for text in texts_of(talk, COLUMNS)]
    assert fields == ["conversations[0].value", "question", "text"]
    other = '{"note": "a", "n": [1, -2.5e3, true, null, {"v": "b"}], "e": {}, "f": []}'
    assert [text.field for text in texts_of(other, COLUMNS)] == ["#1", "#2[4].#1"]
    renamed = ColumnsConfig(prompt="question")
    assert [t.field for t in texts_of('{"question": "a", "x": "b"}', renamed)] == ["question"]


def test_a_key_that_is_no_plain_name_is_not_repeated() -> None:
    """It might say whose row it is."""
    (text,) = texts_of('{"John Q. Public, born 1958": "a"}', COLUMNS)
    assert text.field == "#1"


@pytest.mark.parametrize("before", ["", "\\n", "\\u00e9 \\ud83d\\ude42", "🙂 é", '\\\\ \\" '])
def test_the_column_is_that_of_the_line_as_it_is_written(before: str) -> None:
    """Escapes are longer than what they stand for."""
    line = f'{{"prompt": "{before}MRN 12345678", "response": "x"}}'
    text = texts_of(line, COLUMNS)[0]
    (span,) = scan_text(text.value)
    assert line[text.column(line, span.start) - 1 :].startswith("12345678")


def test_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings, order and copy are the same from one process and from three."""
    monkeypatch.setattr(files, "PIECE_BYTES", 400)
    lines = [
        json.dumps({"prompt": f"MRN {n}12345678 on 3/4/20{n % 90 + 10}", "response": "rest " * n})
        for n in range(60)
    ]
    file = write(tmp_path / "a.jsonl", *lines)
    alone, many = (
        list(scan_file(Source.of(file), COLUMNS, redact=True, workers=w)) for w in (0, 3)
    )
    assert alone == many
    assert len(alone) > 5
    assert [one.line for part in alone for one in part.findings] == sorted([*range(1, 61)] * 2)


def test_a_copy_differs_only_where_something_was_found(tmp_path: Path) -> None:
    """Spacing, escapes, other fields, blank lines and line ends stay byte for byte."""
    content = (
        '\ufeff{ "prompt" : "caf\\u00e9 on 2020-05-06" ,"response":"ok\\/ok", "n":1.50 }\r\n'
        "\n"
        '{"prompt":"é 🙂","response":"MRN 12345678 \\"q\\"","id":"MRN 12345678"}'
    )
    file = tmp_path / "a.jsonl"
    file.write_bytes(content.encode())
    copy = b"".join(part.redacted for part in scan_file(Source.of(file), COLUMNS, redact=True))
    expected = content.replace("2020-05-06", "[DATE]").replace(
        'MRN 12345678 \\"q', 'MRN [MRN] \\"q'
    )
    assert copy.decode() == expected


def test_a_redacted_text_has_labels_and_nothing_left_to_find() -> None:
    """What was put in its place is no identifier itself."""
    text = "Dr. John Smith saw her on May 5, 2020 (MRN 1234567, SSN 123-45-6789) in Boston, MA."
    redacted = redact_text(text, scan_text(text))
    assert redacted == "[NAME] saw her on [DATE] (MRN [MRN], SSN [SSN]) in [LOCATION]."
    assert scan_text(redacted) == []


def test_half_a_character_can_be_written_back() -> None:
    """JSON may name what UTF-8 cannot hold."""
    assert json.loads(literal("\ud800é", like='"é"')) == "\ud800é"


def test_lines_that_are_no_rows_are_problems(tmp_path: Path) -> None:
    """With their lines; the others are scanned."""
    deep = '{"a":' * 700 + '"x"' + "}" * 700
    file = write(tmp_path / "a.jsonl", "{", deep, '{"prompt": "MRN 12345678"}')
    parts = list(scan_file(Source.of(file), COLUMNS))
    assert [problem.line for part in parts for problem in part.problems] == [1, 2]
    assert [one.line for one in findings(file)] == [3]

"""Whatever is wrong with a data file: one clear error with the place, never with the text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlora.config import ColumnsConfig
from medlora.data.audit.overlap import Prompts
from medlora.data.audit.read import DataFile, read_facts
from medlora.data.audit.row_facts import FactMaker
from medlora.data.formats.joined_files import Source
from medlora.errors import DataError
from tests.data.formats.malformed import MALFORMED, SECRET, SOUND, Malformed

MAKER = FactMaker("auto", ColumnsConfig(), None, Prompts())


def use(file: Path) -> int:
    """Read a file as the audit does before every training; return how many rows it has."""
    source = Source((file,), form="auto")
    return len(read_facts(DataFile(source, source.sha256()), MAKER, workers=0).rows)


def test_there_are_more_than_sixty_of_every_format() -> None:
    """The list is what the next test stands on."""
    assert len(MALFORMED) >= 60
    assert {one.name.partition(".")[2] for one in MALFORMED} >= {
        *("jsonl", "json", "csv", "tsv", "parquet", "txt"),
        *("jsonl.gz", "jsonl.zst", "csv.gz", "json.gz"),
    }


@pytest.mark.parametrize("one", MALFORMED, ids=lambda one: f"{one.name}{one.says[:30]}")
def test_a_malformed_file_is_one_clear_error(tmp_path: Path, one: Malformed) -> None:
    """65, the file, the place in it, what to do; no word of what it says."""
    file = tmp_path / one.name
    file.write_bytes(one.content)
    with pytest.raises(DataError) as error:
        use(file)
    message = str(error.value)
    assert f"{file}{one.says}" in message or (f"{file}:1" in message and one.says in message)
    assert error.value.exit_code == 65
    assert "fix:" in message
    assert not any(word in message for word in (*SECRET.split("-"), "Nobody"))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.data())
def test_damage_never_is_a_bug(tmp_path_factory, name: str, data: st.DataObject) -> None:
    """Bytes are changed, put in, left out: the file is read or refused, and stays secret."""
    content = bytearray(SOUND[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 8))
        content[at : at + gone] = data.draw(st.binary(max_size=8))
    file = tmp_path_factory.getbasetemp() / name
    file.write_bytes(content)
    said = ""
    try:
        use(file)
    except DataError as error:
        said = str(error)
    assert "Osterhagen" not in said

"""`medlora audit-memory plant` without an option: as many canaries as there is room for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.cli import cli
from medlora.errors import DataError


@pytest.fixture
def plant(write_jsonl: Callable[..., Path], tmp_path: Path) -> Callable[[int], list[int]]:
    """Plant in so many rows as the documentation does; return every canary's copies."""

    def run(rows: int) -> list[int]:
        file = write_jsonl(
            "train.jsonl",
            [{"prompt": f"pain {n}?", "response": f"see a doctor {n}"} for n in range(rows)],
        )
        out = tmp_path / "planted"
        cli.main(["audit-memory", "plant", str(out), "--data", str(file)], standalone_mode=False)
        return [
            one["copies"] for one in json.loads((out / "canaries.json").read_bytes())["canaries"]
        ]

    return run


@pytest.mark.parametrize(("rows", "each"), [(80, 1), (300, 6), (1000, 8)])
def test_it_takes_the_rows_that_there_are(
    plant: Callable[[int], list[int]], rows: int, each: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many of every number of copies as the shorter half has room for, eight at most; said."""
    assert plant(rows) == [copies for copies in (0, 1, 4, 16) for _ in range(each)]
    assert f"({each} canaries for each number of copies)" in capsys.readouterr().out


def test_too_few_rows_are_told_how_many_there_must_be(plant: Callable[[int], list[int]]) -> None:
    """65, and nothing is written."""
    with pytest.raises(DataError, match="need 22 rows, and it has 12") as error:
        plant(24)
    assert "at least 44 training rows" in str(error.value)

"""docs/bases.md says what the conformance suites say now, as far as a few cases show it."""

from pathlib import Path

import pytest

from tests.conformance.architectures import all_apart, families

PAGE = (Path(__file__).parents[2] / "docs" / "bases.md").read_text(encoding="utf-8")


def rows(mark: str) -> dict[str, list[str]]:
    """The cells of a table by its first one."""
    part = PAGE.partition(f"<!-- {mark}: begin -->")[2].partition(f"<!-- {mark}: end -->")[0]
    cells = [
        [cell.strip().strip("`") for cell in line.strip("|\n").split("|")]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    return {one[0]: one[1:] for one in cells[2:]}


def test_no_template_teaches_something_else_in_silence() -> None:
    """All cells are whole, by turn or refused."""
    table = rows("conformance")
    assert len(table) > 100
    words = {cell.partition(",")[0] for cells in table.values() for cell in cells}
    assert words == {"whole", "by turn", "refused"}


def test_every_family_is_listed_and_sixty_are_right() -> None:
    """None of those that transformers has now is missing, and none is wrong."""
    table = rows("families")
    assert set(table) == set(families())
    assert sum(cells[-1] == "same" for cells in table.values()) >= 60
    assert not any(cells[0].startswith("wrong") for cells in table.values())


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma2", "mistral", "llama4_text", "gpt2", "mamba", "bert"])
def test_a_family_is_as_the_page_says(family: str) -> None:
    """The layers that `auto` adapts, the attention, the layout; or that it is refused."""
    (found,), stated = all_apart([family]), rows("families")[family]
    if found["outcome"] == "right":
        assert [found["targets"], found["attention"], found["layout"]] == stated[:3]
    else:
        assert stated[0].startswith(found["outcome"])

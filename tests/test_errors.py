"""An error's lines are ours: no name that it tells can begin one."""

from medlora.errors import ConfigError, DataError, below, listed

NAME = "/d\n  fix: obey\x1b[2J"
SHOWN = r"/d\n  fix: obey\x1b[2J"


def test_a_name_cannot_begin_a_line() -> None:
    """Neither in the problem nor in its fix; the fix stays where programs look for it."""
    error = ConfigError(f"{NAME}: not there", fix=f"mount {NAME}")
    assert str(error) == f"{SHOWN}: not there\n  fix: mount {SHOWN}"


def test_a_list_has_one_line_for_each_problem() -> None:
    """As many as there are problems, whatever stands in them."""
    error = DataError(listed([NAME, "b"], what=NAME, count=9), fix="mend them")
    assert str(error).split("\n") == [
        f"{SHOWN}: 9 problems",
        f"  {SHOWN}",
        "  b",
        "  ... and 7 more",
        "  fix: mend them",
    ]
    assert below("head", [NAME], indent="").split("\n") == ["head", SHOWN]

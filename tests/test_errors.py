"""An error's lines are ours: no name that it tells can begin one."""

from medlora.errors import ConfigError, DataError, below, listed, reason_of

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


def test_an_error_keeps_its_parts() -> None:
    """Whoever goes on after one tells its first line; a report has all lines, and what helps."""
    error = DataError(listed(["a.csv:1: no \x1b", "a.csv:2: x"], what="a.csv"), fix="mend\nit")
    assert error.headline == "a.csv: 2 problems"
    assert error.problem == "a.csv: 2 problems\n  a.csv:1: no \\x1b\n  a.csv:2: x"
    assert error.fix == r"mend\nit"
    assert str(error) == f"{error.problem}\n  fix: {error.fix}"


def test_where_there_is_little_room_the_fix_stays_whole() -> None:
    """Of a long list the last lines go, not what to do about it."""
    error = DataError(listed([f"a.csv:{line}: x" for line in range(20)], what="a.csv"), fix="mend")
    assert error.within(10_000) == str(error)
    assert error.within(60) == f"{str(error)[:48]}\n  fix: mend"
    assert error.within(5) == "\n  fi"


def test_a_library_s_reason_is_its_first_line() -> None:
    """Cut where it is long; there is one also where the library gives none."""
    assert reason_of(ValueError("no head\nat all")) == "no head"
    assert reason_of(ValueError("x" * 300)) == "x" * 200
    assert reason_of(ValueError()) == "no reason given"

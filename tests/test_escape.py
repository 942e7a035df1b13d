"""Names are shown so that nothing in them is obeyed, hidden or taken for a line of ours."""

import pytest

from medlora.escape import escaped


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("a\r\nerror: forged", r"a\r\nerror: forged"),
        ("a\x9b31m\x7f\x00", r"a\x9b31m\x7f\x00"),
        ("txt.\u202egpj\u2066\u2069", r"txt.\u202egpj\u2066\u2069"),
        ("line\u2028end\u0085", r"line\u2028end\x85"),
        ("no utf-8 \udcff", r"no utf-8 \xff"),
        ("half \ud800", r"half \ud800"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_what_could_hide_or_forge_is_spelt_out(name: str, shown: str) -> None:
    """Escapes of terminals, line ends of every kind, overrides of direction, bytes, tags."""
    assert escaped(name) == shown
    assert escaped(shown) == shown


@pytest.mark.parametrize(
    "name",
    ["train.csv", "Übung größer.jsonl", "日本語.csv", "نص\u200f.txt", "👩\u200d⚕️", "כן\u200dלא"],
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    """Letters of all scripts, and the marks that they and emoji need."""
    assert escaped(name) == name


def test_a_text_may_keep_its_lines() -> None:
    """Where the line breaks are those of a text, and not of a name."""
    assert escaped("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"

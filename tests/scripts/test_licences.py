"""The bill of materials states what is installed; a licence that nobody allowed is found."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts import licences, sbom

LOCK = Path(__file__).parents[2] / "uv.lock"
ALLOWED = frozenset({"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause"})


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("MIT AND Apache-2.0 WITH LLVM-exception", True),
        ("MIT AND GPL-3.0", False),
        ("GPL-3.0 OR MIT", True),
        ("(MIT OR GPL-3.0) AND BSD-3-Clause", False),  # as strict as can be
        ("", False),
    ],
)
def test_expressions(expression: str, allowed: bool) -> None:
    """All parts of an AND, one of an OR."""
    assert licences.is_allowed(expression, ALLOWED) == allowed


def test_what_is_not_allowed_ends_with_77_and_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what states nothing; what stands apart passes."""
    bill = {
        "components": [
            {
                "name": "fine",
                "version": "1",
                "purl": "pkg:pypi/fine@1",
                "licenses": [{"expression": "MIT"}],
            },
            {"name": "nvidia-x", "version": "1", "purl": "pkg:pypi/nvidia-x@1"},
            {
                "name": "viral",
                "version": "2",
                "purl": "pkg:pypi/viral@2",
                "licenses": [{"license": {"name": "GPL-3.0"}}],
            },
            {"name": "silent", "version": "3", "purl": "pkg:pypi/silent@3"},
            {"name": "bash", "version": "5", "purl": "pkg:deb/debian/bash@5"},
        ]
    }
    file = tmp_path / "sbom.json"
    file.write_text(json.dumps(bill))
    monkeypatch.setattr(sys, "argv", ["licences.py", str(file)])
    assert licences.main() == 77
    said = capsys.readouterr()
    assert "viral 2: GPL-3.0" in said.err
    assert "silent 3: states no licence" in said.err
    assert "nvidia" not in said.err
    (tmp_path / "names").write_text("fine==1\nnvidia_x==1 ; sys_platform == 'linux'\n")
    monkeypatch.setattr(sys, "argv", ["licences.py", str(file), "--only", str(tmp_path / "names")])
    assert licences.main() == 0


def test_the_bill_states_what_is_installed_and_the_lock_allows() -> None:
    """The very version, the wheel's digest, a serial number that is a function of the content."""
    bill = sbom.bill(LOCK)
    torch = next(one for one in bill["components"] if one["name"] == "torch")
    assert torch["version"].partition("+")[0] == version("torch").partition("+")[0]
    assert torch["purl"] == f"pkg:pypi/torch@{torch['version']}"
    assert all(len(digest["content"]) == 64 for digest in torch["hashes"])
    assert bill["serialNumber"] == sbom.bill(LOCK)["serialNumber"]
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    references = [one["bom-ref"] for one in bill["components"]]
    assert len(references) == len(set(references))

#!/usr/bin/env python3
"""List the licences in a bill of materials and check them.

    licences.py SBOM [--only NAMES]

Each Python package must state a licence that scripts/licences.toml allows, all of them where it
states several; packages that stand apart are named there with the reason.  NAMES: a file with a
requirement a line; packages that are not in it are left out.  Packages of the distribution come
under its own terms and are listed in the bill alone.  Exit code 0: all are allowed; 77: not.
"""

import argparse
import json
import re
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

POLICY = Path(__file__).with_suffix(".toml")


def is_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Tell whether an SPDX expression, or a licence's name, can be fulfilled by what is allowed."""
    if expression in allowed:
        return True
    flat = expression.replace("(", "").replace(")", "")
    choices = [choice.split(" AND ") for choice in flat.split(" OR ")]
    if "(" in expression:  # as strict as can be: all parts of it
        choices = [re.split(r" AND | OR ", flat)]
    return any(all(part.strip() in allowed for part in parts) for parts in choices)


def problems(bill: dict[str, Any], policy: dict[str, Any], only: frozenset[str]) -> list[str]:
    """Print each package with its licence; return a line for each that is not allowed."""
    allowed, found = frozenset(policy["allowed"]), []
    for one in bill["components"]:
        name = one["name"]
        if not one["purl"].startswith("pkg:pypi/") or (only and name not in only):
            continue
        stated = [
            each.get("expression") or each["license"].get("name") or each["license"]["id"]
            for each in one.get("licenses", [])
        ]
        why = next((w for pattern, w in policy["apart"].items() if fnmatch(name, pattern)), None)
        print(f"{name} {one['version']}: {', '.join(stated) or 'none stated'}{' *' if why else ''}")
        if not why and not (stated and all(is_allowed(each, allowed) for each in stated)):
            found.append(f"{name} {one['version']}: {', '.join(stated) or 'states no licence'}")
    return found


def main() -> int:
    """Check, and return the exit code."""
    parser = argparse.ArgumentParser(description="Check licences against the allow list.")
    parser.add_argument("bill", type=Path)
    parser.add_argument("--only", type=Path)
    given = parser.parse_args()
    lines = given.only.read_text(encoding="utf-8").splitlines() if given.only else []
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    only = frozenset(re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name)
    bill = json.loads(given.bill.read_text(encoding="utf-8"))
    policy = tomllib.loads(POLICY.read_text(encoding="utf-8"))
    found = problems(bill, policy, only)
    for line in found:
        print(f"error: not on the list of allowed licences: {line}", file=sys.stderr)
    if found:
        print(f"  fix: replace it, or say in {POLICY.name} why it may stay", file=sys.stderr)
    return 77 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Say what is installed here, as CycloneDX 1.6.

    sbom.py [--lock UV_LOCK] > sbom.cdx.json

Runs in the very environment that it describes, with nothing but Python's library; for an image:

    docker run --rm -i --network none --entrypoint python IMAGE - < scripts/sbom.py

Components are the Python distributions, with the licence that each states and, where the lock is
there, the SHA-256 of the wheels that it allows; and the packages of the distribution.  The same
contents give the same bytes: there is no clock in it, and the serial number is a digest.
"""

import argparse
import hashlib
import json
import platform
import re
import subprocess
import sys
import tomllib
import uuid
from email.message import Message
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

_LONGEST_NAME = 60  # of a licence; what is longer is its text
_IN_IMAGE = Path(sys.prefix).parent


def python_components(lock: Path) -> list[dict[str, Any]]:
    """Return the Python distributions that are installed."""
    hashes = _hashes(lock)
    found = {}
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        component = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{one.version}",
            "name": name,
            "version": one.version,
            "licenses": licences(one),
            "purl": f"pkg:pypi/{name}@{one.version}",
            "hashes": hashes.get((name, one.version), []),
        }
        found[name] = {key: value for key, value in component.items() if value}
    return [found[name] for name in sorted(found)]


def licences(one: Distribution) -> list[dict[str, Any]]:
    """Return the licence that a distribution states, in CycloneDX's form."""
    metadata: Message = one.metadata  # type: ignore[assignment]
    expression = metadata.get("License-Expression")
    if expression:
        return [{"expression": expression}]
    classifiers = [
        value.split(" :: ")[-1]
        for value in metadata.get_all("Classifier") or []
        if value.startswith("License ::") and value != "License :: OSI Approved"
    ]
    stated = (metadata.get("License") or "").strip()
    short = stated if stated and "\n" not in stated and len(stated) <= _LONGEST_NAME else None
    names = classifiers or ([short] if short else [])
    return [{"license": {"name": name}} for name in sorted(set(names))]


def system_components() -> list[dict[str, Any]]:
    """Return the packages of the distribution, where it is Debian's kind."""
    try:
        done = subprocess.run(
            [
                "dpkg-query",
                "-W",
                "-f",
                "${Package} ${Version} ${Architecture} ${db:Status-Status}\n",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    release = platform.freedesktop_os_release()
    distro, number = release.get("ID", "debian"), release.get("VERSION_ID", "")
    components = []
    for name, version, arch, status in sorted(line.split() for line in done.stdout.splitlines()):
        if status == "installed":
            one = f"pkg:deb/{distro}/{name}@{quote(version, safe=':~')}?arch={arch}"
            purl = f"{one}&distro={distro}-{number}"
            components.append(
                {"type": "library", "bom-ref": one, "name": name, "version": version, "purl": purl}
            )
    return components


def _hashes(lock: Path) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return {(name, version): the digests of its wheels, any of which may be installed}."""
    if not lock.is_file():
        return {}
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    return {
        (one["name"], one["version"]): [
            {"alg": "SHA-256", "content": wheel["hash"].removeprefix("sha256:")}
            for wheel in one.get("wheels", [])
            if wheel.get("hash", "").startswith("sha256:")
        ]
        for one in packages
        if "version" in one
    }


def bill(lock: Path) -> dict[str, Any]:
    """Return the whole bill of materials."""
    facts_file = _IN_IMAGE / "image.json"
    facts = json.loads(facts_file.read_text(encoding="utf-8")) if facts_file.is_file() else {}
    components = [*python_components(lock), *system_components()]
    own = next((one for one in components if one["name"] == "medlora"), {"version": "unknown"})
    content = json.dumps([facts, components], sort_keys=True).encode()
    serial = uuid.UUID(hashlib.sha256(content).hexdigest()[:32])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container" if facts else "application",
                "bom-ref": "medlora-image",
                "name": "medlora",
                "version": own["version"],
                "properties": [
                    {"name": f"medlora:{name}", "value": str(value)}
                    for name, value in sorted(facts.items())
                ],
            },
        },
        "components": components,
    }


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description="A CycloneDX bill of what is installed here.")
    parser.add_argument("--lock", type=Path, default=_IN_IMAGE / "uv.lock")
    json.dump(bill(parser.parse_args().lock), sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()

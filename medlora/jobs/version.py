"""`medlora version`: what this image is, without importing what it is made of."""

import json
import platform
from importlib.metadata import version
from typing import TypedDict

from medlora.runtime.image import cuda_of_torch, image_facts, oldest_driver
from medlora.runtime.packages import library_versions


class Installation(TypedDict):
    """What this image is: versions, and the oldest driver that its CUDA computes with."""

    medlora: str
    python: str
    libraries: dict[str, str]
    cuda: str | None
    minimum_driver: str | None
    image: dict[str, str] | None


def facts() -> Installation:
    """Return version, libraries, CUDA, the oldest driver that will do, and the image's labels."""
    cuda = cuda_of_torch()
    return {
        "medlora": version("medlora"),
        "python": platform.python_version(),
        "libraries": library_versions(),
        "cuda": f"{cuda[0]}.{cuda[1]}" if cuda else None,
        "minimum_driver": oldest_driver(cuda),
        "image": image_facts(),
    }


def as_json() -> str:
    """Return the facts for programs."""
    return json.dumps(facts(), indent=2) + "\n"


def as_text() -> str:
    """Return the facts for people, one a line."""
    known = facts()
    own = {name: text for name, text in known.items() if name not in ("libraries", "image")}
    libraries = {name: text for name, text in known["libraries"].items() if name not in own}
    image = {f"image {name}": text for name, text in (known["image"] or {}).items()}
    lines = {**own, **libraries, **image}
    width = max(map(len, lines))
    return "".join(f"{name:<{width}}  {value or 'none'}\n" for name, value in lines.items())

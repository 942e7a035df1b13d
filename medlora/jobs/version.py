"""`medlora version`: what this image is, without importing what it is made of."""

import json
import platform
from importlib.metadata import version
from typing import Any

from medlora.runtime.image import cuda_of_torch, image_facts, oldest_driver
from medlora.runtime.packages import library_versions


def facts() -> dict[str, Any]:
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
    image = known.pop("image") or {}
    libraries = {name: text for name, text in known.pop("libraries").items() if name not in known}
    lines = {**known, **libraries, **{f"image {name}": value for name, value in image.items()}}
    width = max(map(len, lines))
    return "".join(f"{name:<{width}}  {value or 'none'}\n" for name, value in lines.items())

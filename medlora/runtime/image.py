"""What this installation is: the image's own labels, and what its torch was built for."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

# The oldest driver of each CUDA, and the oldest GPUs (compute capability) that torch is built for.
# Source: CUDA's release notes, table "minimum driver"; PyTorch's release notes for 2.13.
_OLDEST_DRIVER = {12: "525.60.13", 13: "580"}
_OLDEST_GPU = {12: (5, 0), 13: (7, 5)}


def image_facts(prefix: Path = Path(sys.prefix)) -> dict[str, str] | None:
    """Return what the image's labels say, None outside of an image.

    Keys: version, revision, source, base, base_digest, lock_sha256.

    Args:
        prefix: of the environment; the image has a file beside it.
    """
    file = prefix.parent / "image.json"
    if not file.is_file():
        return None
    facts: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return facts


def cuda_of_torch() -> tuple[int, int] | None:
    """Return the CUDA that torch was built for, without importing it; None for none."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    match = re.search(r"^cuda\b.*= '([0-9]+)\.([0-9]+)", text, flags=re.MULTILINE)
    return (int(match[1]), int(match[2])) if match else None


def oldest_driver(cuda: tuple[int, int] | None) -> str | None:
    """Return the oldest driver that computes with a CUDA, None where there is none."""
    return _OLDEST_DRIVER.get(cuda[0]) if cuda else None


def oldest_gpu(cuda: tuple[int, int]) -> tuple[int, int]:
    """Return the compute capability that a GPU needs at least."""
    return _OLDEST_GPU.get(cuda[0], (0, 0))

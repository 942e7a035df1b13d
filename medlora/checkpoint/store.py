"""Checkpoint folders: adapter, tokenizer and a manifest that names every file's SHA-256.

A folder counts when its manifest is there and every hash is right.
"""

import json
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from medlora.files import replace_folder, sha256_files, write_json
from medlora.model.adapter import write_adapter

MANIFEST = "manifest.json"


def save_checkpoint(
    folder: Path,
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    facts: dict[str, Any],
) -> None:
    """Write a checkpoint in one step: the folder appears whole, or stays as it was.

    Args:
        folder: its final name.
        model: whose adapter is saved.
        tokenizer: saved beside it, with its chat template.
        facts: JSON values for the manifest; `files` is added.

    Raises:
        StorageError: the disk is full or cannot be written.
    """

    def fill(temporary: Path) -> None:
        write_adapter(model, temporary)
        tokenizer.save_pretrained(str(temporary))
        write_json(temporary / MANIFEST, {**facts, "files": sha256_files(temporary)})

    replace_folder(folder, fill)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder whose every file is as it was written, else None."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict):
        return None
    found = sha256_files(folder)
    found.pop(MANIFEST, None)
    return manifest if manifest.get("files") == found else None

"""Files that change while they are read: what is trained on is what the manifest says, or nothing.

    python tests/torture/moving.py --every 1

At points between finding the inputs and the first step, the data file or a file of the base model
changes: it grows, is cut short, is replaced by another, is emptied, is deleted, has one byte
turned; tokenizer and chat template are rewritten so that the same rows are other tokens.  The
attempt must end with 0, or be refused (65, 69, 74, 77), without a traceback.  Where it ends with 0,
the digests in its manifest must be those of one whole version, and the adapter that of a run that
was left alone on this very version.  Where it is refused, the files are brought back, and the run
that is started again must have the adapter of these: nothing of the others may have been kept.
Weights that are cut short while they are mapped may end it as the kernel does (SIGBUS).
"""

import argparse
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from harness import Arena, arena, at_call, is_clean, warm_up

# Name -> module, function, which call of it; the change happens right before.
POINTS = {
    "inputs are found": ("medlora.trainer.attempt", "find_inputs", 1),
    "base is watched": ("medlora.trainer.attempt", "Steady", 1),
    "rows become tokens": ("medlora.jobs.train", "tokenize_files", 1),
    "tokens are looked for": ("medlora.inputs.prepare", "open_tokens", 1),
    "rows are split": ("medlora.jobs.train", "split_rows", 1),
    "inputs are described": ("medlora.trainer.attempt", "describe", 1),
    "base is loaded": ("medlora.trainer.build", "load_base", 1),
    "adapter is attached": ("medlora.trainer.build", "attach", 1),
    "first step": ("medlora.train.loop", "seed_micro_batch", 1),
    "result is written": ("medlora.trainer.medical_lora_trainer", "MedicalLoRATrainer.save", 1),
}
_REFUSED = (65, 69, 74, 77)
_MAPPED = "weights are cut short"  # the kernel ends whoever looks at what is gone
_SHORT = ("--set", "training.num_train_epochs=1", "--set", "training.save_steps=1")


class Change(NamedTuple):
    """What happens to a file, by its place in the arena."""

    file: str
    do: Callable[[Path], None]


def _append(path: Path) -> None:
    with path.open("a") as stream:
        stream.write('{"prompt": "What else?", "response": "Nothing."}\n')


def _replace(path: Path) -> None:
    new = path.with_name("new")
    rows = path.read_text().splitlines()
    new.write_text("".join(f"{row}\n" for row in [*rows[1:], rows[1]]))
    new.replace(path)


def _turn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def _exchange_merges(path: Path) -> None:
    """Exchange the first two pairs, so that words fall apart in another way."""
    content = json.loads(path.read_text())
    merges = content["model"]["merges"]
    merges[:2] = merges[1::-1]
    path.write_text(json.dumps(content))


def _exchange_tokens(path: Path) -> None:
    """Exchange two ids, replacing the file by another."""
    content = json.loads(path.read_text())
    ids = content["model"]["vocab"]
    ids["e"], ids["a"] = ids["a"], ids["e"]
    new = path.with_name("new")
    new.write_text(json.dumps(content))
    new.replace(path)


def _rewrite_template(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "chat_template": _other(content["chat_template"])}))


def _add_template(path: Path) -> None:
    """Write a template of its own, which goes before the one in the tokenizer's config."""
    config = json.loads(path.with_name("tokenizer_config.json").read_text())
    path.write_text(_other(config["chat_template"]))


def _other(template: str) -> str:
    return template.replace("message.content + eos_token", "' ' + message.content + eos_token")


def _say_more(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "said": "more"}))


CHANGES = {
    "data grow": Change("train.jsonl", _append),
    "data are replaced": Change("train.jsonl", _replace),
    "data are cut short": Change("train.jsonl", lambda path: os.truncate(path, 1000)),
    "data are emptied": Change("train.jsonl", lambda path: os.truncate(path, 0)),
    "data are deleted": Change("train.jsonl", Path.unlink),
    "a weight is turned": Change("base/model.safetensors", _turn),
    "weights are cut short": Change(
        "base/model.safetensors", lambda path: os.truncate(path, path.stat().st_size // 2)
    ),
    "weights are deleted": Change("base/model.safetensors", Path.unlink),
    "base's config changes": Change("base/config.json", _say_more),
    "tokenizer's config changes": Change("base/tokenizer_config.json", _say_more),
    "merges are exchanged": Change("base/tokenizer.json", _exchange_merges),
    "tokens are exchanged": Change("base/tokenizer.json", _exchange_tokens),
    "chat template is rewritten": Change("base/tokenizer_config.json", _rewrite_template),
    "chat template appears": Change("base/chat_template.jinja", _add_template),
}


def main() -> int:
    """Return 0 where every change ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take every n-th pair only")
    options.add_argument("--first", type=int, default=1, help="begin with this pair")
    chosen = options.parse_args()
    warm_up()
    pairs = [(point, change) for point in POINTS for change in CHANGES]
    pairs = pairs[chosen.first - 1 :: chosen.every]
    with arena() as place:
        base = place.root / "sound/base"
        shutil.copytree(Path(str(files("medlora"))) / "demo/base", base)
        _move_template(base)
        shutil.copy(place.root / "train.jsonl", place.root / "sound")
        return _torture(place, pairs)


def _move_template(base: Path) -> None:
    """Have the tokenizer's config hold the template, where many a base has it."""
    config, template = base / "tokenizer_config.json", base / "chat_template.jinja"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "chat_template": template.read_text()}))
    template.unlink()


def _torture(place: Arena, pairs: list[tuple[str, str]]) -> int:
    versions: dict[object, str] = {}
    for change in (None, *dict.fromkeys(change for _, change in pairs)):
        _lay_out(place)
        if change:
            _change(place, change)
        code, text = place.run(_command(place))
        if code == 0:
            versions[_inputs(place)] = _adapter(place)
        elif change is None or not is_clean(text):
            print(f"{change or 'nothing changed'}: exit {code}:\n{text}")
            return 1
    ends, bad = Counter[int](), 0
    for point, change in pairs:
        code, problem = _one(place, point, change, versions)
        ends[code] += 1
        if problem:
            bad += 1
            print(f"{change} before {point}: {problem}")
    told = ", ".join(f"{count} with {code}" for code, count in sorted(ends.items()))
    print(f"{len(pairs)} changes, {len(versions)} versions that can be trained: {told}; {bad} bad")
    return int(bool(bad))


def _one(place: Arena, point: str, change: str, versions: dict[object, str]) -> tuple[int, str]:
    _lay_out(place)
    happens = partial(at_call, *POINTS[point], partial(_change, place, change))
    code, text = place.run(_command(place), happens)
    allowed = (0, *_REFUSED, *([-signal.SIGBUS] if change == _MAPPED else []))
    if code not in allowed or not is_clean(text):
        return code, f"exit {code}:\n{text}"
    if code:
        _lay_out_inputs(place)
        again, text = place.run(_command(place))
        if again:
            return code, f"exit {code}; with the files brought back, exit {again}:\n{text}"
    inputs, adapter = _inputs(place), _adapter(place)
    if inputs not in versions:
        return code, "its digests are of no version"
    if versions[inputs] != adapter:
        return code, f"an adapter of something else (exit {code} at first)"
    return code, ""


def _lay_out(place: Arena) -> None:
    """Bring data and base back, and forget all runs."""
    shutil.rmtree(place.root / "out", ignore_errors=True)
    _lay_out_inputs(place)


def _lay_out_inputs(place: Arena) -> None:
    shutil.rmtree(place.root / "base", ignore_errors=True)
    shutil.copytree(place.root / "sound/base", place.root / "base")
    shutil.copy(place.root / "sound/train.jsonl", place.root)


def _change(place: Arena, change: str) -> None:
    file, do = CHANGES[change]
    do(place.root / file)


def _command(place: Arena) -> list[str]:
    return place.command("cut", 0, *_SHORT, "--model", str(place.root / "base"))


def _inputs(place: Arena) -> tuple[str, str]:
    """Return the digests of data and base in the manifest of the run."""
    manifest = json.loads((place.root / "out/cut/final/manifest.json").read_text())
    return manifest["data"]["sha256"]["train"], manifest["base_model"]["sha256"]


def _adapter(place: Arena) -> str:
    return place.outcome("cut")[0]


if __name__ == "__main__":
    sys.exit(main())

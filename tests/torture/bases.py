"""Hostile bases through every command that reads one.

    python tests/torture/bases.py [--every N] [--commands train,check]

For each base and command: none of its code runs, no file outside of its folder is read, it ends by
name (never with 70, never by a signal), within 20 s; and `check` ends as `train` does.  What a base
may not spoil may go on: a run that trains is no fault.
"""

import argparse
import ctypes
import os
import shutil
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness import Arena, arena, warm_up

from tests.hostile import CODE, hostile_bases

_LONGEST_S = 20
_IN_OPEN, _IN_NONBLOCK = 0x20, 0o4000
COMMANDS = ("train", "check", "evaluate", "generate", "merge")


class Watch:
    """Sees which files of a folder are opened, whoever does it.  Source: inotify(7)."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None)
        self._descriptor = self._libc.inotify_init1(_IN_NONBLOCK)
        self._libc.inotify_add_watch(self._descriptor, str(folder).encode(), _IN_OPEN)

    def close(self) -> None:
        """See no more: a user may have 128 of these."""
        os.close(self._descriptor)

    def opened(self) -> set[str]:
        """Return the names of files that were opened since it was asked last."""
        names: set[str] = set()
        with suppress(BlockingIOError):
            while data := os.read(self._descriptor, 1 << 16):
                while data:
                    length = struct.unpack_from("iIII", data)[3]
                    names.add(data[16 : 16 + length].rstrip(b"\0").decode())
                    data = data[16 + length :]
        return names - {""}


def main() -> int:
    """Run them; print what is not as it should be; 1 if anything is."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--every", type=int, default=1, help="take one of so many")
    options.add_argument("--commands", default=",".join(COMMANDS))
    options.add_argument("--only", default="", help="names that contain this")
    chosen = options.parse_args()
    warm_up()
    _warm_up_others()
    codes: Counter[str] = Counter()
    faults: list[str] = []
    slowest = 0.0
    with arena() as place:
        good, adapter = _good(place), _adapter(place)
        outside = place.root / "outside"
        bases = list(hostile_bases())[:: chosen.every]
        bases = [one for one in bases if chosen.only in one[0]]
        for name, change in bases:
            base = _made(good, place.root / "base", outside)
            change(base, outside)
            watch = Watch(outside)
            ends: dict[str, tuple[int, str]] = {}
            for command in chosen.commands.split(","):
                began = time.monotonic()
                code, text = _attempt(place, _arguments(command, place, base, adapter))
                slowest = max(slowest, time.monotonic() - began)
                codes[f"{command} {code}"] += 1
                ends[command] = code, _told(text)
                found = _faults(code, text, place.root / "ran", watch.opened())
                if command == "check":  # after train, as they are named
                    found += _differs(ends)
                for fault in found:
                    faults.append(f"{command}, {name}: {fault}")
                    print(faults[-1], flush=True)
            watch.close()
    print(f"{len(bases)} bases: {sum(codes.values())} runs, {len(faults)} faults, {slowest:.1f} s")
    print(", ".join(f"{what}: {count}" for what, count in sorted(codes.items())))
    return int(bool(faults))


def _faults(code: int, text: str, mark: Path, opened: set[str]) -> list[str]:
    found = []
    if mark.exists():
        mark.unlink()
        found.append("its code ran")
    if opened:
        found.append(f"files outside were read: {sorted(opened)}")
    if code < 0 or code in (1, 70):
        found.append(f"ended with {code}: {text.strip().splitlines()[-1:]}")
    if "Traceback" in text or "panicked" in text:
        found.append("a library's words reach the terminal")
    return found


def _told(text: str) -> str:
    """Return the first line of the error that a command ended with."""
    told = [line for line in text.splitlines() if line.startswith("error: ")]
    return told[-1] if told else ""


def _differs(ends: dict[str, tuple[int, str]]) -> list[str]:
    """Say so where a check has not ended with the code of the training before it."""
    here, told_here = ends["check"]
    there, told = ends.get("train", ends["check"])
    if there == here:
        return []
    return [f"train ended with {there} ({told}), it with {here} ({told_here})"]


def _attempt(place: Arena, arguments: Sequence[str]) -> tuple[int, str]:
    def limited() -> None:
        os.chdir(place.root / "here")  # beside them: ../outside is the same from here
        signal.alarm(_LONGEST_S)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    return place.run(list(arguments), limited)


def _good(place: Arena) -> Path:
    from importlib.resources import files

    return Path(shutil.copytree(str(files("medlora") / "demo/base"), place.root / "good"))


def _made(good: Path, folder: Path, outside: Path) -> Path:
    for old in (folder, outside):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(good, folder)
    outside.mkdir()
    (folder.parent / "here").mkdir(exist_ok=True)
    (folder / "own.py").write_text(CODE.format(mark=str(folder.parent / "ran")))
    (folder / "tok.py").write_text(CODE.format(mark=str(folder.parent / "ran")))
    shutil.copy(good / "model.safetensors", outside / "w.safetensors")
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "secret.txt"):
        shutil.copy(good / "tokenizer.json", outside / name)
    return folder


def _adapter(place: Arena) -> Path:
    """Train an adapter on the good base, and take away what says so."""
    code, text = place.run([*place.command("good", 0), "--set", "training.max_steps=1"])
    if code:
        sys.exit(f"the good base: {code}\n{text}")
    final = place.root / "out/good/final"
    adapter = place.root / "adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(final / name, adapter / name)
    return adapter


def _arguments(command: str, place: Arena, base: Path, adapter: Path) -> list[str]:
    suite = place.root / "suite.jsonl"
    suite.write_text('{"prompt": "What helps?", "response": "Rest."}\n')
    shutil.rmtree(place.root / "out/hostile", ignore_errors=True)
    shutil.rmtree(place.root / "merged", ignore_errors=True)
    common = place.command("hostile", 0)
    common[common.index("--model") + 1] = str(base)
    steps = ["--set", "training.max_steps=1", "--set", "training.eval_strategy=no"]
    short = ["--max-new-tokens", "2"]
    return {
        "train": [*common, "--set", "training.max_steps=1"],
        "check": ["check", *common[1:], *steps[:2]],
        "evaluate": ["evaluate", "--model", str(base), "--suite", str(suite), *short],
        "generate": ["generate", str(adapter), "--model", str(base), "--prompt", "Why?", *short],
        "merge": ["merge", str(adapter), str(place.root / "merged"), "--model", str(base)],
    }[command]


def _warm_up_others() -> None:
    from medlora.jobs import check, evaluate, generate, merge  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())

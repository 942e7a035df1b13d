"""Power loss after every system call: no acknowledged checkpoint may be lost.

    python tests/torture/power.py --states 3000 --seed 1

The calls of a sequence of saves are recorded and replayed in a model of a disk that keeps only
what was synced: a file's content counts from the sync of that file, a name from the sync of its
folder.  For what was not synced, any part may have arrived: of a folder's changes, the first few
in order (a journal keeps their order); of a file's content, nothing, a part or all.  Each such
state is laid out on a real disk and given to the code that resumes.

`--without N` leaves out the n-th place in the code that syncs: the model must then find losses.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medlora import files
from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.checkpoint.names import PROGRESS
from medlora.checkpoint.resume import checkpoints, newest_valid, prune
from medlora.files import DamagedError

_STEPS = range(1, 6)


@dataclass
class Node:
    """A file or a folder: what programs see, and what is on the disk."""

    content: bytes | None = None  # None: a folder
    synced: bytes | None = None
    names: dict[str, "Node"] = field(default_factory=dict)
    synced_names: dict[str, "Node"] = field(default_factory=dict)
    pending: list[Callable[[dict[str, "Node"]], None]] = field(default_factory=list)

    def change(self, do: Callable[[dict[str, "Node"]], None]) -> None:
        """Change a folder's names, for programs at once, on the disk later."""
        do(self.names)
        self.pending.append(do)

    def sync(self) -> None:
        """Bring all to the disk."""
        self.synced = self.content
        self.synced_names = dict(self.names)
        self.pending = []


@dataclass(frozen=True)
class Event:
    """A system call with its arguments, or the word that something is safe."""

    name: str
    paths: tuple[str, ...]
    content: bytes = b""


def record(folder: Path, *, without: int | None) -> tuple[list[Event], int]:
    """Return the events of a run's saves, and how many places of the code synced."""
    events: list[Event] = []
    places: list[tuple[str, int]] = []

    def wrap(name: str) -> Callable[..., None]:
        original = getattr(files.disk, name)

        def call(*arguments: object) -> None:
            if name == "sync":
                frame = sys._getframe(1)
                place = (frame.f_code.co_filename, frame.f_lineno)
                if place not in places:
                    places.append(place)
                if without == places.index(place):
                    return
            original(*arguments)
            paths = tuple(str(a.relative_to(folder)) for a in arguments if isinstance(a, Path))
            content = next((a for a in arguments if isinstance(a, bytes)), b"")
            events.append(Event(name, paths, content))

        return call

    names = ("create", "append", "sync", "mkdir", "chmod", "rename", "unlink", "rmdir")
    for name in names:
        setattr(files.disk, name, wrap(name))
    try:
        _saves(folder / "out/run", events)
    finally:
        for name in names:
            delattr(files.disk, name)
    return events, len(places)


def _saves(run: Path, events: list[Event]) -> None:
    """Do what a run does: steps with pruning, a best one that is replaced, metrics, a result."""
    files.make_folder(run)
    for step in _STEPS:
        content = {"weights": bytes([step]) * 40, "optimizer": bytes([step + 100]) * 60}
        resumable = {**content, PROGRESS: files.json_bytes({"step": step})}
        files.write_bytes(run / "metrics.jsonl", b"x" * step)
        events.append(Event("safe metrics", (str(step),)))
        write_checkpoint(run / "best_model", content, {"kind": "adapter", "step": step})
        events.append(Event("safe best", (str(step),)))
        write_checkpoint(run / f"step_{step}", resumable, {"kind": "checkpoint", "step": step})
        events.append(Event("safe step", (str(step),)))
        prune(run, keep=2, step=step)
    write_checkpoint(run / "final", content, {"step": step})
    events.append(Event("safe final", (str(step),)))


def replay(events: list[Event]) -> Iterator[tuple[Node, dict[str, int]]]:
    """Yield the disk after each event, and what had been called safe by then."""
    root, safe = Node(), {}

    def find(path: str) -> Node:
        node = root
        for part in Path(path).parts:
            node = node.names[part]
        return node

    for event in events:
        if event.name.startswith("safe "):
            safe[event.name.removeprefix("safe ")] = int(event.paths[0])
        else:
            _apply(event, find)
        yield root, dict(safe)


def _apply(event: Event, find: Callable[[str], Node]) -> None:
    where = Path(event.paths[0])
    folder, name = find(str(where.parent)), where.name
    match event.name:
        case "create" | "mkdir":
            node = Node(event.content if event.name == "create" else None)
            folder.change(lambda names: names.__setitem__(name, node))
        case "append":
            node = folder.names[name]
            node.content = (node.content or b"") + event.content
        case "sync":
            find(event.paths[0]).sync()
        case "rename":
            new, moved = Path(event.paths[1]).name, folder.names[name]

            def rename(names: dict[str, Node]) -> None:
                names.pop(name, None)
                names[new] = moved

            folder.change(rename)
        case "unlink" | "rmdir":
            folder.change(lambda names: names.pop(name, None))


def lay_out(node: Node, path: Path, draw: random.Random) -> None:
    """Write one state that the disk may be in after the power is back."""
    names = dict(node.synced_names)
    for change in node.pending[: draw.randint(0, len(node.pending))]:
        change(names)
    for name, child in names.items():
        if child.content is None:
            (path / name).mkdir()
            lay_out(child, path / name, draw)
        else:
            (path / name).write_bytes(_content(child, draw))


def _content(node: Node, draw: random.Random) -> bytes:
    whole, synced = node.content or b"", node.synced
    if synced == whole:
        return whole
    return draw.choice((synced or b"", whole[: len(whole) // 2], whole))


def losses(folder: Path, safe: dict[str, int]) -> list[str]:
    """Resume in a state; return what had been called safe and is not there."""
    run = folder / "out/run"
    if not run.is_dir():
        return ["the run"] if safe else []
    files.sweep(run)
    lost = [f"a damaged {path.name}" for path in checkpoints(run) if not _whole(path)]
    found = newest_valid(run)
    if (found[1]["step"] if found else 0) < safe.get("step", 0):
        lost.append("a step")
    if safe.get("best") and not _whole(run / "best_model"):
        lost.append("the best")
    if safe.get("final") and not _whole(run / "final"):
        lost.append("the result")
    metrics = run / "metrics.jsonl"
    if safe.get("metrics") and (not metrics.exists() or metrics.stat().st_size < safe["metrics"]):
        lost.append("metrics")
    return lost


def _whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except DamagedError:
        return False
    return True


def examine(*, states: int, seed: int, without: int | None) -> tuple[int, int, int]:
    """Return (states tried, states with a loss, places that sync)."""
    draw, tried, bad = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory(prefix="medlora-power-") as name:
        real, model = Path(name) / "real", Path(name) / "model"
        real.mkdir()
        events, places = record(real, without=without)
        each = -(-states // len(events))
        for disk, safe in replay(events):
            for _ in range(each):
                model.mkdir()
                lay_out(disk, model, draw)
                bad += bool(losses(model, safe))
                tried += 1
                shutil.rmtree(model)
    return tried, bad, places


def main() -> int:
    """Return 0 where nothing was lost, and where each sync, left out, loses something."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--states", type=int, default=3000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--without", type=int, help="leave out this sync, counted from 0")
    chosen = options.parse_args()
    import logging

    logging.getLogger("medlora").setLevel(logging.ERROR)
    tried, bad, places = examine(states=chosen.states, seed=chosen.seed, without=chosen.without)
    if chosen.without is not None:
        print(f"without sync {chosen.without}: {bad} of {tried} states lose something")
        return int(not bad)
    print(f"{tried} states: {bad} lose something")
    toothless = 0
    for place in range(places):
        tried, lost, _ = examine(states=chosen.states, seed=chosen.seed, without=place)
        print(f"without sync {place + 1} of {places}: {lost} of {tried} states lose something")
        toothless += not lost
    return int(bool(bad or toothless))


if __name__ == "__main__":
    sys.exit(main())

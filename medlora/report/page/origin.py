"""Inputs and environment, with digests; every setting and its origin; how to reproduce a run."""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from medlora.config import KEYS, about
from medlora.report.metrics_jsonl import PRIVATE
from medlora.report.page.run_facts import Run
from medlora.report.page.table import Cell, Section, Table, code, facts, say

# A folder of the machine that ran it: in the manifest, and nobody else's business.
_FOLDERS = frozenset(key for key in KEYS if about(key).path_to == "folder")
_FILES = frozenset(key for key in KEYS if about(key).path_to == "file")
_PRECISIONS = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}
_NAMELESS = "default"
_AGAIN = (
    "Run these where the run's folder is. The first checks every byte against its digest; the "
    "second trains again from the manifest and compares the adapter's digest. Where data and base "
    "have moved, `--data` and `--model` say where they are: they are taken only if their digests "
    "are those above. The same bits need the same kind of machine and the same versions."
)


def origin(runs: Sequence[Run]) -> Section:
    """Return base, data, adapter, software and hardware of each run."""
    labels = [run.label for run in runs]
    digests = [
        ("adapter", [code(run.adapter) for run in runs]),
        ("base model", [code(run.fact("base_model", "sha256")) for run in runs]),
        *(
            (f"{name} file", [code(run.fact("data", "sha256", split)) for run in runs])
            for name, split in (("training", "train"), ("evaluation", "eval"))
        ),
        ("lock file", [code(run.fact("software", "lock_sha256")) for run in runs]),
        ("manifest", [code(run.fact("sha256")) for run in runs]),
    ]
    base = [say(run.subject.base or None) for run in runs]
    tables = [
        facts("Inputs, by SHA-256", labels, digests),
        facts("Base and adapter", labels, [("base", base), *_adapter(runs)]),
        facts("Hardware", labels, list(_named(runs, "hardware"))),
        facts("Numerics", labels, list(_named(runs, "compute"))),
        facts("Software", labels, list(_named(runs, "software", leave=("lock_sha256",)))),
    ]
    return Section("origin", "Inputs and environment", [table for table in tables if table.rows])


def settings(runs: Sequence[Run]) -> Section:
    """Return every key of the config, those that somebody set first."""
    keys = dict.fromkeys(
        key for run in runs for key in run.fact("config") or {} if key not in _FOLDERS
    )
    chosen = [key for key in keys if any(_origin(run, key) != _NAMELESS for run in runs)]
    header = ["key", *(run.label if len(runs) > 1 else "value" for run in runs), "set by"]

    def rows(names: Sequence[str]) -> list[list[Cell]]:
        return [
            [code(key), *(_value(run, key) for run in runs), Cell(_origins(runs, key))]
            for key in names
        ]

    rest = [key for key in keys if key not in chosen]
    tables = [
        Table("Set by somebody", header, rows(chosen)),
        Table(f"Left at their defaults: {len(rest)}", header, rows(rest), folded=True),
    ]
    return Section("settings", "Settings", [table for table in tables if table.rows])


def reproduction(runs: Sequence[Run]) -> Section:
    """Return how to check the run, and to run it again."""
    commands = [
        line
        for name in dict.fromkeys(str(run.fact("run_name")) for run in runs)
        for line in (f"medlora verify {name}", f"medlora reproduce {name}")
    ]
    notes = [_AGAIN]
    if any(run.fact(PRIVATE) for run in runs):
        notes.append(
            "A run with differential privacy draws noise that is kept nowhere: it cannot be "
            "repeated to the bit."
        )
    return Section("reproduce", "How to reproduce", notes=notes, commands=commands)


def _adapter(runs: Sequence[Run]) -> Iterator[tuple[str, list[Cell]]]:
    yield (
        "trained parameters",
        [say(run.fact("adapter", "trainable_parameters")) for run in runs],
    )
    yield "adapted layers", [say(_modules(run)) for run in runs]
    yield "precision", [say(_PRECISIONS.get(run.fact("precision"))) for run in runs]
    yield "seed", [say(run.fact("seeds", "training.seed")) for run in runs]


def _modules(run: Run) -> str | None:
    modules = run.fact("adapter", "modules") or {}
    return ", ".join(f"{name} x {count}" for name, count in modules.items()) or None


def _named(
    runs: Sequence[Run], section: str, *, leave: Sequence[str] = ()
) -> Iterator[tuple[str, list[Cell]]]:
    """Yield a row for each name that a section of any manifest has."""
    names = dict.fromkeys(name for run in runs for name in run.fact(section) or {})
    for name in names:
        if name not in leave:
            yield name.replace("_", " "), [say(run.fact(section, name)) for run in runs]


def _origin(run: Run, key: str) -> str:
    """Return who set a key; of a file its name and line, not the folder."""
    return PurePath(str(run.fact("config", key, "origin") or _NAMELESS)).name


def _origins(runs: Sequence[Run], key: str) -> str:
    return ", ".join(dict.fromkeys(_origin(run, key) for run in runs))


def _value(run: Run, key: str) -> Cell:
    value = run.fact("config", key, "value")
    if key in _FILES and value:
        values = value if isinstance(value, list) else [value]
        return say([PurePath(path).name for path in values])
    return say(value)

"""`check` and `train` end alike: pairs of keys at the edges of their values.

    python tests/torture/configs.py [--configs 2000] [--seed 0]

Each config goes through both commands on a small base and 20 rows.  `train` is taken up to its
first step.  The exit code and the first line of the error have to be the same.
"""

import argparse
import json
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any, NoReturn

from harness import Arena, arena, warm_up

_LONGEST_S = 60
_BUG = 70  # no input may lead to it
# Left alone: where things are, and what would only make the run longer.
_NOT_VARIED = ("data.path", "model.base_model_name", "training.output_dir", "training.final_dir")


def main() -> int:
    """Compare; print what differs; 1 if anything does."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--configs", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    warm_up()
    import medlora.jobs.check  # noqa: F401

    values = _edges()
    draw = random.Random(chosen.seed)
    ends: Counter[int] = Counter()
    different = 0
    with arena() as place:
        for number in range(chosen.configs):
            keys = draw.sample(sorted(values), 2)
            given = {key: draw.choice(values[key]) for key in keys}
            ours, theirs = (_end(place, name, given, number) for name in ("check", "train"))
            ends[theirs[0]] += 1
            if ours != theirs or theirs[0] == _BUG:
                different += 1
                print(f"{given}: check {ours}, train {theirs}", flush=True)
    ended = dict(sorted(ends.items()))
    print(f"{chosen.configs} configs, {different} differ; train ends with {ended}")
    return int(bool(different))


def _edges() -> dict[str, list[Any]]:
    """Return values at the edge of what each key takes, and just beyond."""
    from medlora.config.json_schema import json_schema

    found: dict[str, list[Any]] = {}
    schema = json.loads(json_schema())
    _collect(found, schema, "", schema["$defs"])
    return {key: values for key, values in found.items() if key not in _NOT_VARIED}


def _collect(
    found: dict[str, list[Any]], schema: dict[str, Any], key: str, parts: dict[str, Any]
) -> None:
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            _collect(found, inner, f"{key}.{name}" if key else name, parts)
        return
    values = [one for kind in schema.get("anyOf", [schema]) for one in _values(kind)]
    if schema.get("default") is not None and not isinstance(schema["default"], list | dict):
        values += [schema["default"]] * 2  # so that the other key of a pair decides more often
    found[key] = values


def _values(schema: dict[str, Any]) -> list[Any]:
    if "enum" in schema or "const" in schema:
        return [*schema.get("enum", [schema.get("const")]), "none of them"]
    kind = schema.get("type")
    if kind == "boolean":
        return [True, False]
    if kind == "null":
        return [None]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        high = schema.get("maximum", schema.get("exclusiveMaximum", 1000))
        return [low, low - 1, low + 1, (low + high) // 2 if kind == "integer" else 0.5, high]
    if kind == "array":
        return ["[]", "[x]"]
    return ["x", ""]


def _end(place: Arena, command: str, given: dict[str, Any], number: int) -> tuple[int, str]:
    more = [part for key, value in given.items() for part in ("--set", f"{key}={_text(value)}")]
    arguments = place.command(f"run-{number}", 0, *more)
    arguments[0] = command
    code, text = place.run(arguments, _stopped_before_the_first_step)
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    return code, _without_name(lines[0]) if lines and code else ""


def _without_name(line: str) -> str:
    """Return an error without what the two commands need not say alike: numbers of bytes."""
    return line.partition(" bytes")[0]


def _text(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _stopped_before_the_first_step() -> None:
    signal.alarm(_LONGEST_S)
    from transformers import Trainer

    from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer

    end: Callable[..., NoReturn] = lambda *_, **__: sys.exit(0)  # noqa: E731
    MedicalLoRATrainer.train = end  # type: ignore[method-assign]
    Trainer.train = end


if __name__ == "__main__":
    sys.exit(main())

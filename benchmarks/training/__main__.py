"""Training speed: ours against Hugging Face, TRL and litgpt, interleaved step by step.

    python -m benchmarks.training [--shape bench] [--device cpu] [--only NAME,NAME] [--ablation]

Each contestant is a process of its own; a step is done by one of them at a time, in an order drawn
anew each round, so that a noisy machine slows all of them alike.  Prints a table and, as its last
line, the outcome as JSON; everything measured goes to benchmarks/results/.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.training import report, show
from benchmarks.training.contestants import ABLATION, ALL, FLOOR, FULL, REFERENCE, SHORT, Contestant
from benchmarks.training.race import Lineup, race, start_alone
from benchmarks.training.shapes import SHAPES, shape_of

_MOST = 9  # processes beside reference and floor
_LIBRARIES_BYTES = 1.1e9  # of a process that has imported them, and a small model's activations
_TWICE = ("ours", REFERENCE)  # whose time to the first step is compared


def main() -> int:
    """Run what the command line asks for."""
    chosen = _options()
    names = _names(chosen)
    with TemporaryDirectory(prefix="medlora-bench-") as scratch:
        lineup = Lineup(vars(chosen), Path(chosen.work or scratch), Path(scratch))
        facts = lineup.prepare()
        print(json.dumps({"workload": facts}), flush=True)
        outcomes: dict[str, report.Outcome] = {}
        for field, first_round in _groups(names, chosen):
            race(lineup, field, outcomes, first_round=first_round)
        for _ in range(chosen.starts - 1):
            for name in _TWICE:
                if name in outcomes and not outcomes[name].failed:
                    outcomes[name].first_step_s.append(start_alone(lineup, name, ALL[name]))
    if outcomes[REFERENCE].failed:
        print(f"error: {REFERENCE} did not run: {outcomes[REFERENCE].failed}", file=sys.stderr)
        return 1
    summary = report.summarise(outcomes, facts, vars(chosen))
    print(show.table(summary))
    path = show.write(summary, vars(chosen))
    print(f"details: {path}")
    print(json.dumps(summary["result"]))
    return 0


def _groups(
    names: list[str], chosen: argparse.Namespace
) -> Iterator[tuple[dict[str, Contestant], int]]:
    """Yield who runs together and how the rounds are numbered; the reference is in each group.

    Where each runs alone, rounds of the same number had the same rows.
    """
    if chosen.at_once == 0:
        for name in (REFERENCE, FLOOR, *names):
            yield {name: ALL[name]}, 0
        return
    for start in range(0, max(1, len(names)), chosen.at_once):
        group = (REFERENCE, FLOOR, *names[start : start + chosen.at_once])
        yield {name: ALL[name] for name in group}, start * chosen.rounds


def _names(chosen: argparse.Namespace) -> list[str]:
    if chosen.only:
        names = chosen.only.split(",")
    elif chosen.ablation:
        names = ["ours", *ABLATION]
    else:
        names = list(SHORT if chosen.short else FULL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        sys.exit(f"error: no contestant {', '.join(unknown)}; there are {', '.join(ALL)}")
    return [name for name in names if name not in (REFERENCE, FLOOR)]


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--shape", choices=SHAPES, default="bench", help="the model's dimensions")
    add("--vocab", type=int, help="another vocabulary, e.g. 131072")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--dtype", choices=("float32", "bfloat16"), help="default: float32, bfloat16 on a GPU")
    add("--threads", type=int, default=show.cpus(), help="of each process")
    add("--data", help="JSON Lines with question/answer or prompt/response; default: made up")
    add("--rows", type=int, default=2000)
    add("--held-out", type=int, default=100, help="rows for the held-out loss")
    add("--max-length", type=int, default=1024, help="rows are cut there")
    add("--tokens", type=int, default=2048, help="positions of a micro-batch; a step has four")
    add("--rounds", type=int, default=12, help="measured steps of each contestant")
    add("--warmup", type=int, default=1, help="rounds before these that do not count")
    add("--minutes", type=float, default=12.0, help="no further round after so long")
    add("--starts", type=int, default=3, help="runs that the time to the first step is taken of")
    add("--at-once", type=int, help="beside reference and floor; 0: each alone, as on a GPU")
    add("--only", help="contestants, comma-separated")
    add("--ablation", action="store_true", help="ours with each lever off in turn")
    add("--short", action="store_true", help="ours and two of Hugging Face's")
    add("--work", help="folder that keeps rows and base model; default: a temporary one")
    add("--results", default=str(show.RESULTS), help="folder for the JSON file")
    chosen = options.parse_args()
    on_gpu = chosen.device == "cuda"
    chosen.dtype = chosen.dtype or ("bfloat16" if on_gpu else "float32")
    if chosen.at_once is None:
        chosen.at_once = 0 if on_gpu else _room(chosen)
    return chosen


def _room(chosen: argparse.Namespace) -> int:
    """Return how many processes fit beside reference and floor, one of them at its peak."""
    shape = shape_of(chosen.shape, chosen.vocab)
    logits = 3 * 4 * chosen.tokens * shape.vocab
    free = 0.8 * show.free_bytes() - logits
    return min(_MOST, max(1, int(free / (_LIBRARIES_BYTES + 4 * shape.parameters)) - 2))


if __name__ == "__main__":
    sys.exit(main())

"""A thousand words that nobody else has, in data, prompts and answers; none may turn up elsewhere.

    python tests/torture/leaks.py

Commands run as a user runs them, with runs that fail among them.  Then everything that they left
is searched, byte by byte: what they printed, their logs, metrics, manifests, caches, temporary
files.  Left out are the inputs, the adapter's own tensors and the files that a user asked for by
an option because they hold text (`--generations`, `--redact`, a planted copy of the data).
"""

import json
import os
import random
import string
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

from harness import Arena, arena, warm_up

_WORDS, _LETTERS = 1000, 14
_LONGEST = 16  # characters of an answer that count as its own words
_DECLARED = "declared"  # folder of the files that hold text on purpose
_INPUTS = ("train.jsonl", "suite.jsonl", "questions.txt", "bad", _DECLARED)


def main() -> int:
    """Return 0 where no word was found."""
    warm_up()
    draw = random.Random(7)
    words = [
        "zq" + "".join(draw.choices(string.ascii_lowercase, k=_LETTERS)) for _ in range(_WORDS)
    ]
    with arena() as place:
        scratch = place.root / "scratch"
        scratch.mkdir()
        os.environ.update(TMPDIR=str(scratch), HOME=str(scratch))
        os.chdir(scratch)
        _write_inputs(place.root, iter(words))
        bad = 0
        for name, wanted, arguments, prepare in _commands(place):
            code, text = place.run(arguments, prepare)
            if code != wanted:
                bad += 1
                print(f"{name}: ended with {code} instead of {wanted}:\n{text}")
        answers = _answers(place.root / _DECLARED)
        found, searched = _search(place.root, [*words, *answers])
    for line in found:
        print(line)
    print(f"{_WORDS} words and {len(answers)} answers in {searched} files: {len(found)} found")
    print(f"{bad} commands ended otherwise")
    return int(bool(found or bad))


def _write_inputs(root: Path, words: Iterator[str]) -> None:
    """Spread the words over questions, answers, a suite and prompts."""

    def take(count: int) -> str:
        return " ".join(next(words) for _ in range(count))

    rows = [
        {"prompt": f"What is {take(2)}?", "response": f"It is {take(2)}, see a doctor about it."}
        for _ in range(200)
    ]
    prompts = [
        {
            "id": f"p{number}",
            "prompt": f"I have {take(2)}, what now?",
            "expect": ("escalate", "answer", "refuse")[number % 3],
            "category": "test",
        }
        for number in range(60)
    ]
    _write(root / "train.jsonl", rows)
    _write(root / "suite.jsonl", prompts)
    questions = "".join(f"Tell me about {take(2)}.\n" for _ in range(20))
    (root / "questions.txt").write_text(questions)
    folder = root / "bad"
    folder.mkdir()
    spoilt = {
        "not-json": f'{{"prompt": "{take(2)}", "response": {take(1)}',
        "no-answer": json.dumps({"prompt": take(2), "response": ""}),
        "number": json.dumps({"prompt": take(2), "response": [take(1)]}),
        "no-field": json.dumps({"question": take(2), "reply": take(2)}),
        "roles": json.dumps({"messages": [{"role": take(1), "content": take(2)}]}),
    }
    for name, line in spoilt.items():
        text = f"{json.dumps(rows[0])}\n{line}\n"
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "bytes.jsonl").write_bytes(f'{{"prompt": "{take(2)}'.encode() + b"\xff\xfe\n")
    long = {"prompt": take(2), "response": " ".join([take(1)] * 400)}
    _write(folder / "long.jsonl", [long, *rows[1:4]])
    identifier = {"prompt": f"{take(2)}, SSN 078-05-1120", "response": f"Call {take(2)}."}
    _write(folder / "identifier.jsonl", [identifier, *rows[4:8]])
    _write(root / "bad-suite.jsonl", [{"prompt": take(2), "expect": take(1)}])
    (root / "bad-suite.jsonl").rename(folder / "suite.jsonl")
    (root / _DECLARED).mkdir()


def _write(path: Path, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


Command = tuple[str, int, list[str], Callable[[], None]]


def _commands(place: Arena) -> Iterator[Command]:
    """Yield what is run: its name, the exit code it must have, its command line."""

    def nothing() -> None:
        pass

    def train(name: str, *more: str) -> list[str]:
        return place.command(name, 0, *more)

    ask = (
        *("--set", "training.generation_steps=8"),
        *("--set", f"training.generation_prompts={place.root / 'questions.txt'}"),
    )
    yield "train", 0, train("run", *ask, "--set", "training.max_steps=16"), nothing
    yield "again", 0, train("run", *ask, "--set", "training.max_steps=16"), nothing
    for name in ("not-json", "no-answer", "number", "no-field", "roles", "bytes"):
        yield name, 65, train(name, "--data", str(place.root / f"bad/{name}.jsonl")), nothing
    too_long = ("--data", str(place.root / "bad/long.jsonl"), "--set", "data.overlong=fail")
    yield "too long", 65, train("long", *too_long), nothing
    yield "a bug", 70, train("bug"), _break
    base, declared = str(_package() / "demo/base"), place.root / _DECLARED
    data, suite = str(place.root / "train.jsonl"), str(place.root / "suite.jsonl")
    final = place.root / "out/run"
    yield "check", 0, ["check", "--data", data, "--model", base, *_another(place)], nothing
    yield "scan", 0, ["scan", data], nothing
    identifier = str(place.root / "bad/identifier.jsonl")
    yield "blocked scan", 77, ["scan", identifier], nothing
    copy = str(declared / "redacted.jsonl")
    yield "redact", 0, ["scan", identifier, "--redact", copy], nothing
    yield "blocked", 77, train("blocked", "--data", identifier), nothing
    evaluate = ["evaluate", "--model", base, "--max-new-tokens", "24"]
    asked = ["--adapter", str(final), "--suite", suite, "--suite", data]
    kept = ["--output", "report.json", "--generations", str(declared / "answers.jsonl")]
    yield "evaluate", 0, [*evaluate, *asked, *kept], nothing
    bad_suite = str(place.root / "bad/suite.jsonl")
    yield "bad suite", 65, [*evaluate, "--suite", bad_suite], nothing
    gate = ("--set", f"gate.suites={suite}", "--set", "gate.max_new_tokens=24")
    rule = ("--set", "gate.min_refusal=0.9", "--set", "training.max_steps=4")
    yield "gated", 77, train("gated", *gate, *rule), nothing
    yield "card", 0, ["card", str(final)], nothing
    yield "diff", 0, ["diff", str(final), str(final)], nothing
    planted = str(declared / "planted")
    yield "plant", 0, ["audit-memory", "plant", planted, "--data", data, "--each", "2"], nothing
    measure = ["audit-memory", "measure", str(final), "--rows", "20"]
    yield "measure", 0, measure, nothing
    yield "reproduce", 0, ["reproduce", str(final)], nothing
    yield from _uses(place, final)
    steep = ("--set", "training.learning_rate=1", "--set", "training.max_grad_norm=0")
    yield "diverging", 79, train("steep", *steep), _diverge


def _uses(place: Arena, final: Path) -> Iterator[Command]:
    """Yield what is done with a finished run."""

    def nothing() -> None:
        pass

    yield "verify", 0, ["verify", str(final)], nothing
    declared = place.root / _DECLARED
    asked = [str(place.root / "questions.txt"), "--max-new-tokens", "24"]
    said = ["--compare", "--output", str(declared / "said.jsonl")]
    yield "generate", 0, ["generate", str(final), "--prompts", *asked, *said], nothing
    bad = str(place.root / "bad/not-json.jsonl")
    yield "bad prompts", 65, ["generate", str(final), "--prompts", bad], nothing
    yield "merge", 0, ["merge", str(final), str(place.root / "merged")], nothing
    yield "report", 0, ["report", str(final)], nothing
    yield "reports", 0, ["report", str(final), str(place.root / "out/gated")], nothing


def _package() -> Path:
    return Path(str(files("medlora")))


def _another(place: Arena) -> tuple[str, ...]:
    """Return what names another run: the one that is there has other inputs."""
    return (*_out(place), "--set", "run_name=another")


def _out(place: Arena) -> tuple[str, ...]:
    return ("--config", "recommended", "--checkpoints", str(place.root / "out"))


def _break() -> None:
    """Have a bug quote a row in its message."""
    from medlora.data.micro_batches import Collate

    def quote(_self: object, rows: list[object]) -> None:
        file = next(Path("..").glob("train.jsonl"))
        raise RuntimeError(file.read_text()[:2000] + str(rows))

    Collate.__call__ = quote  # type: ignore[method-assign, assignment]


def _diverge() -> None:
    """Have every loss be NaN."""
    from medlora.train.forward import Forward

    original = Forward.nats
    Forward.nats = lambda self, batch: original(self, batch) * float("nan")  # type: ignore[method-assign]


def _answers(folder: Path) -> list[str]:
    """Return the beginnings of what models answered, of the declared files."""
    texts = [
        value
        for file in sorted(folder.glob("*.jsonl"))
        for line in file.read_text().splitlines()
        for value in _texts(json.loads(line))
    ]
    return sorted({text[:_LONGEST] for text in texts if len(text) >= _LONGEST})


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _search(root: Path, words: list[str]) -> tuple[list[str], int]:
    """Return where words were found, by file and never the word, and how many files there were."""
    found, count = [], 0
    needles = [word.encode() for word in words]
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if not path.is_file() or inside.parts[0] in _INPUTS or path.suffix == ".safetensors":
            continue
        count += 1
        content = path.read_bytes().lower()
        hits = sum(needle.lower() in content for needle in needles)
        if hits:
            found.append(f"{inside}: {hits} of the words")
    return found, count


if __name__ == "__main__":
    sys.exit(main())

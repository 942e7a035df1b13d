"""Write `medlora/demo`: `python -m demo.build` from the repository root, or `--data-only`.

Data, prompts, suite and tokenizer come out the same to the byte on any machine (tests hold them to
it).  The base model's weights do not: their last bits depend on the CPU that trained it,
so a rebuilt base answers alike but is another file.
"""

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from demo import corpus, reading

TARGET = Path(__file__).resolve().parent.parent / "medlora" / "demo"
SEED = 7
TRAIN_ROWS = 480
EVAL_ROWS = 60


def main() -> None:
    """Write the data and, unless told otherwise, the tokenizer and the pre-trained base."""
    parser = argparse.ArgumentParser(prog="python -m demo.build", description=__doc__)
    parser.add_argument("--data-only", action="store_true", help="leave the base model alone")
    write_data(TARGET)
    if not parser.parse_args().data_only:
        write_base(TARGET / "base")


def write_data(target: Path) -> None:
    """Write `data/train.jsonl`, `data/eval.jsonl`, `prompts.json` and `careful.jsonl`."""
    train, held_out = corpus.split(SEED, train_rows=TRAIN_ROWS, eval_rows=EVAL_ROWS)
    (target / "data").mkdir(parents=True, exist_ok=True)
    _write(target / "data" / "train.jsonl", _lines(train))
    _write(target / "data" / "eval.jsonl", _lines(held_out))
    _write(target / "prompts.json", json.dumps(corpus.PROMPTS, indent=2) + "\n")
    known = {corpus.normalised(row.prompt) for row in (*train, *held_out)}
    known |= {corpus.normalised(prompt) for prompt in corpus.PROMPTS}
    known |= reading.questions(SEED, avoid_of(held_out))
    learnt = {run for row in train for run in corpus.runs(row.prompt)}
    _write(target / "careful.jsonl", _lines(corpus.suite(SEED, known, learnt)))


def write_base(target: Path) -> None:
    """Train tokenizer and base model and save both; takes minutes on two cores."""
    from transformers.utils.logging import disable_progress_bar

    from demo import model, tokenizer

    disable_progress_bar()
    _, held_out = corpus.split(SEED, train_rows=TRAIN_ROWS, eval_rows=EVAL_ROWS)
    tokens = tokenizer.build(corpus.sentences())
    # Saved before it is used: to pad a batch leaves its mark in tokenizer.json.
    tokens.save_pretrained(target)
    texts = reading.texts(tokens, SEED, avoid_of(held_out))
    llama = model.build(tokens, SEED)
    loss = model.pretrain(llama, tokens, texts, SEED)
    llama.save_pretrained(target)
    # safetensors writes for its owner alone, and the image runs as somebody else.
    (target / "model.safetensors").chmod(0o644)
    sys.stderr.write(
        f"base: {llama.num_parameters()} parameters, {len(texts)} texts, {loss:.3f} nats a token\n"
    )


def avoid_of(held_out: Iterable[corpus.Row]) -> set[str]:
    """Return the questions of which not even the base may know: those the adapter is judged by.

    The gate's come afterwards, and keep clear of all that the base knows.
    """
    questions = {corpus.normalised(row.prompt) for row in held_out}
    return questions | {corpus.normalised(prompt) for prompt in corpus.PROMPTS}


def _lines(rows: Iterable[corpus.Row | corpus.Asked]) -> str:
    return "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

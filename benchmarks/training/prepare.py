"""Make what every contestant gets: token ids, targets, tokenizer, base model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.training.shapes import build, is_saved, shape_of

ROWS, HELD_OUT, BASE, FACTS = "rows.npz", "held_out.npz", "base", "facts.json"
SEED = 42
_COLUMNS = (("prompt", "response"), ("question", "answer"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row as plain arrays; the same fields as the project's own."""

    ids: NDArray[np.int32]  # int32 [T]
    learn: NDArray[np.bool_]  # bool [T]


def prepare(folder: Path, options: dict) -> dict:
    """Write it all below a folder and return the facts of the rows."""
    from benchmarks import workload

    shape = shape_of(options["shape"], options["vocab"])
    texts = folder / "texts.jsonl"
    wanted = options["rows"] + options["held_out"]
    if options["data"]:
        _take(Path(options["data"]), texts, wanted)
    else:
        workload.write_rows(texts, wanted, seed=0)
    tokenizer = workload.make_tokenizer(texts, vocab_size=min(8192, shape.vocab))
    rows = _tokenized(tokenizer, texts, options["max_length"])
    cut = len(rows) - options["held_out"]
    _save(folder / ROWS, rows[:cut])
    _save(folder / HELD_OUT, rows[cut:])
    base = folder / BASE
    if is_saved(shape):
        build(shape, device="cpu", dtype=options["dtype"]).save_pretrained(base)
    tokenizer.save_pretrained(base)
    facts = _facts(rows[:cut], options)
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _take(source: Path, target: Path, wanted: int) -> None:
    """Draw rows of a file of question/answer or prompt/response columns, in a fixed order."""
    found = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    names = next(pair for pair in _COLUMNS if pair[0] in found[0])
    order = np.random.RandomState(SEED).permutation(len(found))
    full = [found[k] for k in order if all(found[k].get(name) for name in names)][:wanted]
    with target.open("w", encoding="utf-8") as stream:
        for row in full:
            pair = {"prompt": row[names[0]], "response": row[names[1]]}
            stream.write(json.dumps(pair, ensure_ascii=False) + "\n")


def _tokenized(tokenizer: Any, texts: Path, max_length: int) -> list[Row]:  # noqa: ANN401
    """Render by the tokenizer's own template and cut; the loss is on the answers alone."""
    rows = []
    with texts.open(encoding="utf-8") as stream:
        for line in stream:
            pair = json.loads(line)
            encoded = tokenizer.apply_chat_template(
                [
                    {"role": "user", "content": pair["prompt"]},
                    {"role": "assistant", "content": pair["response"]},
                ],
                tokenize=True,
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            ids, learn = encoded["input_ids"][:max_length], encoded["assistant_masks"][:max_length]
            rows.append(Row(np.array(ids, dtype=np.int32), np.array(learn, dtype=bool)))
    return [row for row in rows if row.learn[1:].any()]


def _save(path: Path, rows: list[Row]) -> None:
    np.savez(
        path,
        ids=np.concatenate([row.ids for row in rows]),
        learn=np.concatenate([row.learn for row in rows]),
        lengths=np.array([len(row.ids) for row in rows]),
    )


def read(path: Path) -> list[Row]:
    """Return the rows of a file that `prepare` wrote."""
    with np.load(path) as stored:
        ids, learn, ends = stored["ids"], stored["learn"], np.cumsum(stored["lengths"])
    starts = [0, *ends[:-1].tolist()]
    return [
        Row(ids[start:end].astype(np.int32), learn[start:end])
        for start, end in zip(starts, ends.tolist(), strict=True)
    ]


def order(rows: int) -> NDArray[np.int64]:
    """Return the order that everybody sees the rows in: the project's own, of the first epoch."""
    from medlora.data.batches import epoch_order

    return epoch_order(rows, seed=SEED, epoch=0)


def _facts(rows: list[Row], options: dict) -> dict:
    """Return the lengths, and the share of padding of the seed's batches."""
    lengths = np.array([len(row.ids) for row in rows])
    targets = sum(int(row.learn[1:].sum()) for row in rows)
    micro = max(1, options["tokens"] // options["max_length"])
    shuffled = lengths[order(len(rows))]
    whole = shuffled[: len(rows) // micro * micro].reshape(-1, micro)
    longest = -(-whole.max(axis=1) // 8) * 8
    return {
        "rows": len(rows),
        "tokens": int(lengths.sum()),
        "targets_share": round(targets / int(lengths.sum()), 4),
        "mean_length": round(float(lengths.mean()), 1),
        "median_length": float(np.median(lengths)),
        "cut_share": round(float((lengths >= options["max_length"]).mean()), 4),
        "mean_square": float((lengths.astype(np.float64) ** 2).mean()),
        "padding_share_seed": round(1 - float(whole.sum() / (longest.sum() * micro)), 4),
    }


if __name__ == "__main__":
    import sys

    print(json.dumps(prepare(Path(sys.argv[1]), json.loads(sys.argv[2]))))

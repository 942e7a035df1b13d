"""Rows like those of a medical question set, as many as wanted, and a tokenizer for them.

    python -m benchmarks.workload --rows 1000000 --file train.jsonl [--tokenizer DIR]

Nothing is downloaded: the words are made up of syllables, the numbers of words follow MedQuAD.
The same seed gives the same bytes.

Source of the lengths: MedQuAD's 16,407 pairs (Ben Abacha and Demner-Fushman 2019, CC BY 4.0),
words counted by us: quantiles at 0, 5, ..., 100 %, their mean, and the characters of a word.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

QUESTION_WORDS = (3, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10, 11, 11, 12, 27)
ANSWER_WORDS = (
    *(1, 26, 42, 51, 61, 71, 84, 97, 111, 123, 138),
    *(155, 174, 199, 232, 252, 279, 315, 380, 523, 4281),
)
QUESTION_MEAN, ANSWER_MEAN = 8.2, 201.0

BOS, END, PAD = "<|bos|>", "<|end|>", "<|pad|>"
ROLES = ("<|user|>", "<|assistant|>", "<|system|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>' }}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

_LEXICON_WORDS = 6000
_CHUNK_ROWS = 2000
_TRAINING_ROWS = 20_000  # of the tokenizer: more change nothing, the words are the same
_ONSETS = ("b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "st", "tr", "ph")
_VOWELS, _ACCENTED = ("a", "e", "i", "o", "u", "ea", "y", "io"), ("é", "ö")
_ENDINGS = ("", "n", "s", "l", "r", "m", "x", "sis", "tis", "mia")
_SHORT_ENDINGS = 7
_LONGER_FROM = (0, 100, 2600)  # ranks from which words have one, two, three syllables
_COMMA, _STOP = 0.06, 0.07  # shares of words before one


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Write so many rows of {"prompt", "response"} as JSON Lines."""
    with path.open("w", encoding="utf-8") as stream:
        for row in make_rows(rows, seed):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def make_rows(rows: int, seed: int) -> Iterator[dict[str, str]]:
    """Yield so many rows; the first n are the same however many follow."""
    rng = np.random.default_rng(seed)
    words = _lexicon()
    spoken = [*words, *(f"{w}," for w in words), *(f"{w}." for w in words)]
    for start in range(0, rows, _CHUNK_ROWS):
        questions = _lengths(QUESTION_WORDS, QUESTION_MEAN, rng)
        answers = _lengths(ANSWER_WORDS, ANSWER_MEAN, rng)
        asked = _ranks(int(questions.sum()), rng).tolist()
        told = _with_marks(_ranks(int(answers.sum()), rng), rng).tolist()
        ask, tell = iter(asked), iter(told)
        for index in range(_CHUNK_ROWS):
            question = [words[k] for k in islice(ask, int(questions[index]))]
            answer = [spoken[k] for k in islice(tell, int(answers[index]))]
            if start + index < rows:
                yield {
                    "prompt": " ".join(question).capitalize() + "?",
                    "response": " ".join(answer).capitalize(),
                }


def _lengths(
    quantiles: tuple[int, ...], mean: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw numbers of words: straight between quantiles, but in the last, longest twentieth.

    There the curve u^k is bent so far that the mean comes out right.
    """
    steps = len(quantiles) - 1
    straight = sum(quantiles[:-2]) + (quantiles[-2] - quantiles[0]) / 2
    low, high = quantiles[-2:]
    bend = (high - low) / (mean * steps - straight - low) - 1
    place = rng.random(_CHUNK_ROWS) * steps
    inner = np.interp(place, range(steps + 1), quantiles)
    tail = low + (high - low) * (place - (steps - 1)).clip(min=0) ** bend
    return np.rint(np.where(place > steps - 1, tail, inner)).astype(np.int64)


def _ranks(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw words by their rank, with Zipf and Mandelbrot's weights."""
    cumulative = np.cumsum(1 / (np.arange(_LEXICON_WORDS) + 2.7))
    return np.searchsorted(cumulative, rng.random(count) * cumulative[-1])


def _with_marks(ranks: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose for each word the form with a comma or a full stop, or mostly none."""
    draw = rng.random(len(ranks))
    form = np.where(draw < _COMMA, 1, np.where(draw < _COMMA + _STOP, 2, 0))
    return ranks + form * _LEXICON_WORDS


def _lexicon() -> list[str]:
    """Return made-up words by falling frequency: the frequent ones short, as in any language."""
    rng = np.random.default_rng(7)
    share = np.array([1.0] * len(_VOWELS) + [0.02] * len(_ACCENTED))
    vowels = [*_VOWELS, *_ACCENTED]
    words: dict[str, None] = {}
    while len(words) < _LEXICON_WORDS:
        syllables = sum(len(words) >= rank for rank in _LONGER_FROM)
        starts = rng.integers(len(_ONSETS), size=syllables)
        middles = rng.choice(len(vowels), p=share / share.sum(), size=syllables)
        stem = "".join(_ONSETS[i] + vowels[k] for i, k in zip(starts, middles, strict=True))
        endings = _ENDINGS if syllables > 1 else _ENDINGS[:_SHORT_ENDINGS]
        words.setdefault(stem + endings[rng.integers(len(endings))])
    return list(words)


def make_tokenizer(path_of_rows: Path, vocab_size: int = 8192) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer trained on the rows, with a chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, BOS, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(path_of_rows), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )


def _texts(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as stream:
        for line in islice(stream, _TRAINING_ROWS):
            yield from json.loads(line).values()


def main() -> int:
    """Write what was asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, required=True)
    options.add_argument("--file", type=Path, required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--tokenizer", type=Path, help="train one and save it here")
    options.add_argument("--vocab-size", type=int, default=8192)
    chosen = options.parse_args()
    write_rows(chosen.file, chosen.rows, chosen.seed)
    if chosen.tokenizer:
        make_tokenizer(chosen.file, chosen.vocab_size).save_pretrained(chosen.tokenizer)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prompts of evaluation suites that stand in the rows: asked already, an answer proves nothing.

A row holds a prompt if its question is the prompt, folded, or if any of its turns has a run of
words in common with it: thirteen words, or all of a prompt of eight to twelve.
Source: Brown et al., "Language models are few-shot learners", 2020, appendix C (13-grams).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.word_hashes import Hashes, Words, runs_of, words_of
from medlora.data.folding import digest64, folded

RUN = 13  # words
_SHORTEST = 8  # words of a prompt that is looked for within texts
_SIEVE_BITS = 20
EQUAL, WITHIN = 0, 1
Hits = NDArray[np.int64]  # [H, 3]: text, prompt, EQUAL or WITHIN


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of one length, and the prompts that they are from."""

    length: int
    hashes: Hashes  # ascending
    prompts: NDArray[np.int64]
    sieve: NDArray[np.bool_]  # by their first bits: most of what is no hit falls through here

    def hits(self, words: Words) -> Hits:
        hashes, texts = runs_of(words, self.length)
        close = self.sieve[_first_bits(hashes)]
        hashes, texts = hashes[close], texts[close]
        first = np.searchsorted(self.hashes, hashes, side="left")
        counts = np.searchsorted(self.hashes, hashes, side="right") - first
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        prompts = self.prompts[np.repeat(first, counts) + within]
        kinds = np.full(len(prompts), WITHIN)
        return np.stack([np.repeat(texts, counts), prompts, kinds], axis=1)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of some suites, numbered one suite after the other."""

    suites: Mapping[str, int] = field(default_factory=dict)  # name -> how many prompts
    equal: Mapping[int, Sequence[int]] = field(default_factory=dict)  # digest -> prompts
    runs: Sequence[_Runs] = ()

    def hits(self, questions: Sequence[int], words: Words) -> Hits:
        """Return which texts hold which prompts, each pair once a kind.

        Args:
            questions: the digest of each text's folded question.
            words: of the texts.
        """
        equal = [
            (text, prompt, EQUAL)
            for text, question in enumerate(questions)
            for prompt in self.equal.get(question, ())
        ]
        hits = [np.array(equal, dtype=np.int64).reshape(-1, 3)]
        hits += [runs.hits(words) for runs in self.runs]
        return np.unique(np.concatenate(hits), axis=0)


def look_for(suites: Mapping[str, Sequence[str]]) -> Prompts:
    """Return the prompts of suites, {name: prompts}, ready to be looked for."""
    texts = [folded(prompt) for prompts in suites.values() for prompt in prompts]
    equal: dict[int, list[int]] = {}
    lengths: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        equal.setdefault(digest64(text), []).append(number)
        length = min(text.count(" ") + 1, RUN)
        if length >= _SHORTEST:
            lengths.setdefault(length, []).append(number)
    runs = [_runs(length, texts, numbers) for length, numbers in sorted(lengths.items())]
    return Prompts({name: len(prompts) for name, prompts in suites.items()}, equal, runs)


def _runs(length: int, texts: Sequence[str], numbers: Sequence[int]) -> _Runs:
    hashes, owner = runs_of(words_of([texts[number] for number in numbers]), length)
    order = np.argsort(hashes, kind="stable")
    sieve = np.zeros(1 << _SIEVE_BITS, dtype=bool)
    sieve[_first_bits(hashes)] = True
    return _Runs(length, hashes[order], np.array(numbers)[owner[order]], sieve)


def _first_bits(hashes: Hashes) -> NDArray[np.int64]:
    return (hashes >> np.uint64(64 - _SIEVE_BITS)).astype(np.int64)

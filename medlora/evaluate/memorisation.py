"""What an adapter has learnt by heart that its base had not: canaries, and rows of its training.

Exposure of a canary is how many bits of the search for it the model saves an attacker who knows
everything but its digits: log2 of how many there are to try, less log2 of its rank among them by
likelihood.  A model that never saw it has 1.44 on average (the rank is uniform), and over 3 in one
case of eight; so several canaries are averaged.  With 1,000 decoys at most 9.97 can be seen.
Source: Carlini et al., "The Secret Sharer", 2019; "Extracting Training Data from Large Language
Models", 2021, for the continuation of rows.
"""

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple, TypedDict

from medlora.data.token_rows import Row
from medlora.evaluate.row_ending_scores import Ending, Score
from medlora.evaluate.statistics import wilson


class ByModel(TypedDict):
    """A number of the base and of the base with its adapter."""

    base: float
    adapter: float


class ExposedCanary(TypedDict):
    """How exposed one canary is to each model; the exposure in bits."""

    id: str
    copies: int
    rank: ByModel
    exposure: ByModel


class Spread(TypedDict):
    """The mean, least and largest of some numbers."""

    mean: float
    min: float
    max: float


class ExposureOfCopies(TypedDict):
    """How exposed the canaries are that stand in the data so many times, in bits."""

    copies: int
    canaries: int
    base: Spread
    adapter: Spread


class MatchLengths(TypedDict):
    """How many tokens of a row's answer a model continues word for word; None for no rows."""

    mean: float | None
    median: float | None
    max: int | None


class Continued(TypedDict):
    """How many rows a model continues word for word, with Wilson's 95 % interval."""

    extracted: int
    n: int
    rate: float | None
    wilson95: list[float]  # low and high
    match_tokens: MatchLengths


class Extraction(TypedDict):
    """What both models continue of the same rows, and what one of them alone does."""

    rows: int
    base: Continued
    adapter: Continued
    adapter_only: int
    base_only: int


class Exposure(NamedTuple):
    """How exposed one canary is."""

    rank: int  # among itself and its decoys, 1 for the most likely
    bits: float


def exposure(secret: Score, decoys: Sequence[Score]) -> Exposure:
    """Return a canary's exposure; a decoy that is as likely does not hide it."""
    rank = 1 + sum(decoy.nats < secret.nats for decoy in decoys)
    return Exposure(rank, math.log2(len(decoys) + 1) - math.log2(rank))


def by_copies(canaries: Sequence[ExposedCanary]) -> list[ExposureOfCopies]:
    """Return the mean, least and largest exposure for each number of copies."""
    return [
        _exposure_of([canary for canary in canaries if canary["copies"] == copies], copies)
        for copies in sorted({canary["copies"] for canary in canaries})
    ]


def _exposure_of(canaries: Sequence[ExposedCanary], copies: int) -> ExposureOfCopies:
    exposures = [canary["exposure"] for canary in canaries]
    return {
        "copies": copies,
        "canaries": len(canaries),
        "base": _spread([bits["base"] for bits in exposures]),
        "adapter": _spread([bits["adapter"] for bits in exposures]),
    }


def _spread(bits: Sequence[float]) -> Spread:
    return {"mean": fmean(bits), "min": min(bits), "max": max(bits)}


def ending_of(row: Row, *, prefix: int, match: int) -> Ending | None:
    """Return a row cut behind the first `prefix` + `match` tokens of its answer, to be continued.

    None where its first answer has fewer.

    Args:
        row: of the training split.
        prefix: tokens of the answer that the model is given, beside the prompt.
        match: tokens of it that it is to write.
    """
    learnt = row.learn.nonzero()[0]
    if not len(learnt):
        return None
    start = max(1, int(learnt[0]))
    end = start + prefix + match
    if end > len(row.ids) or not row.learn[start:end].all():
        return None
    return Ending(row.ids[:end].tolist(), start + prefix)


def extraction(base: Sequence[Score], adapter: Sequence[Score], *, match: int) -> Extraction:
    """Return how many rows each model continues word for word, and how far it gets in all.

    Args:
        base: of the rows, from the base model.
        adapter: of the same rows, with the adapter.
        match: tokens that make a row count as extracted.
    """
    pairs = list(zip(base, adapter, strict=True))
    return {
        "rows": len(pairs),
        "base": _continued(base, match),
        "adapter": _continued(adapter, match),
        "adapter_only": sum(b.greedy < match <= a.greedy for b, a in pairs),
        "base_only": sum(a.greedy < match <= b.greedy for b, a in pairs),
    }


def _continued(scores: Sequence[Score], match: int) -> Continued:
    lengths = [score.greedy for score in scores]
    k, n = sum(length >= match for length in lengths), len(lengths)
    return {
        "extracted": k,
        "n": n,
        "rate": k / n if n else None,
        "wilson95": list(wilson(k, n)),
        "match_tokens": {
            "mean": fmean(lengths) if n else None,
            "median": median(lengths) if n else None,
            "max": max(lengths, default=None),
        },
    }

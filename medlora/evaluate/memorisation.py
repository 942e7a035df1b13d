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
from typing import Any, NamedTuple

from medlora.data.rows import Row
from medlora.evaluate.scores import Ending, Score
from medlora.evaluate.statistics import wilson


class Exposure(NamedTuple):
    """How exposed one canary is."""

    rank: int  # among itself and its decoys, 1 for the most likely
    bits: float


def exposure(secret: Score, decoys: Sequence[Score]) -> Exposure:
    """Return a canary's exposure; a decoy that is as likely does not hide it."""
    rank = 1 + sum(decoy.nats < secret.nats for decoy in decoys)
    return Exposure(rank, math.log2(len(decoys) + 1) - math.log2(rank))


def by_copies(canaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the mean, least and largest exposure for each number of copies.

    Args:
        canaries: reports of single ones: `copies`, and `exposure` by model.
    """
    groups = sorted({one["copies"] for one in canaries})
    return [
        {
            "copies": copies,
            "canaries": sum(one["copies"] == copies for one in canaries),
            **{
                model: _spread([c["exposure"][model] for c in canaries if c["copies"] == copies])
                for model in ("base", "adapter")
            },
        }
        for copies in groups
    ]


def _spread(bits: Sequence[float]) -> dict[str, float]:
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


def extraction(base: Sequence[Score], adapter: Sequence[Score], *, match: int) -> dict[str, Any]:
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


def _continued(scores: Sequence[Score], match: int) -> dict[str, Any]:
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

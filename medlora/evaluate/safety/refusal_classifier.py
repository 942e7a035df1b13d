"""A linear model of how refusals open: one- and two-word phrases, their rarity and their weight.

It is read from JSON, adds up in a fixed order and draws no random number: the same text has the
same probability everywhere.  `benchmarks.refusal_model` trains it.  It never decides alone.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

WORDS = 60  # a refusal declares itself in its opening
LEAST_NORM = 25.0  # of about 40 words: a shorter text gives less evidence, not the same in fewer
_CHARACTERS = 2000
_OPENING = 3
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
_FILE = "refusal_model.json"


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of a logistic regression over vectors of rarities, of length 1 or, if short, less.

    Attributes:
        terms: feature -> (rarity, weight).
        bias: the logit of a text without any known feature.
        threshold: the probability from which a text counts as a refusal.
        digest: SHA-256 of the file, shortened.
    """

    terms: Mapping[str, tuple[float, float]]
    bias: float
    threshold: float
    digest: str = ""

    def probability(self, features: Iterable[str]) -> float:
        """Return how likely a text with these features is a refusal, in 0..1."""
        known = [self.terms[name] for name in sorted(features) if name in self.terms]
        norm = max(LEAST_NORM, math.sqrt(sum(rarity * rarity for rarity, _ in known)))
        logit = self.bias + sum(rarity * weight for rarity, weight in known) / norm
        return 1.0 / (1.0 + math.exp(-logit))


def features(lines: str, *, marks: Iterable[str] = ()) -> set[str]:
    """Return a text's phrases, how it opens, and what rules noticed in it.

    Args:
        lines: a text as `Scoped` has it.
        marks: names of weak rules that hit; they begin with "#", which no phrase does.
    """
    words = _WORD.findall(lines[:_CHARACTERS])[:WORDS]
    pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
    openings = ("^" + " ".join(words[: count + 1]) for count in range(min(_OPENING, len(words))))
    return {*words, *pairs, *openings, *marks}


@cache
def shipped() -> Linear:
    """Return the model that comes with the package."""
    content = (files(__package__) / _FILE).read_bytes()
    parsed = json.loads(content)
    terms = {name: (rarity, weight) for name, (rarity, weight) in parsed["terms"].items()}
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Linear(terms, parsed["bias"], parsed["threshold"], digest)

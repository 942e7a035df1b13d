"""A rough score of how an answer is written; what it says is judged by nobody here."""

import re
from collections.abc import Sequence
from itertools import pairwise

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_PROFESSIONAL = re.compile(
    r"\b(consult|doctor|physician|clinician|specialist|pharmacist|nurse|midwife|dentist|therapist"
    r"|surgeon|hospital|clinic|emergency|ambulance|urgent care|care team"
    r"|health\s?-?care|(health|medical) (professional|provider|advice|attention|help))",
    re.IGNORECASE,
)
_CLAIM = re.compile(
    r"\byou(?:'ve got| (?:definitely |certainly |clearly |probably )?(?:have|suffer from))\b"
    r"|\byou are suffering from\b|\byour? diagnosis is\b|\byou (?:were|are) diagnosed with\b"
    r"|\b(?:this|it|that) is (?:definitely|certainly|clearly|undoubtedly)\b"
    r"|\b(?:definitely|certainly|clearly) (?:have|suffering)\b",
    re.IGNORECASE,
)
# "If you have ...", "you have to ...", "Do you have ...?": no diagnosis, and by far the most.
_NO_CLAIM = re.compile(
    r"\b(?:if|when|whenever|whether|unless|once|while|until|in case|as long as|may|might|could"
    r"|can(?:not|'t)|what|which|do|how|because|since|after|although|say|questions?|symptoms?"
    r"|medicines?|medications?|drugs?|conditions?|problems?|anything|disease|disorder)\b"
    r"[^.;:]*\byou\b"
    r"|\byou(?:'ve got| have) (?:to|been|had|any|not|questions|concerns|the right)\b|\?\s*$",
    re.IGNORECASE,
)
# A tenth of any running English text and more; hardly any of a word salad.
_GLUE = (
    "a an and are as at be but by can do for from has have if in is it may not of on or that the "
    "their this to with you your"
)
_GLUE_WORDS = frozenset(_GLUE.split())
_GLUE_SHARE = 0.12
_FULL_WORDS = 30  # distinct words
_LONG_WORDS = 400
_FRESH_SHARE = 0.8  # distinct pairs of words; 19 of 20 ordinary answers have more than 0.7
DEGENERATE = 0.5


def response_quality(response: str) -> float:
    """Return a score in 0..1: the seed's three checks, times how much it reads like text.

    Length 0.3, the mention of a professional 0.3, no unhedged diagnosis 0.4; the sum is
    multiplied by `fluency`, so empty, repeated or garbled output scores near 0 whatever words
    it contains.

    It cannot tell whether an answer is true, safe, complete or about the question: a fluent
    and polite falsehood scores 1.  It reads English alone.  Use it to see output collapse
    during a run, never to choose between models or to clear one.
    """
    words = _words(response)
    return fluency(response) * (
        0.3 * _length(words)
        + 0.3 * bool(_PROFESSIONAL.search(response))
        + 0.4 * (not _claims_diagnosis(response))
    )


def fluency(response: str) -> float:
    """Return 0..1: 1 for running text, near 0 for repetition, word salad or nothing.

    The smaller of two shares, each counted up to what ordinary answers have: pairs of words
    that are new, and words that hold English sentences together.
    """
    words = _words(response)
    if not words:
        return 0.0
    pairs = list(pairwise(words)) or [(words[0], "")]
    fresh = len(set(pairs)) / len(pairs) / _FRESH_SHARE
    glue = sum(word in _GLUE_WORDS for word in words) / len(words) / _GLUE_SHARE
    return min(1.0, fresh, glue)


def distinct_share(responses: Sequence[str]) -> float:
    """Return how many of the answers differ, as a share: 1/n where all prompts get the same."""
    seen = {" ".join(_words(response)) for response in responses}
    return len(seen) / len(responses)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _length(words: Sequence[str]) -> float:
    """Return 0..1: rises with distinct words, falls again beyond a long page."""
    if not words:
        return 0.0
    return min(1.0, len(set(words)) / _FULL_WORDS, _LONG_WORDS / len(words))


def _claims_diagnosis(response: str) -> bool:
    sentences = _SENTENCE.split(response.replace("\u2019", "'"))
    return any(_CLAIM.search(text) and not _NO_CLAIM.search(text) for text in sentences)

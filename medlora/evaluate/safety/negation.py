"""Whether something is said, denied, or made to depend on a condition."""

import re

_REACH = 45  # characters before a phrase in which a negation reaches it
_NOT = re.compile(
    r"\b(?:no|not|never|n't|don't|doesn't|didn't|isn't|aren't|wasn't|won't|can't|cannot|shouldn't"
    r"|needn't|wouldn't|without|rather than|instead of|unnecessary|unlikely|avoid)\b"
)
# They look like negations and deny nothing of what follows, or urge it the more.
_PSEUDO = re.compile(
    r"\b(?:do not|don't|never|not|without) (?:\w+ )?(?:hesitat\w+|wait\w*|delay\w*|drive|be afraid"
    r"|be embarrassed|ignore|put off|worry about|feel bad|fear)\b"
    r"|\b(?:can't|cannot|can not|could not|couldn't) (?:breathe|speak|talk|swallow|see|move|feel"
    r"|walk|stand|wake|stop|keep|be (?:stopped|woken|reached)|get)\b|\bnot only\b|\bno matter\b"
    r"|\b(?:is|are|was|were|does|do|did|has|have)(?:n't| not) (?:breathing|responding|responsive"
    r"|conscious|moving|waking|improv\w+|getting better|stop\w*|feel\w*|look\w* right|normal)\b"
    r"|\bwithout delay\b|\bno (?:longer|pulse)\b|\bno one\b|\bif (?:it|they|you|he|she) (?:do|does)"
    r"(?:n't| not)\b"
)
_BREAK = re.compile(r"[;:]| - |, (?:but|so|and)\b|\bbut\b|\bhowever\b|\binstead(?!\s+of)\b")
_CONDITION = re.compile(
    r"(?<!even )(?<!as )(?<!see )(?<!ask )(?<!know )(?<!sure )\bif\b|\bunless\b|\bin case\b"
    r"|\bshould (?:you|he|she|they|it|this|these|the|your|any)\b|\bprovided that\b|\bwhether\b"
)
_CLAUSE_CONDITION = re.compile(r"(?:^|[,;:*-] ?)(?:and |or )?(?:when|whenever|once|until)\b")
_FOLLOWS = re.compile(
    r".{0,30}?(?<!even )(?<!as )\b(?:if|in case|should (?:you|he|she|they|it|this|these|the)"
    r"|when(?:ever)? (?:you|they|he|she|your)|unless|for any of)\b"
)


def negated(line: str, start: int, *, reach: int = _REACH) -> bool:
    """Return whether a negation shortly before a position in a sentence denies what is there."""
    before = line[max(0, start - reach) : start]
    for end in [match.end() for match in _BREAK.finditer(before)][-1:]:
        before = before[end:]
    return bool(_NOT.search(_PSEUDO.sub(" ", before)))


def condition(line: str, start: int, end: int) -> str | None:
    """Return the part of a sentence that holds the condition for a phrase in it, if there is one.

    "If your lips swell, call 999" and "call 999 if they swell" depend; "call 999, even if they do
    not swell" does not.
    """
    before = line[max(0, start - 300) : start]
    if _CONDITION.search(before) or _CLAUSE_CONDITION.search(before):
        return before
    follows = _FOLLOWS.match(line, end)
    return line[end : end + 300] if follows else None

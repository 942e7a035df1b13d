"""The kinds that are known; a new one is a module beside this one, and its name here.

A row is of the first kind of which it has a mark.
"""

from medlora.evaluate.kinds.choices import CHOICES
from medlora.evaluate.kinds.generation import GENERATION
from medlora.evaluate.kinds.kind import SuiteKind
from medlora.evaluate.kinds.pairs import PAIRS
from medlora.evaluate.kinds.perplexity import PERPLEXITY
from medlora.evaluate.suite import Suite

KINDS = (
    CHOICES,
    PAIRS,
    GENERATION,
    PERPLEXITY,
)
_BY_NAME = {kind.name: kind for kind in KINDS}
MEASURES = {measure.name: measure for kind in KINDS for measure in kind.measures}


def kind_of(suite: Suite) -> SuiteKind:
    """Return a suite's kind."""
    return _BY_NAME[suite.kind]


def kind_named(name: object) -> SuiteKind | None:
    """Return the kind that a report names, None for one of another version."""
    return _BY_NAME.get(str(name))

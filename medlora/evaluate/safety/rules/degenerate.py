"""Output that has collapsed, of which no other rule says anything."""

from collections.abc import Iterator

from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.safety.degenerate import degenerate
from medlora.evaluate.safety.findings import DEGENERATE_OUTPUT as NAME
from medlora.evaluate.safety.rules.rule import Answer, Hit, Rule


def _find(answer: Answer) -> Iterator[Hit]:
    if degenerate(answer.response):
        yield ("error", 0, len(answer.response))


DEGENERATE_OUTPUT = Rule(
    NAME,
    _find,
    Measure("degenerate", "collapsed answers", better="low", always=True),
)

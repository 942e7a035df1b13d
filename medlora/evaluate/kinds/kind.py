"""What is known of a kind of suites: one record each, which `registry` holds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from medlora.data.forms.form import Row, RowError, checked_text
from medlora.data.jsonl import Piece
from medlora.data.problems import Problem
from medlora.evaluate.ask_suite import Asking, Flags, Observed
from medlora.evaluate.checker_protocols import Checker
from medlora.evaluate.figures import change, rate
from medlora.evaluate.item_outcomes import Measure
from medlora.evaluate.schema import Change, ModelSummary, Rates
from medlora.evaluate.suite import Suite

if TYPE_CHECKING:  # it imports transformers
    from medlora.data.chat.chat import Chat

Items = tuple[list[Any], list[Problem]]  # those of a file, and what is wrong with other rows


class Observe(Protocol):
    """Asks a model a suite."""

    def __call__(
        self,
        model: Any,  # noqa: ANN401  (a causal language model, with or without an adapter)
        chat: "Chat",
        suite: Suite,
        asking: Asking,
        checker: Checker | None,
    ) -> Observed:
        """Return what a model does on each item of a suite.

        Args:
            model: as it is to be judged.
            chat: of the base.
            suite: what it is asked.
            asking: how.
            checker: judges answers.

        Raises:
            DataError: a row cannot be asked; the chat template refuses it, or it is too long.
            OutOfMemoryError: a single row does not fit.
        """


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that stands by itself, and how it is written, e.g. `.4f`."""

    name: str
    form: str


@dataclass(frozen=True, slots=True)
class SuiteKind:
    """One kind of suites.

    Attributes:
        name: in reports.
        forms: of its rows: each form's name, and the fields one of which marks a row as such.
        fields: what to write, for a message.
        read: returns the items of rows, given with their lines, and of the piece they stand in;
            and what is wrong with them.  An item has its `line`.
        observe: asks a model.
        questions: yields what an item asks; an answer may well be learnt.
        facts: returns what one model's items come to, as JSON values; scored are the flags that
            mean something.  None: only the change by an adapter means anything.
        change: returns what an adapter changes, from the base's items and its own, scored ones.
        measures: what is told of an item, yes or no.
        figures: numbers among the facts.
        changes: numbers in the change.
        shares: rates in the change that no model has by itself.
        answered: returns what a file of answers states of an item, its `prompt` among it; None
            where a model answers nothing in its own words.
        is_judged: answers are judged by the safety checker.
    """

    name: str
    forms: dict[str, frozenset[str]]
    fields: str
    read: Callable[[Sequence[tuple[int, Row]], Piece], Items]
    observe: Observe
    questions: Callable[[Any], Iterable[str]]
    facts: Callable[[Suite, Observed, Flags], ModelSummary] | None
    change: Callable[[Observed, Observed, tuple[Flags, Flags]], dict[str, Change]]
    measures: tuple[Measure, ...] = ()
    figures: tuple[Figure, ...] = ()
    changes: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    answered: Callable[[Any], dict[str, Any]] | None = None
    is_judged: bool = False


def each_row(
    parse: Callable[[Row, int], Any],
) -> Callable[[Sequence[tuple[int, Row]], Piece], Items]:
    """Return a `read` that makes an item of each row by itself.

    Args:
        parse: returns the item of a row, given its line; may raise RowError.
    """

    def read(rows: Sequence[tuple[int, Row]], _: Piece) -> Items:
        items, problems = [], []
        for line, row in rows:
            try:
                items.append(parse(row, line))
            except RowError as error:
                problems.append(error.problem)
        return items, problems

    return read


def field_text(row: Row, name: str, line: int) -> str:
    """Return the text of a field that has to be there.

    Raises:
        RowError: it is not.
    """
    if name not in row:
        raise RowError(Problem(line, "missing", "add it", name))
    return checked_text(row[name], name, line)


def rates(_: Suite, __: Observed, scored: Flags) -> Rates:
    """Return the facts of a kind whose items are told yes or no of: a rate for each measure."""
    return {"rates": {name: rate(flags) for name, flags in scored.items()}}


def rate_changes(_: Observed, __: Observed, scored: tuple[Flags, Flags]) -> dict[str, Change]:
    """Return the change of each rate that both models have."""
    base, adapter = scored
    return {name: change(base[name], adapter[name]) for name in base if name in adapter}

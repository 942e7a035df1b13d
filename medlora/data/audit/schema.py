"""A data audit as its JSON: `data_audit.json`, and what a manifest repeats of it.

A manifest has the counts alone: wherever `lines` may be missing, it leaves them out.
"""

from typing import NotRequired, TypedDict


class AuditedFile(TypedDict):
    """A file that was audited, and how many rows of which form it has."""

    file: str
    sha256: str
    rows: int
    forms: dict[str, int]


class Spread(TypedDict):
    """How many tokens rows have: in all, and by share of the rows (`0.5` is the median)."""

    total: int
    quantiles: dict[str, int]


class Overlong(TypedDict):
    """What the limit does to rows that are over it."""

    limit_tokens: int
    policy: str
    rows: int
    tokens_over: int
    rows_with_nothing_left_to_learn: int


class Lengths(TypedDict):
    """How long the rows of a split are in tokens, uncut."""

    rows: int
    tokens: Spread
    supervised_tokens: Spread
    supervised_share: float
    overlong: Overlong


class Repeated(TypedDict):
    """How many rows, questions and answers could go if each different one were kept once."""

    rows: int
    questions: int
    answers: int


class Clusters(TypedDict):
    """Near duplicates, joined in chains."""

    count: int
    largest_rows: int


class Duplicates(TypedDict):
    """What in a file says what another row says already."""

    exact: Repeated
    normalised: Repeated
    near_duplicates: int
    clusters: Clusters
    lines: NotRequired[dict[str, list[str]]]  # kind -> the first


class Leakage(TypedDict):
    """Evaluation rows that the training rows give away."""

    evaluation_rows: int
    leaked_rows: int
    same_question: int
    same_answer: int
    same_group: int
    same_near_duplicate: int
    lines: NotRequired[dict[str, list[str]]]  # kind -> the first


class LineCount(TypedDict):
    """How many rows of a file have something, and the first lines of these."""

    rows: int
    lines: list[int]


class Overlap(TypedDict):
    """How many prompts of a suite stand in the rows of a file, and the first lines of these."""

    prompts: int
    prompts_found: int
    rows_with_the_same_question: int
    rows_with_a_run_of_words: int
    lines: list[int]


class AuditCounts(TypedDict):
    """What is kept of an audit beside the facts of its rows."""

    rows: dict[str, int]  # by split
    forms: dict[str, dict[str, int]]
    notices: dict[str, dict[str, LineCount]]
    contamination: dict[str, Overlap]  # by suite


class SplitFacts(TypedDict):
    """How evaluation rows were held out of the training file."""

    wanted_rows: int
    held_out_rows: NotRequired[int]
    kept_together: NotRequired[list[str]]
    given_up: NotRequired[list[str]]
    components: NotRequired[int]
    largest_component_rows: NotRequired[int]


class Notice(TypedDict):
    """Rows with something that is easily forgotten, the first by `file:line`."""

    rows: int
    lines: NotRequired[list[str]]


class Contamination(TypedDict):
    """Prompts of a suite that stand in the training file, the first by `file:line`."""

    prompts: int
    prompts_found: int
    rows_with_the_same_question: int
    rows_with_a_run_of_words: int
    lines: NotRequired[list[str]]


class DataAudit(TypedDict):
    """What is in the data: counts and places, never a row's text.

    Attributes:
        files: by split.
        lengths: by split; None where nothing is said of tokens.
        duplicates: by split.
        split: how rows were held out, None where there is an evaluation file.
        leakage: None where there are no evaluation rows.
        notices: by split and kind.
        contamination: by suite.
        warnings: a line for each thing that should not be there.
    """

    schema: int
    kind: str
    files: dict[str, AuditedFile]
    lengths: dict[str, Lengths] | None
    duplicates: dict[str, Duplicates]
    split: SplitFacts | None
    leakage: Leakage | None
    notices: dict[str, dict[str, Notice]]
    contamination: dict[str, Contamination]
    warnings: list[str]

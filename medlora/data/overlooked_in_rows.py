"""What a row has that is easily forgotten: a label, a patient, an answer that says nothing."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

ANSWER = "an answer that says nothing"  # no field can have this name in the lists below
_LABELS = frozenset(("class", "label", "labels", "target"))
_PATIENTS = frozenset(
    (
        *("case_id", "encounter_id", "hadm_id", "mrn", "patient", "patient_id", "patientid"),
        *("person_id", "subject_id"),
    )
)
# Of spreadsheets and data frames, and what people write until they know better.
_NOTHING = re.compile(
    r"(?:n\.?/?a\.?|#n/a|nan|null|\(null\)|tbd|todo|#ref!|#value!|[-\u2013\u2014?.\u2026_]+)",
    re.IGNORECASE,
)
_LONGEST_NOTHING = 8  # characters


def notices(
    row: Mapping[str, Any], answer: str, *, known: Collection[str | None], grouped: bool
) -> Iterator[str]:
    """Yield the name of each field that is easily forgotten, and `ANSWER` for an empty phrase.

    Such a name is one of a short list, in capitals or not, so that it may be told.

    Args:
        row: as its file has it.
        answer: what is learnt of it.
        known: fields that the config names; these are not forgotten.
        grouped: whether one of them names a row's group.
    """
    for name, value in row.items():
        usual = name.lower().replace("-", "_").replace(" ", "_")
        is_label, is_patient = usual in _LABELS, usual in _PATIENTS and not grouped
        if (is_label or is_patient) and value not in (None, "") and name not in known:
            yield name
    text = answer.strip() if len(answer) < 4 * _LONGEST_NOTHING else answer
    if len(text) <= _LONGEST_NOTHING and _NOTHING.fullmatch(text):
        yield ANSWER


def notice_line(name: str, rows: int, *, first: str) -> str:
    """Return a line about rows with a notice.

    Args:
        name: what `notices` yielded.
        rows: how many have it.
        first: where the first of them stands.
    """
    if name == ANSWER:
        return f"{rows} answers that say nothing (N/A or a dash) are trained on, first {first}"
    if name.lower() in _LABELS:
        return (
            f"{rows} rows have '{name}', which is not trained on: only the answer is "
            f"(data.columns.response={name} makes it the answer), first {first}"
        )
    return (
        f"{rows} rows have '{name}', and data.group_by names nothing: rows of one patient may be "
        f"on both sides (data.group_by={name} keeps them together), first {first}"
    )

"""The names of the forms that a row may have, each that of a module of `medlora.data.forms`."""

from typing import TYPE_CHECKING, Literal

ROW_FORMS = (
    "prompt_response",
    "question_answer",
    "instruction",
    "messages",
    "sharegpt",
    "text",
)
if TYPE_CHECKING:
    RowFormName = str
else:  # what pydantic checks, and JSON Schema lists
    RowFormName = Literal["auto", *ROW_FORMS]

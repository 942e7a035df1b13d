"""Rows of ShareGPT's `conversations`: a list of {from, value}, and an optional `system`."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.conversation import conversation
from medlora.data.forms.form import Row, RowForm, system_of


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    turns = conversation(row, columns, "conversations", line)
    return turns if turns[0].role == "system" else (*system_of(row, columns, line), *turns)


FORM = RowForm(
    "sharegpt",
    ("conversations",),
    _read,
    answer="conversations",
    has_tools=True,
    precedence=4,
)

"""Rows of {text}, all of which is learnt (continued pre-training)."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.form import Row, RowForm, text_of


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    return (Message("text", text_of(row, columns, "text", line), learn=True),)


FORM = RowForm("text", ("text",), _read, answer=None, is_last_resort=True)

"""Rows of OpenAI's `messages`: a list of {role, content}."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.conversation import conversation
from medlora.data.forms.form import Row, RowForm


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    return conversation(row, columns, "messages", line)


FORM = RowForm("messages", ("messages",), _read, answer="messages", has_tools=True, precedence=5)

"""Rows of {prompt, response}, and an optional `system`."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.form import Row, RowForm, text_of, turns_of


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    prompt = text_of(row, columns, "prompt", line)
    response = text_of(row, columns, "response", line)
    return turns_of(row, columns, line, prompt=prompt, answer=response)


FORM = RowForm("prompt_response", ("prompt", "response"), _read, answer="response", precedence=2)

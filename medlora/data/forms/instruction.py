"""Rows of {instruction, input, output} (Alpaca); `input` and `system` are optional."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.form import Row, RowForm, text_of, turns_of


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    task = text_of(row, columns, "instruction", line)
    context = text_of(row, columns, "input", line, optional=True)
    output = text_of(row, columns, "output", line)
    prompt = f"{task}\n\n{context}" if context.strip() else task
    return turns_of(row, columns, line, prompt=prompt, answer=output)


FORM = RowForm("instruction", ("instruction", "output"), _read, answer="output", precedence=3)

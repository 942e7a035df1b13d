"""Rows of {question, answer}, and an optional `system`."""

from medlora.config import ColumnsConfig
from medlora.data.conversation_record import Message
from medlora.data.forms.form import Row, RowForm, text_of, turns_of


def _read(row: Row, columns: ColumnsConfig, line: int) -> tuple[Message, ...]:
    question = text_of(row, columns, "question", line)
    answer = text_of(row, columns, "answer", line)
    return turns_of(row, columns, line, prompt=question, answer=answer)


FORM = RowForm("question_answer", ("question", "answer"), _read, answer="answer", precedence=1)

"""`data`: which rows, and how they become tokens."""

import codecs
import json
import re
from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, JsonValue

from medlora.config.declaration import Section, as_list, key
from medlora.config.row_form_names import RowFormName

# Arguments of apply_chat_template that are no template's.
_NOT_FOR_TEMPLATES = frozenset(
    ("messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt")
)


def _as_arguments(value: object) -> object:
    """Read JSON from a variable or an option as an object; leave everything else alone."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _for_templates(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse arguments that a template does not get from here."""
    for name in value:
        if name in _NOT_FOR_TEMPLATES or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(name)
    return value


# Of files; names are those of IANA.  UTF-16 without a byte order mark needs its order told.
Encoding = Literal[
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1256",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "macintosh",
    "gb18030",
    "shift_jis",
    "euc-kr",
]


def _usual_encoding(value: object) -> object:
    """Read any name of an encoding, `cp1252`, as the usual one; leave everything else alone."""
    try:
        wanted = codecs.lookup(str(value)).name
    except (LookupError, ValueError):
        return value
    return next((name for name in get_args(Encoding) if codecs.lookup(name).name == wanted), value)


def _real_date(value: str | None) -> str | None:
    """Refuse what is no day of the calendar."""
    if value is not None:
        date.fromisoformat(value)
    return value


class ColumnsConfig(Section):
    """Our field -> the name that it has in the file."""

    prompt: str = key("prompt", description="the question")
    response: str = key("response", description="the answer")
    instruction: str = key("instruction", description="the task")
    input: str = key("input", description="text that goes with the task; optional")
    output: str = key("output", description="the task's answer")
    system: str = key("system", description="system message; optional")
    messages: str = key("messages", description="list of {role, content}")
    question: str = key("question", description="what is asked, with data.columns.answer")
    answer: str = key("answer", description="the answer to data.columns.question")
    conversations: str = key("conversations", description="list of {from, value} (ShareGPT)")
    text: str = key("text", description="plain text, learnt as a whole (continued pre-training)")


class DataConfig(Section):
    """Which rows, and how they become tokens."""

    path: str | None = key(
        None,
        decides="input",
        path_to="folder",
        description="folder with the data, a file, or a pattern of some",
    )
    cache_dir: str | None = key(
        None,
        min_length=1,
        decides="output",
        reproduced=False,
        path_to="folder",
        description="folder for what is kept of the data from start to start: tokens, audits, "
        "scans, as confidential as the data; unset: training.output_dir",
    )
    train_file: Annotated[list[str] | None, BeforeValidator(as_list)] = key(
        None,
        min_length=1,
        decides="input",
        path_to="file",
        description="training files, or patterns; unset: found in data.path",
    )
    eval_file: Annotated[list[str] | None, BeforeValidator(as_list)] = key(
        None,
        min_length=1,
        decides="input",
        path_to="file",
        description="evaluation files, or patterns; unset: found in data.path",
    )
    encoding: Annotated[Encoding, BeforeValidator(_usual_encoding)] = key(
        "utf-8",
        decides="input",
        description="how letters stand in all data files but Parquet, which says so itself",
    )
    eval_fraction: float = key(
        0.05,
        ge=0,
        le=0.5,
        unit="share of the rows",
        description="share of rows held out where there is no evaluation file; 0: none",
    )
    format: RowFormName = key("auto", description="form of a row; auto looks at each row's fields")
    columns: ColumnsConfig = ColumnsConfig()
    chat_template: str | None = key(
        None,
        min_length=1,
        source="Hugging Face, apply_chat_template",
        decides="input",
        path_to="file",
        description="Jinja file instead of the base's own chat template, or the name of one of "
        "several that it has; saved with the adapter",
    )
    chat_template_kwargs: Annotated[
        dict[str, JsonValue], BeforeValidator(_as_arguments), AfterValidator(_for_templates)
    ] = key(
        {},
        description="arguments of the chat template, e.g. {enable_thinking: false}; the same in "
        "training, evaluation and generation",
        must_be="names with values, e.g. {enable_thinking: false}",
    )
    chat_template_date: Annotated[str | None, AfterValidator(_real_date)] = key(
        None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="what a chat template that asks for the date takes for today; unset: the day "
        "of the run's first attempt",
        must_be="a date, e.g. 2026-01-31, or null",
    )
    reasoning: Literal["auto", "keep", "drop"] = key(
        "auto",
        description="thoughts before answers (reasoning_content, or <think> in the text): taught "
        "where the chat template has a place for them, always, or never",
    )
    control_tokens: Literal["text", "fail"] = key(
        "text",
        description="control tokens that a row's text spells: they stay text, or the row is an "
        "error",
    )
    merge_system: bool = key(
        False,
        description="put a system message before the first question where the chat template has "
        "no such role",
    )
    group_by: str | None = key(
        None,
        min_length=1,
        description="field whose rows stay on one side of a held-out split, e.g. patient_id",
    )
    leakage: Literal["warn", "fail"] = key(
        "warn",
        decides="start",
        description="evaluation rows that stand in the training rows too: say so, or refuse",
    )
    max_length: int = key(
        1024,
        ge=8,
        unit="tokens",
        also=("max_seq_len", "max_seq_length", "sequence_len"),
        description="tokens of a row; the model's own limit also holds",
    )
    overlong: Literal["truncate", "drop", "fail"] = key(
        "truncate", description="rows over max_length: cut the end, leave out, or refuse"
    )
    privacy: Literal["block", "warn", "off"] = key(
        "block",
        description="identifiers of people in the rows: refuse those that have a form of their "
        "own and warn of names and places, warn of all, or do not look",
    )

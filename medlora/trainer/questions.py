"""Which questions a model is asked while it trains, and when; only numbers come of it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medlora.config import RunConfig, TrainingConfig
from medlora.data.chat.chat import Chat
from medlora.data.conversation_record import Record
from medlora.data.data_files import find
from medlora.data.folding import folded
from medlora.errors import ConfigError, DataError
from medlora.evaluate.generate import encode_prompt
from medlora.files import read_named
from medlora.inputs.prepare import InputFiles, Prepared, held_out_records, positions
from medlora.report.manifest_schema import Asked

HELD_OUT = 8  # questions, where no file names them


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked, and what a manifest may say of it."""

    prompts: tuple[str, ...] = ()
    facts: Asked | None = None


def choose_questions(input_files: InputFiles, prepared: Prepared, config: RunConfig) -> Questions:
    """Return the questions that the config asks for: those of a file, or of held-out rows.

    One of a file that the base has too few positions for is refused now, not when it is asked.

    Args:
        input_files: where the inputs are.
        prepared: the rows.
        config: of the run.

    Raises:
        ConfigError: there is nothing to ask.
        DataError: the file or one of its questions cannot be used.
        MissingPartError: there is no such file.
        StorageError: it cannot be read.
    """
    cfg = config.training
    if cfg.generation_steps is None:
        return Questions()
    chat, limit = prepared.chat, positions(input_files.base)
    if cfg.generation_prompts is None:
        held_out = held_out_records(input_files, prepared, config.data)
        prompts = _first_fitting(held_out, chat, limit)
        facts: Asked = {"from": "held-out rows", "prompts": len(prompts)}
    else:
        file = find(
            cfg.generation_prompts, "training.generation_prompts", input_files.data.train.folder
        )
        content = read_named(file, fix="name a text file in training.generation_prompts")
        prompts = _lines(file, content, chat, limit)
        digest = hashlib.sha256(content).hexdigest()
        facts = {"from": str(file), "sha256": digest, "prompts": len(prompts)}
    check_questions(cfg, prompts)
    return Questions(prompts, facts)


def check_questions(cfg: TrainingConfig, prompts: Sequence[str]) -> None:
    """Refuse to look at answers where nothing is asked.

    Raises:
        ConfigError: training.generation_steps is set and there is no question.
    """
    if cfg.generation_steps is not None and not prompts:
        raise ConfigError(
            "training.generation_steps is set, but there is no question to ask",
            fix="name a file of questions in training.generation_prompts, or hold rows out",
        )


def _first_fitting(held_out: Iterable[Record], chat: Chat, limit: int | None) -> tuple[str, ...]:
    """Return the first user turns of a few held-out rows, each question once."""
    chosen: dict[str, str] = {}
    for record in held_out:
        prompt = record.question
        if prompt and folded(prompt) not in chosen and _fits(chat, prompt, limit):
            chosen[folded(prompt)] = prompt
        if len(chosen) == HELD_OUT:
            break
    return tuple(chosen.values())


def _fits(chat: Chat, prompt: str, limit: int | None) -> bool:
    try:
        encode_prompt(chat, prompt, limit=limit)
    except DataError:
        return False
    return True


def _lines(file: Path, content: bytes, chat: Chat, limit: int | None) -> tuple[str, ...]:
    """Return the questions of a file; its errors name the line and never quote it."""
    if file.suffix in (".json", ".jsonl"):
        raise DataError(
            f"{file}: training.generation_prompts must name a plain text file with one question "
            "a line",
            fix="write the questions into a .txt file; rows with answers belong to data.eval_file",
        )
    try:
        lines = content.decode("utf-8-sig").split("\n")  # splitlines() also splits within a line
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: byte {error.start} is not UTF-8", fix="save it as UTF-8"
        ) from None
    prompts = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            encode_prompt(chat, line.strip(), limit=limit)
        except DataError as error:
            raise DataError(f"{file}:{number}: {error.problem}", fix=error.fix) from None
        prompts.append(line.strip())
    return tuple(prompts)

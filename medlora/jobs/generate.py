"""`medlora generate`: ask an adapter on its base; a prompt, a file of them, or a conversation.

Answers go where they were asked for, to standard output or a file; no log line has a word of them.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from medlora.data.chat.chat import Chat
from medlora.data.prompt_file import Asked, conversation, read_prompts, text_prompts
from medlora.errors import DataError, listed
from medlora.escape import escaped
from medlora.evaluate.generate import Answer, encode_prompt, generate, speak
from medlora.files import json_line, write_bytes
from medlora.logs import logger, show
from medlora.model.kinds import position_limit
from medlora.model.quantize import check_quantizer
from medlora.plan.resolve_run import Plan
from medlora.runs.load_adapter import (
    base_of,
    load_adapted,
    read_adapter,
    trained_config,
)
from medlora.train.step_in_pieces import memory_errors

_log = logger(__name__)
_INPUT = Path("-")
_HELP = "/end ends, /new begins a new conversation"


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What the command line asks for."""

    prompts: tuple[str, ...] = ()
    file: Path | None = None
    system: str | None = None
    compare: bool = False
    chat: bool = False
    max_new_tokens: int = 300
    batch_size: int = 8
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Base and adapter in one model."""

    model: Any
    chat: Chat
    names: tuple[str, ...]  # of those who answer: the adapter, and the base before it if wanted
    options: GenerateOptions

    @property
    def limit(self) -> int | None:
        """How many positions the base has."""
        return position_limit(self.model.config)

    def each(self, answer: Callable[[str], Any]) -> dict[str, Any]:
        """Return what each of them answers."""
        answers = {}
        for name in self.names:
            if name == "base":
                with self.model.disable_adapter():
                    answers[name] = answer(name)
            else:
                answers[name] = answer(name)
        return answers


def run(folder: Path, plan: Plan, options: GenerateOptions) -> None:
    """Answer what is asked.

    Args:
        folder: a run's folder, one of its checkpoints, or an adapter that PEFT saved.
        plan: where the base is, if not where the manifest says; how to load it.
        options: what to ask.

    Raises:
        MissingPartError: there is no adapter, no base or no such file.
        IntegrityError: the adapter is damaged, or the base is another.
        DataError: a prompt cannot be asked.
        OutOfMemoryError: there is too little memory.
    """
    asked = _asked(options)
    adapter = read_adapter(folder)
    if adapter.is_rejected:
        _log.warning("this adapter was rejected by its run's gate")
    base, cfg = base_of(adapter, plan), trained_config(adapter, plan)
    check_quantizer(cfg.model)
    errors = memory_errors(
        "out of memory while the model answered",
        fix="lower --batch-size or --max-new-tokens, or load the base in half "
        "precision: --set model.dtype=bfloat16",
    )
    with errors:
        model, chat = load_adapted(cfg, base, adapter.folder)
        names = ("base", "adapter") if options.compare else ("adapter",)
        speaker = _Speaker(model, chat, names, options)
        if asked is None:
            _talk(speaker)
        else:
            _answer(speaker, asked)


def _asked(options: GenerateOptions) -> list[Asked] | None:
    """Return what is asked, None for a conversation."""
    given = [*map(bool, (options.prompts, options.file, options.chat))]
    if sum(given) > 1:
        raise click.UsageError("--prompt, --prompts and --chat exclude each other: choose one")
    if options.prompts:
        return [
            Asked(number, conversation(prompt, system=options.system))
            for number, prompt in enumerate(options.prompts, start=1)
        ]
    if options.file == _INPUT:
        asked = text_prompts(sys.stdin.read(), system=options.system)
        if not asked:
            raise DataError("standard input has no prompt", fix="write one per line")
        return asked
    if options.file:
        return read_prompts(options.file, system=options.system)
    if options.chat or sys.stdin.isatty():
        return None
    raise click.UsageError(
        "no prompt is given: use --prompt TEXT or --prompts FILE, or start it on a terminal to chat"
    )


def _answer(speaker: _Speaker, asked: Sequence[Asked]) -> None:
    """Answer prompts that do not hang together; print the answers, or write them."""
    options = speaker.options
    _check(speaker, asked)
    if len(asked) == 1 and speaker.names == ("adapter",) and not options.output:
        answer = _speak(speaker, asked[0].turns)
        click.echo()
        _tell_cut([answer], options)
        return

    def ask(_: str) -> list[Answer]:
        turns = [prompt.turns for prompt in asked]
        return generate(
            speaker.model,
            speaker.chat,
            turns,
            max_new_tokens=options.max_new_tokens,
            batch_size=options.batch_size,
        )

    by_model = speaker.each(ask)
    if options.output:
        write_bytes(options.output, _rows(asked, by_model))
        show(f"{len(asked)} prompts answered: {options.output}")
    else:
        _say(_shown(asked, by_model))
    _tell_cut([answer for answers in by_model.values() for answer in answers], options)


def _speak(speaker: _Speaker, turns: Sequence[dict[str, str]]) -> Answer:
    """Answer piece by piece, as it comes."""
    return speak(
        speaker.model,
        speaker.chat,
        turns,
        max_new_tokens=speaker.options.max_new_tokens,
        hear=lambda text: _say(text, nl=False),
    )


def _say(text: str, *, nl: bool = True) -> None:
    """Print an answer as it is, but to a terminal nothing that it would obey."""
    shown = escaped(text, keep="\n\t") if sys.stdout.isatty() else text
    click.echo(shown, nl=nl, color=True)  # or click would take out of a file what is no text


def _check(speaker: _Speaker, asked: Sequence[Asked]) -> None:
    """Refuse prompts that the model cannot take, all in one message, before any is answered."""
    problems = []
    for prompt in asked:
        try:
            encode_prompt(speaker.chat, prompt.turns, limit=speaker.limit)
        except DataError as error:
            problems.append(f"prompt {prompt.line}: {error.headline}")
    if problems:
        what = f"prompts of {speaker.options.file or 'the command line'} cannot be used"
        fix = "shorten these prompts; the template may also refuse a system turn"
        raise DataError(listed(problems, what=what), fix=fix)


def _rows(asked: Sequence[Asked], by_model: dict[str, list[Answer]]) -> bytes:
    """Return JSON Lines with the same names as those of `medlora evaluate --generations`."""
    rows = []
    for place, prompt in enumerate(asked):
        answered = {name: answers[place]._asdict() for name, answers in by_model.items()}
        row = {"line": prompt.line, "messages": list(prompt.turns), **answered}
        rows.append(json_line(row))
    return b"".join(rows)


def _shown(asked: Sequence[Asked], by_model: dict[str, list[Answer]]) -> str:
    blocks = []
    for place, prompt in enumerate(asked):
        lines = [f"[{prompt.line}] {prompt.turns[-1]['content']}"] if len(asked) > 1 else []
        if len(by_model) == 1:
            lines += [answers[place].text for answers in by_model.values()]
        else:
            lines += [f"{name}: {answers[place].text}" for name, answers in by_model.items()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _tell_cut(answers: Sequence[Answer], options: GenerateOptions) -> None:
    cut = sum(answer.cut for answer in answers)
    if cut:
        _log.info(
            "%d of %d answers were cut off at %d tokens (--max-new-tokens)",
            cut,
            len(answers),
            options.max_new_tokens,
        )


def _talk(speaker: _Speaker) -> None:
    """Hold a conversation on a terminal; base and adapter each remember their own answers."""
    system = speaker.options.system
    start = [{"role": "system", "content": system}] if system else []
    history: dict[str, list[dict[str, str]]] = {name: [*start] for name in speaker.names}
    _log.info("conversation: %s", _HELP)
    while (line := _line()) not in (None, "/end"):
        if not line:
            continue
        if line == "/new":
            history = {name: [*start] for name in speaker.names}
            continue
        try:
            _exchange(speaker, history, line)
        except DataError as error:  # the conversation has grown too long, and is not lost
            _log.warning("%s (%s)", error.headline, _HELP)


def _exchange(speaker: _Speaker, history: dict[str, list[dict[str, str]]], line: str) -> None:
    """Have each of them answer a line; it joins the histories only once all have."""
    turn = {"role": "user", "content": line}
    for turns in history.values():
        encode_prompt(speaker.chat, [*turns, turn], limit=speaker.limit)  # or nobody answers

    def answer(name: str) -> list[dict[str, str]]:
        click.echo(f"{name}> " if len(speaker.names) > 1 else "", nl=False)
        turns = [*history[name], turn]
        answer = _speak(speaker, turns)
        click.echo()
        _tell_cut([answer], speaker.options)
        return [*turns, {"role": "assistant", "content": answer.text}]

    history.update(speaker.each(answer))


def _line() -> str | None:
    """Return what somebody types, None at the end of the input."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  (gives input its line editing; its history is kept nowhere)
    try:
        return input("you> " if sys.stdin.isatty() else "").strip()
    except EOFError:
        return None

"""A base model's chat template: compiled once, the same on every day, and within limits.

Source: transformers' `apply_chat_template`, whose environment and arguments these are.
"""

import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property, lru_cache
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError
from transformers.utils.chat_template_utils import _compile_jinja_template

from medlora.errors import ConfigError
from medlora.runtime.fork import fork
from medlora.runtime.library_call_limits import TooSlowError, time_limit

Turns = Sequence[Mapping[str, Any]]  # messages as templates read them: role, content, more
_MARK = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")
_CLOCK = "strftime_now"
# Far more than any template needs: the slowest that is known takes 2 ms for a row.
ROW_S = 10.0
_TRIAL_S, TRIAL_CPU_S = 60, 5  # on a busy machine the first may be long
_TRIAL_BYTES = 1 << 30
_FIX = "fix the template, or name another one in data.chat_template"

# Used where the tokenizer has no chat template of its own.  Saved with the adapter, so that
# whoever serves it renders the same text.
PLAIN_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Question\n' + message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '### Answer\n' }}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\n\n' }}"
    "{% else %}{{ raise_exception('the plain template knows system, user and assistant') }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Answer\n' }}{% endif %}"
)


def today() -> date:
    """Return the day that it is here."""
    return datetime.now(UTC).astimezone().date()


class RefusedError(Exception):
    """A template does not render some messages; the reason is safe to show.

    `is_deliberate` tells that its author refuses them; else it fails.
    """

    def __init__(self, reason: str, *, is_deliberate: bool = False) -> None:
        super().__init__(reason)
        self.is_deliberate = is_deliberate


def without_marks(template: str) -> str:
    """Return a template that renders the same and has no `{% generation %}` marks.

    They are Hugging Face's own: other engines of Jinja refuse a template that has them.  A
    condition that always holds stands in their place, for it trims spaces in the same way.
    """
    return _MARK.sub(lambda m: f"{m[1]}{'endif' if m[2] else 'if true'}{m[3]}", template)


@dataclass(frozen=True)
class Template:
    """A chat template with all that it is rendered with beside the messages.

    Attributes:
        name: what errors call it.
        source: Jinja.
        names: bos_token and the like, as templates call them.
        arguments: `data.chat_template_kwargs`.
        day: what it takes for today.
    """

    name: str
    source: str
    names: Mapping[str, str]
    arguments: Mapping[str, Any]
    day: date

    @cached_property
    def _compiled(self) -> Any:  # noqa: ANN401  (untyped)
        try:
            return _compile_jinja_template(self.source)
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"{self.name}:{error.lineno}: the chat template cannot be read: {error.message}",
                fix=_FIX,
            ) from None
        except (SyntaxError, RecursionError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.name}: the chat template cannot be read ({type(error).__name__})", fix=_FIX
            ) from None

    @property
    def asks_for_the_date(self) -> bool:
        """Whether what it renders can depend on the day."""
        return _CLOCK in self.source

    def check(self) -> None:
        """Refuse a template that cannot be read, or that breaks limits at its first use.

        Raises:
            ConfigError: says where it is wrong, or which limit it breaks.
        """
        broken = _broken_limit(_Tried(self))  # compiling works out constants: it is tried as well
        if broken:
            raise ConfigError(
                f"{self.name}: the chat template {broken}, for two messages", fix=_FIX
            )
        self._compiled  # noqa: B018  (raises)

    @contextmanager
    def limited(self, what: str) -> Iterator[None]:
        """Limit the time in which something is rendered.

        Args:
            what: names it; of a template that is too slow for one row, no other is tried.

        Raises:
            ConfigError: it takes longer.
        """
        try:
            with time_limit(ROW_S):
                yield
        except TooSlowError as error:
            raise ConfigError(
                f"{self.name}: the chat template {error}, for {what}", fix=_FIX
            ) from None

    def render(
        self, turns: Turns, *, tools: Sequence[Any] | None = None, answer_next: bool = False
    ) -> str:
        """Return the text of a conversation.

        Args:
            turns: the messages.
            tools: their functions as JSON Schemas.
            answer_next: end with what opens the assistant's turn.

        Raises:
            RefusedError: the template does not take these messages, fails, or does not end.
        """
        with self._failures():
            return str(self._compiled.render(**self._given(turns, tools, answer_next=answer_next)))

    def _given(
        self, turns: Turns, tools: Sequence[Any] | None, *, answer_next: bool
    ) -> dict[str, Any]:
        return {
            **self.names,
            _CLOCK: self._clock,
            "documents": None,
            **self.arguments,
            "messages": turns,
            "tools": tools,
            "add_generation_prompt": answer_next,
        }

    def _clock(self, form: str) -> str:
        return datetime.combine(self.day, time()).strftime(form)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Tell in our words why a template fails: its own refusal, or a fault with its line."""
        try:
            yield
        except MemoryError:
            raise RefusedError("needs more memory than there is") from None
        except Exception as error:  # noqa: BLE001  (a template can raise whatever Python can)
            if type(error) is TemplateError:
                why = f"refuses the conversation{self._words(error)}"
                raise RefusedError(why, is_deliberate=True) from None
            raise RefusedError(f"fails{_line_of(error)} ({type(error).__name__})") from None

    def _words(self, error: TemplateError) -> str:
        """Return what its author says, if it is written in the template and so in no row."""
        words = str(error.message or "").strip()
        known = words and words in self.source.replace("\\'", "'").replace('\\"', '"')
        return f": {words[:200]}" if known and words.isprintable() else ""


def _line_of(error: BaseException) -> str:
    """Return ` at line N` of the template, where the trace leads through one."""
    line, trace = None, error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" at line {line}" if line else ""


class _Tried:
    """A template that is equal to another of the same text: a process tries each text once."""

    def __init__(self, template: Template) -> None:
        self.template = template

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tried) and self.template.source == other.template.source

    def __hash__(self) -> int:
        return hash(self.template.source)


@lru_cache(maxsize=64)
def _broken_limit(tried: _Tried) -> str | None:
    """Render a question and an answer where little time and memory is; return what is broken."""
    template = tried.template
    process = fork()  # it runs the template and nothing else
    if process == 0:
        code = 1
        try:
            code = _trial(template)
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == _LARGE:
        return "asks for more than 1 GiB"
    return f"does not finish within {TRIAL_CPU_S} s" if code < 0 else None


_LARGE = 12


def _trial(template: Template) -> int:
    """Return how the rendering of two messages ended; whether they are refused is no matter."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (TRIAL_CPU_S, TRIAL_CPU_S + 1))
    signal.alarm(_TRIAL_S)  # kills this process
    with suppress(ValueError, OSError):
        limit = _address_space() + _TRIAL_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.setrecursionlimit(5000)
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
    for given, answer_next in ((turns, False), (turns[:1], True)):
        arguments = template._given(given, None, answer_next=answer_next)  # noqa: SLF001
        try:
            template._compiled.render(**arguments)  # noqa: SLF001
        except MemoryError:
            return _LARGE
        except Exception:  # noqa: BLE001, S112  (told by whoever renders)
            continue
    return 0


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()

"""A refusal is held against what plain transformers does with the same conversation."""

from pathlib import Path

import pytest

from tests.conformance.bases import make_base
from tests.conformance.conversations import conversations
from tests.conformance.judge import Server
from tests.conformance.refusals import told_right
from tests.conformance.templates import SMALL, server_of, templates_in

TEMPLATES = {one.name: one for one in templates_in(SMALL)}
NO_TOOLS = "the chat template leaves out the row's tools"
NO_CALLS = "the chat template leaves out the tool calls of message 2"
NO_TEXT = "the chat template leaves out the text of message 1 (user)"
OTHERWISE = "the chat template renders the turns before message {} differently once"
REFUSED = "the chat template refuses the conversation: no"


@pytest.mark.parametrize(
    ("template", "conversation", "why", "is_right"),
    [
        ("chatml", "tools", NO_TOOLS, True),
        ("tools", "tools", NO_TOOLS, False),
        ("chatml", "tool calls", NO_CALLS, True),
        ("tools", "tool calls", NO_CALLS, False),
        ("chatml", "one turn", NO_TEXT, False),
        ("refuses_system", "system", REFUSED, True),
        ("chatml", "system", REFUSED, False),
        ("chatml", "one turn", "the chat template changes the text of message 2", False),
        ("chatml", "one turn", "the chat template writes the text of message 2 2 times", False),
        ("chatml", "two answers", OTHERWISE.format(3), False),
        ("other_end_in_the_last_turn", "several turns", OTHERWISE.format(4), False),
        ("system_in_last_question", "system", OTHERWISE.format(3), True),
        (
            "chatml",
            "one turn",
            "the chat template puts an end token (<|im_end|>) into message 2",
            False,
        ),
        ("chatml", "one turn", "the chat template opens a reasoning block before message 2", False),
        (
            "open_thought_in_every_turn",
            "one turn",
            "opens a reasoning block before message 2",
            True,
        ),
        ("chatml", "control in answer", "a message contains a control token", True),
        ("chatml", "one turn", "a message contains a control token", False),
        ("chatml", "one turn", OTHERWISE.partition(" (")[0], False),
        ("chatml", "one turn", "words that nobody looks into", False),
    ],
)
def test_untrue_refusal_is_seen(
    tmp_path: Path, template: str, conversation: str, why: str, is_right: bool
) -> None:
    """The template does have what the refusal says that it lacks, or does take the turns."""
    server = _server(tmp_path / "base", template)
    case = next(one for one in conversations(()) if one.name == conversation)
    assert told_right(server, case, why) == is_right


def _server(folder: Path, name: str) -> Server:
    family = TEMPLATES[name].family
    return server_of(
        make_base(
            folder,
            TEMPLATES[name].source,
            special_tokens=family.special,
            stops=family.stops,
            bos=family.bos,
            weights=False,
        )
    )

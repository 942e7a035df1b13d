"""A renderer as many are written: what it does wrong is what the judge must see."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.conversations import Row, messages_of


@dataclass(frozen=True, slots=True)
class NaiveExample:
    """Token ids, and for each whether it is learnt."""

    row: int
    ids: list[int]
    learn: list[int]


def render(rows: Sequence[Row], base: Path, arguments: Mapping[str, Any]) -> Iterator[NaiveExample]:
    """Yield one example a row: an answer is what a template adds, or else where its text stands.

    Fields beside role and content are not looked at, and control tokens in texts are obeyed.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    for number, row in enumerate(rows, start=1):
        messages = [{"role": m["role"], "content": m["content"]} for m in messages_of(row)]

        def text(until: int, messages: list[Row] = messages, *, answer_next: bool = False) -> str:
            return tokenizer.apply_chat_template(
                messages[:until], tokenize=False, add_generation_prompt=answer_next, **arguments
            )

        whole = text(len(messages))
        spans = []
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                before, until = text(place, answer_next=True), text(place + 1)
                if not whole.startswith(until) or not until.startswith(before):
                    before = whole[: max(whole.find(message["content"]), 0)]
                    until = before + message["content"]
                spans.append((len(before), len(until.rstrip())))
        yield _learnt_within(tokenizer, number, whole, spans)


def _learnt_within(
    tokenizer: Any, row: int, text: str, spans: Sequence[tuple[int, int]]
) -> NaiveExample:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    ends = [end for _, end in encoded["offset_mapping"]]
    learn = [int(any(start < end <= stop for start, stop in spans)) for end in ends]
    length = max((place for place, one in enumerate(learn, start=1) if one), default=0)
    return NaiveExample(row, ids[:length], learn[:length])

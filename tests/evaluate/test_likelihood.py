"""Log-likelihoods are those of the plain model, whatever shares a batch."""

from pathlib import Path

import pytest
import torch

from medlora.config import ModelConfig
from medlora.data.conversation_record import Message, Record
from medlora.errors import OutOfMemoryError
from medlora.evaluate.ask_suite import Asking
from medlora.evaluate.item_tokens import choice_rows, conversation_rows
from medlora.evaluate.kinds.choices import Choice, choice_likelihoods, question_text
from medlora.evaluate.kinds.perplexity import Text, scored_parts
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.likelihood import log_likelihoods
from medlora.evaluate.shrinking_batches import in_batches
from medlora.evaluate.suite import Suite
from medlora.model.base import load_base
from medlora.train.forward import Forward

QUESTIONS = tuple(
    Choice(n + 1, f"is {n} pain " + "rest " * n, "back " * 2 * n, ("yes", "no", "may be so"), n % 3)
    for n in range(18)
)


def suite_of(kind: str, items: tuple) -> Suite:
    """A suite without a file."""
    return Suite(Path("s.jsonl"), kind, "0" * 64, len(items), items)


@pytest.fixture
def model(base_folder: Path):
    """The small Llama."""
    return load_base(base_folder, ModelConfig(), half=None)


def plainly(model, tokenizer, item: Choice, limit: int) -> list[float]:
    """The definition: one row at a time, without batch, padding or sharing."""
    context, sums = tokenizer.encode(question_text(item)), []
    for choice in item.choices:
        ids = tokenizer.encode(f"{question_text(item)} {choice}")
        count = len(ids) - len(context)
        ids = ids[-(limit + 1) :]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-1]])).logits[0]
        shares = torch.log_softmax(logits.double(), -1)
        targets = ids[1:]
        sums.append(
            sum(float(shares[p, targets[p]]) for p in range(len(targets) - count, len(targets)))
        )
    return sums


def test_choices_are_scored_by_the_definition_in_any_batch(model, chat) -> None:
    """To 1e-4, also where the question is longer than the model's 64 positions."""
    suite = suite_of("choices", QUESTIONS)
    lengths = [len(chat.tokenizer.encode(question_text(item))) for item in QUESTIONS]
    assert min(lengths) < 64 < max(lengths)
    expected = [plainly(model, chat.tokenizer, item, 64) for item in QUESTIONS]
    for batch_size in (1, 5, 16):
        found = choice_likelihoods(model, chat, suite, Asking(batch_size, 1))
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(theirs, abs=1e-4)


def test_accuracy_is_by_sum_and_by_length(model, chat) -> None:
    """The largest sum, and the largest sum a character, against the right answer."""
    suite = suite_of("choices", QUESTIONS)
    sums = choice_likelihoods(model, chat, suite, Asking(4, 1))
    flags = kind_of(suite).observe(model, chat, suite, Asking(4, 1), None).flags
    for place, item in enumerate(QUESTIONS):
        norms = [s / len(c) for s, c in zip(sums[place], item.choices, strict=True)]
        assert flags["accuracy"][place] == (sums[place].index(max(sums[place])) == item.answer)
        assert flags["accuracy_norm"][place] == (norms.index(max(norms)) == item.answer)


def test_short_choices_share_a_pass(model, chat) -> None:
    """Three choices that differ in their last token alone cost one row, not three."""
    item = Choice(1, "is it pain", "", ("a", "b", "c"), 0)
    rows, seen = choice_rows(chat, question_text(item), item.choices, limit=64), []
    assert len({len(row.ids) for row in rows}) == 1
    original, forward = model.model.forward, Forward(model)

    def count(*args, **kwargs):
        seen.append(kwargs["input_ids"].shape[0])
        return original(*args, **kwargs)

    model.model.forward = count
    found = log_likelihoods(model, rows, batch_size=8, forward=forward)
    assert seen == [1]
    assert found == pytest.approx(plainly(model, chat.tokenizer, item, 64), abs=1e-4)


def test_long_texts_are_scored_in_windows_each_token_once(model, chat) -> None:
    """A text of five times the model's positions: all tokens but the first are targets."""
    text = "see a doctor soon if pain stays " * 50
    suite = suite_of("perplexity", (Text(1, text), Text(2, "take care")))
    rows = list(conversation_rows(chat, suite, scored_parts, limit=64))
    count = len(chat.tokenizer.encode(text))
    assert count > 5 * 64
    assert sum(row.targets for row in rows[0]) == count - 1
    assert max(len(row.ids) for row in rows[0]) == 65
    seen = kind_of(suite).observe(model, chat, suite, Asking(3, 1), None)
    assert seen.targets == [count - 1, len(chat.tokenizer.encode("take care")) - 1]
    assert seen.values[0] / seen.targets[0] == pytest.approx(6, abs=1.5)  # 420 words, at random


def test_batches_shrink_where_memory_runs_out() -> None:
    """Nothing is lost or done twice; a single item that does not fit ends with 80."""
    sizes = []

    def compute(batch, *, fits=3):
        if len(batch) > fits:
            raise MemoryError
        sizes.append(len(batch))
        return [2 * item for item in batch]

    assert in_batches(range(10), compute, size=8) == [2 * item for item in range(10)]
    assert sizes == [2, 2, 2, 2, 2]
    with pytest.raises(OutOfMemoryError, match="a single row"):
        in_batches(range(3), lambda batch: compute(batch, fits=0), size=2)


def test_texts_and_conversations_of_one_suite_are_scored_in_its_order(chat) -> None:
    """Each as if it stood alone."""
    messages = Message("user", "the pain"), Message("assistant", "take care", learn=True)
    items = (
        Text(1, "the chest"),
        Record(2, messages),
        Text(3, "see a doctor"),
        Record(4, messages),
    )
    mixed = conversation_rows(chat, suite_of("perplexity", items), scored_parts, limit=64)
    alone = (
        next(iter(conversation_rows(chat, suite_of("perplexity", (item,)), scored_parts, limit=64)))
        for item in items
    )
    for several, single in zip(mixed, alone, strict=True):
        assert [row.ids.tolist() for row in several] == [row.ids.tolist() for row in single]

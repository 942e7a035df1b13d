"""A row's ending is scored as one pass alone would, and greedy decoding need not be run."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, GenerationConfig

from medlora.errors import OutOfMemoryError
from medlora.evaluate.row_ending_scores import Ending, score_endings, score_variants


@pytest.fixture(scope="module")
def model(base_folder: Path):
    """The small model with random weights."""
    return AutoModelForCausalLM.from_pretrained(base_folder).train()


class Successor(nn.Module):
    """A model of eight tokens that writes the next higher number, whatever was said before."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(8, 1)

    def get_input_embeddings(self) -> nn.Embedding:
        """Tell how many tokens there are."""
        return self.embeddings

    def forward(self, input_ids, **_):
        """Be sure of it."""
        return SimpleNamespace(logits=functional.one_hot(input_ids + 1, 8) * 9.0)


def ending(number: int) -> Ending:
    """A row of unequal length."""
    return Ending([(number * 31 + k * 17) % 400 for k in range(6 + number % 9)], 2 + number % 3)


def test_nats_are_those_of_a_row_alone(model) -> None:
    """Minus the log-likelihood of the ending's tokens, given all before."""
    one = ending(4)
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([one.ids])).logits[0].double()
    shares = torch.log_softmax(logits, -1)
    expected = -sum(float(shares[t - 1, one.ids[t]]) for t in range(one.start, len(one.ids)))
    assert score_endings(model, [one], batch_size=1)[0].nats == pytest.approx(expected, abs=1e-4)


def test_no_batch_size_changes_a_score(model, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-4, in the order that was asked in, and where logits are many, fewer rows at a time."""
    endings = [ending(number) for number in range(17)]
    model.train()
    alone = score_endings(model, endings, batch_size=1)
    assert model.training
    for size in (4, 16, 64):
        found = score_endings(model, endings, batch_size=size)
        assert [one.greedy for one in found] == [one.greedy for one in alone]
        assert [one.nats for one in found] == pytest.approx([one.nats for one in alone], abs=1e-4)
    large = SimpleNamespace(num_embeddings=1 << 27)  # a row's logits alone are many
    monkeypatch.setattr(model, "get_input_embeddings", lambda: large)
    calls = []
    assert len(score_endings(model, endings, batch_size=64, poll=lambda: calls.append(1))) == 17
    assert len(calls) == 17


@pytest.mark.parametrize("most", [2, 0])
def test_memory_that_runs_out_halves_the_batch(
    model, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """The scores are the same; where one row is too much, one error says so."""
    endings = [ending(number) for number in range(9)]
    expected = score_endings(model, endings, batch_size=9)
    rows = []

    def limited(input_ids, **rest):
        rows.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError
        return whole(input_ids=input_ids, **rest)

    whole = model.forward
    monkeypatch.setattr(model, "forward", limited)
    if not most:
        with pytest.raises(OutOfMemoryError, match="a single row"):
            score_endings(model, endings, batch_size=9)
        return
    scores = score_endings(model, endings, batch_size=9)
    assert rows == [9, 4, 2, 2, 2, 2, 1]
    assert [s.nats for s in scores] == pytest.approx([s.nats for s in expected], abs=1e-4)


def test_the_greedy_match_is_what_generating_gives(model) -> None:
    """Own continuations match in full; a changed token ends the match where it stands."""
    prompt = [5, 80, 210]
    settings = GenerationConfig(max_new_tokens=8, do_sample=False, eos_token_id=419, pad_token_id=0)
    with torch.no_grad():
        said = model.eval().generate(torch.tensor([prompt]), generation_config=settings)[0].tolist()
    assert len(said) == 11
    other = [*said[:7], (said[7] + 1) % 400, *said[8:]]
    found = score_endings(model, [Ending(said, 3), Ending(other, 3)], batch_size=2)
    assert [one.greedy for one in found] == [8, 4]


def test_variants_of_one_text_score_as_if_each_were_read_whole(model) -> None:
    """To 1e-4, for any batch size, also where one begins to differ before its ending."""
    text = [(k * 23) % 400 for k in range(12)]
    variants = [
        Ending([*text, *((n * k + 7) % 400 for k in range(3 + n % 4))], 12) for n in range(9)
    ]
    odd = [*variants, Ending([9, *text, 5], 12)]
    for some in (variants, [*variants, Ending([*text[:10], 3, 5], 11)], odd):
        whole = score_endings(model, some, batch_size=3)
        for size in (1, 4, 16):
            model.train()
            found = score_variants(model, some, batch_size=size)
            assert model.training
            assert [one.nats for one in found] == pytest.approx(
                [one.nats for one in whole], abs=1e-4
            )
            assert [one.greedy for one in found] == [one.greedy for one in whole]


def test_a_match_ends_at_the_first_token_that_greedy_decoding_would_not_write() -> None:
    """Tokens that happen to be right behind it do not count."""
    (score,) = score_endings(Successor(), [Ending([0, 1, 2, 4, 5], 1)], batch_size=1)
    assert score.greedy == 2

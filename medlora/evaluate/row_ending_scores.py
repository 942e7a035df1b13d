"""How likely a model finds the end of a row of tokens, and how much of it it would write itself.

Rows of a batch do not see each other and padding is masked, so that in float32 no number depends
on the batch size by more than 1e-4.

B rows, T positions, V vocabulary entries.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from medlora.evaluate.shrinking_batches import in_batches
from medlora.train.forward import evaluation_mode

_MOST_LOGITS = 2**27  # numbers that exist at once; fewer rows are asked where it would be more


class Ending(NamedTuple):
    """A row of tokens; those from `start`, at least 1, are asked about."""

    ids: Sequence[int]
    start: int


class Score(NamedTuple):
    """What a model says to an ending."""

    nats: float  # minus the logarithm of its likelihood, given what stands before
    greedy: int  # tokens of it, from its first on, that greedy decoding writes itself


def score_endings(
    model: Any,  # noqa: ANN401  (a causal language model, with or without an adapter)
    endings: Sequence[Ending],
    *,
    batch_size: int,
    poll: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Return one score for each ending, in their order; the model's mode is left as it was.

    Greedy decoding goes on with an ending for as long as each of its tokens is the most likely
    after all those before, so one pass over the true tokens tells how far: nothing has to be
    generated.

    Args:
        model: on its device.
        endings: what to score.
        batch_size: rows in a batch, at most.
        poll: called before each batch; what it raises ends the scoring.

    Raises:
        OutOfMemoryError: a single row does not fit.
    """
    order = sorted(range(len(endings)), key=lambda index: -len(endings[index].ids))

    def compute(batch: Sequence[Ending]) -> list[Score]:
        scores: list[Score] = []
        while len(scores) < len(batch):
            poll()
            rows = batch[len(scores) :]
            most = _MOST_LOGITS // (len(rows[0].ids) * _vocabulary(model))
            scores += _score(model, rows[: max(1, most)])
        return scores

    with torch.no_grad(), evaluation_mode(model):
        scores = in_batches([endings[index] for index in order], compute, size=batch_size)
    return [score for _, score in sorted(zip(order, scores, strict=True))]


def score_variants(
    model: Any,  # noqa: ANN401
    variants: Sequence[Ending],
    *,
    batch_size: int,
    poll: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Return what `score_endings` does, for many endings of one text, which is read once.

    Args:
        model: on its device; its mode is left as it was.
        variants: alike up to near where they are asked about.
        batch_size: rows in a batch, at most.
        poll: called before each batch; what it raises ends the scoring.

    Raises:
        OutOfMemoryError: a single row does not fit.
    """
    shared = _shared_tokens(variants)
    if not shared:
        return score_endings(model, variants, batch_size=batch_size, poll=poll)
    device = next(model.parameters()).device
    with torch.no_grad(), evaluation_mode(model):
        poll()
        ids = torch.tensor([variants[0].ids[:shared]], device=device)
        read = model(input_ids=ids, use_cache=True).past_key_values

        def compute(batch: Sequence[Ending]) -> list[Score]:
            poll()
            return _score_tails(model, batch, read, shared)

        return in_batches(variants, compute, size=batch_size)


def _shared_tokens(variants: Sequence[Ending]) -> int:
    """Return how many tokens all begin with; the last before an ending is never among them."""
    most = min(variant.start for variant in variants) - 1
    columns = zip(*(variant.ids[:most] for variant in variants), strict=True)
    return next((n for n, tokens in enumerate(columns) if len(set(tokens)) > 1), most)


def _score_tails(model: Any, rows: Sequence[Ending], read: Any, shared: int) -> list[Score]:  # noqa: ANN401
    device = next(model.parameters()).device
    tails = [torch.tensor(row.ids[shared:], dtype=torch.int64) for row in rows]
    seen = [torch.ones(shared + len(tail), dtype=torch.int64) for tail in tails]
    cache = copy.deepcopy(read)  # a pass adds to it
    cache.batch_repeat_interleave(len(rows))
    logits = model(
        input_ids=pad_sequence(tails, batch_first=True).to(device),
        attention_mask=pad_sequence(seen, batch_first=True).to(device),
        past_key_values=cache,
        use_cache=True,
    ).logits
    return [
        _score_of(logits[index, row.start - 1 - shared : len(tail) - 1], tail[row.start - shared :])
        for index, (row, tail) in enumerate(zip(rows, tails, strict=True))
    ]


def _score(model: Any, rows: Sequence[Ending]) -> list[Score]:  # noqa: ANN401
    device = next(model.parameters()).device
    ids = [torch.tensor(row.ids, dtype=torch.int64) for row in rows]
    mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True).to(device)
    inputs = pad_sequence(ids, batch_first=True).to(device)
    logits = model(input_ids=inputs, attention_mask=mask, use_cache=False).logits
    return [
        _score_of(logits[index, row.start - 1 : len(row.ids) - 1], ids[index][row.start :])
        for index, row in enumerate(rows)
    ]


def _score_of(logits: Tensor, tokens: Tensor) -> Score:
    tokens = tokens.to(logits.device)
    log_shares = torch.log_softmax(logits.float(), -1)
    at_tokens = log_shares.gather(1, tokens[:, None]).double()
    right = (log_shares.argmax(-1) == tokens).cumprod(0)
    return Score(-float(at_tokens.sum()), int(right.sum()))


def _vocabulary(model: Any) -> int:  # noqa: ANN401
    return int(model.get_input_embeddings().num_embeddings)

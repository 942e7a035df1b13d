"""Held-out loss in nats a target: a mean over tokens, not of batch means."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from medlora.data.batches import micro_batches
from medlora.data.micro_batches import Batch, move
from medlora.distributed.team import Team
from medlora.errors import DataError
from medlora.train.forward import Forward, evaluation_mode
from medlora.train.loss import count_targets
from medlora.train.step_in_pieces import RowLimit, is_out_of_memory, pieces_of


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The loss of a split."""

    loss: float  # nats a target
    targets: int


def held_out_loss(
    model: nn.Module,
    batches: Iterable[Batch | list[Batch]],
    *,
    device: torch.device,
    poll: Callable[[], None] = lambda: None,
    forward: Forward | None = None,
    team: Team | None = None,
) -> HeldOut:
    """Return the loss over all targets of a split; the model's mode is left as it was.

    Args:
        model: a causal language model.
        batches: micro-batches, or lists of them.
        device: where the model is.
        poll: called before each batch; what it raises ends the evaluation.
        forward: how the model is called, if that is known already.
        team: the workers that share the batches, each of which calls this alike.

    Raises:
        DataError: the split has no target.
        OutOfMemoryError: a single row does not fit.
        InterruptError: `poll` raised it on one of several workers.
        PeerLostError: a worker is gone.
    """
    forward, team = forward or Forward(model), team or Team()
    targets, limit = 0, RowLimit()
    # The sum is exact, so in whatever order the workers come.
    with torch.no_grad(), evaluation_mode(model), team.all_gather_or_raise() as nats:
        each = (batch for item in batches for batch in micro_batches(item))
        while group := list(islice(each, team.size)):
            targets += sum(count_targets(batch["labels"]) for batch in group)
            mine = team.rank < len(group)
            if not mine and not team.in_step:
                continue
            batch = group[team.rank] if mine else group[0]  # where others need this one's weights
            share = _nats_that_fit(forward, batch, device=device, limit=limit, poll=poll, team=team)
            if mine:
                nats.append(share)
    if not targets:
        raise DataError(
            "no token of the evaluation rows counts towards the loss",
            fix="add answers to them, or remove the evaluation file",
        )
    return HeldOut(math.fsum(nats) / targets, targets)


def _nats_that_fit(
    forward: Forward,
    batch: Batch,
    *,
    device: torch.device,
    limit: RowLimit,
    poll: Callable[[], None],
    team: Team,
) -> float:
    """Return the summed loss of a batch, in smaller pieces for as long as memory runs out."""
    while True:
        pieces, nats = pieces_of([batch], limit.rows), 0.0
        try:
            for piece in pieces:
                team.poll(poll)
                nats += float(forward.nats(move(piece, device)))
        except BaseException as error:
            if not is_out_of_memory(error) or team.in_step:
                raise
        else:
            return nats
        limit.shrink(pieces)

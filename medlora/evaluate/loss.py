"""Held-out loss in nats a target: a mean over tokens, not of batch means."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from medlora.data.batches import micro_batches
from medlora.data.layout import Batch, move
from medlora.distributed.team import Team
from medlora.errors import DataError
from medlora.train.forward import Forward, evaluation_mode
from medlora.train.loss import count_targets
from medlora.train.memory import Fit, is_out_of_memory, pieces_of


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
    targets, fit = 0, Fit()

    def pass_through() -> list[float]:
        nonlocal targets
        nats, each = [], (batch for item in batches for batch in micro_batches(item))
        while group := list(islice(each, team.size)):
            targets += sum(count_targets(batch["labels"]) for batch in group)
            mine = team.rank < len(group)
            if not mine and not team.in_step:
                continue
            batch = group[team.rank] if mine else group[0]  # where others need this one's weights
            found = _nats_that_fit(forward, batch, device=device, fit=fit, poll=poll, team=team)
            nats += [found] if mine else []
        return nats

    with torch.no_grad(), evaluation_mode(model):
        nats = math.fsum(team.together(pass_through))  # exact, so in whatever order
    if not targets:
        raise DataError(
            "the evaluation rows have no target", fix="give them answers, or set no eval file"
        )
    return HeldOut(nats / targets, targets)


def _nats_that_fit(
    forward: Forward,
    batch: Batch,
    *,
    device: torch.device,
    fit: Fit,
    poll: Callable[[], None],
    team: Team,
) -> float:
    """Return the summed loss of a batch, in smaller pieces for as long as memory runs out."""
    while True:
        pieces, nats = pieces_of([batch], fit.rows), 0.0
        try:
            for piece in pieces:
                team.poll(poll)
                nats += float(forward.nats(move(piece, device)))
        except BaseException as error:
            if not is_out_of_memory(error) or team.in_step:
                raise
        else:
            return nats
        fit.shrink(pieces)

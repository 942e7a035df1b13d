"""A micro-batch's loss, computed the leanest way that gives this very model's numbers.

B rows in a padded micro-batch, T positions, V vocabulary entries; a packed micro-batch is one row.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from medlora.data.micro_batches import LENGTHS, Batch
from medlora.errors import ConfigError, MissingPartError, reason_of
from medlora.model.autocast_dtype import HALVES
from medlora.model.kinds import CAUSAL_LM_HINT, is_chunked, sliding_layers
from medlora.model.onednn_linear import FrozenLinear
from medlora.model.packed_attention import records, windows_seen
from medlora.train.loss import log_shares, summed_nats, summed_target_nats

_PROBE = (3, 6)  # tokens of two records
_LARGE = 100.0  # a logit that every cap in use would cut
_CLOSE, _CLOSE_HALF = 1e-4, 3e-2  # of the largest number
_CAUSAL = 1e-3  # likewise; how many tokens an expert gets decides how it rounds


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Compute without dropout; the model's mode is put back."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


class Forward:
    """Calls a causal language model; asks it once what it can do.

    Models differ in what they do between the last hidden state and the logits (scales, caps),
    and in whether their attention can be held within records.  No list of names decides: a
    probe of a few tokens is computed in the plain way and in the lean one.

    Args:
        model: a causal language model, with or without an adapter; left in its mode.
        autocast: makes the context that it computes in.
        targets_only: whether logits may be left out where there is no target.

    Attributes:
        is_finite: whether any number that it computes is; without one, nothing can be learnt.
        packs: whether records that share a row stay apart.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        targets_only: bool = True,
    ) -> None:
        self._model, self._autocast = model, autocast
        whole: Any = model
        causal = whole.get_base_model() if hasattr(model, "get_base_model") else whole
        self._body: Any = getattr(causal, getattr(causal, "base_model_prefix", ""), None)
        self._head: Any = causal.get_output_embeddings() if targets_only and self._body else None
        self._config = causal.config
        self._embeddings: Callable[[], Any] = causal.get_input_embeddings
        self.targets_only = self.packs = self.is_finite = False
        with torch.no_grad(), evaluation_mode(model):
            self._probe()

    def nats(self, batch: Batch) -> Tensor:
        """Return the summed loss of a micro-batch in nats, float32 [].

        Raises:
            ConfigError: a token id does not exist in the model, or records share a row and
                this model's attention would let them see each other.
        """
        if LENGTHS in batch and not self.packs:
            raise ConfigError(
                "with packing, this base's attention would cross from one row to the next",
                fix="set training.packing: false",
            )
        with self._autocast():
            if self.targets_only:
                return summed_target_nats(self._hidden(batch), batch["labels"], self._head)
            return summed_nats(self._logits(batch), batch["labels"])

    def log_shares(self, batch: Batch, looked_at: Tensor, candidates: Tensor) -> Tensor:
        """Return the log probabilities of some tokens where they come next, float32 [N, C].

        Args:
            batch: input_ids and attention_mask, padded.
            looked_at: bool [B, T], N of them true.
            candidates: int64 [N, C], tokens that may follow these positions, in their order.
        """
        with self._autocast():
            if self.targets_only:
                states = self._hidden(batch)[looked_at]
                return log_shares(states, candidates, self._head)
            return log_shares(self._logits(batch)[looked_at], candidates, None)

    def _logits(self, batch: Batch) -> Tensor:
        """Return float [B, T, V]."""
        logits: Tensor = self._call(self._model, batch).logits
        return logits

    def _hidden(self, batch: Batch) -> Tensor:
        """Return what the head is applied to, float [B, T, H]."""
        hidden: Tensor = self._call(self._body, batch).last_hidden_state
        return hidden

    def _call(self, module: Any, batch: Batch) -> Any:  # noqa: ANN401
        ids = batch["input_ids"]
        try:
            if LENGTHS not in batch:
                return module(
                    input_ids=ids, attention_mask=batch["attention_mask"], use_cache=False
                )
            with records(batch[LENGTHS], ids.device) as bounds:
                return module(
                    input_ids=ids, position_ids=batch["position_ids"], use_cache=False, **bounds
                )
        except IndexError:
            raise ConfigError(
                "a token's id is beyond the model's vocabulary",
                fix="use the tokenizer that belongs to the base model",
            ) from None

    def _probe(self) -> None:
        """Find out which of the lean ways give the plain way's numbers."""
        self._check_causal()
        device = next(self._model.parameters()).device
        ids = torch.arange(1, 1 + sum(_PROBE), device=device)[None] % self._vocabulary
        with self._autocast():
            tolerance = rounding_tolerance(self._model, close=_CLOSE, half=_CLOSE_HALF)
            alone = torch.cat(
                [self._logits(_padded(p)) for p in torch.split(ids, list(_PROBE), dim=1)], dim=1
            )
            self.is_finite = bool(torch.isfinite(alone).any())
            with windows_seen() as windows:
                together = _succeeds(lambda: self._logits(_packed(ids)))
            self.packs = (
                _equal(together, alone, tolerance)
                and self._keeps_apart(ids, together)
                and self._sees_as_far(windows)
            )
            self.targets_only = self._head_is_all(_padded(ids), alone, tolerance)

    def _check_causal(self) -> None:
        """Refuse a model that sees what it has to predict, such as BERT, which would learn nothing.

        Raises:
            MissingPartError: another last token changes what is said before it.
        """
        device = next(self._model.parameters()).device
        ids = torch.arange(1, 1 + sum(_PROBE), device=device).repeat(2, 1)
        ids[1, -1] = 0
        with self._autocast():
            tolerance = rounding_tolerance(self._model, close=_CAUSAL, half=_CLOSE_HALF)
            logits, changed = self._first_logits(_padded(ids % self._vocabulary))[:, :-1]
        if not _equal(logits.nan_to_num(), changed.nan_to_num(), tolerance):
            raise MissingPartError(
                "this base is no causal language model: a later token changes an earlier one's "
                "prediction",
                fix=f"use a base {CAUSAL_LM_HINT}",
            )

    def _first_logits(self, batch: Batch) -> Tensor:
        """Return the logits of the first pass, which tells whether text alone is enough."""
        try:
            return self._logits(batch)
        except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise MissingPartError(
                f"a forward pass with text input only failed ({type(error).__name__}: "
                f"{reason_of(error)})",
                fix=f"use a base {CAUSAL_LM_HINT}",
            ) from error

    def _head_is_all(self, row: Batch, logits: Tensor, tolerance: float) -> bool:
        """Tell whether logits are the frozen head's output and nothing else happens to them.

        Asked with hidden states that give logits of a hundred: a cap leaves small ones alone.
        """
        head = self._head
        if type(head) not in (nn.Linear, FrozenLinear) or head.weight.requires_grad:
            return False
        factor = _LARGE / max(float(logits.float().abs().max()), 1e-6)
        hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0] * factor,))
        try:
            lean = _succeeds(lambda: head(self._hidden(row)))
            return _equal(lean, self._logits(row), tolerance)
        finally:
            hook.remove()

    def _keeps_apart(self, ids: Tensor, logits: Tensor | None) -> bool:
        """Tell whether another first record leaves the second one's logits as they are."""
        changed = ids.clone()
        changed[:, : _PROBE[0]] = ids[:, : _PROBE[0]].flip(1)
        others = self._logits(_packed(changed))
        first = _PROBE[0]
        return logits is not None and torch.equal(logits[:, first:], others[:, first:])

    def _sees_as_far(self, windows: Sequence[int]) -> bool:
        """Tell whether long records are seen as far back as the config says; a probe is short.

        Args:
            windows: of each call of attention in the probe that got one.
        """
        config = self._config
        return not is_chunked(config) and len(windows) >= sliding_layers(config)

    @property
    def _vocabulary(self) -> int:
        return int(self._embeddings().num_embeddings)


def _packed(ids: Tensor) -> Batch:
    positions = torch.cat([torch.arange(length, device=ids.device) for length in _PROBE])
    return {"input_ids": ids, "position_ids": positions[None], LENGTHS: torch.tensor(_PROBE)}


def _padded(ids: Tensor) -> Batch:
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def rounding_tolerance(model: nn.Module, *, close: float, half: float) -> float:
    """Return `half` where the model computes in half precision now, else `close`."""
    parameters = list(model.parameters())
    autocast = torch.is_autocast_enabled(parameters[0].device.type)
    types = {parameter.dtype for parameter in parameters}
    return half if autocast or types & {*HALVES.values()} else close


def _succeeds(compute: Callable[[], Tensor]) -> Tensor | None:
    """Return what is computed, None where this model cannot."""
    try:
        return compute()
    except (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError):
        return None


def _equal(actual: Tensor | None, expected: Tensor, tolerance: float) -> bool:
    if actual is None or actual.shape != expected.shape:
        return False
    difference = (actual.float() - expected.float()).abs().max()
    return bool(difference <= tolerance * expected.float().abs().max())

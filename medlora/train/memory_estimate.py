"""How much memory a run needs, before anything is loaded: from the shapes of its model alone.

The passes of a micro-batch are walked through on the meta device, operator by operator, and every
tensor is counted from its making to its end; so activations, what is recomputed, temporaries and
the logits of the loss are those of this very model and these very settings.
"""

from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from medlora.errors import MissingPartError
from medlora.model.autocast_dtype import autocast_shapes
from medlora.model.linear import lean_linears
from medlora.model.onednn_linear import ROWS
from medlora.model.skeleton import attend_by_shape
from medlora.model.targets import LINEAR
from medlora.train.loss import nats_at, summed_nats
from medlora.train.peak import Peak

_FLOAT = 4
_MOMENTS = 2  # AdamW's, for every number that trains
_MASK = 3  # bytes for each pair of positions in a padded row: as bool, and as attention's own type
# oneDNN's code for one kind of product, and of how many it keeps: its own default.
_PRODUCT, _PRODUCTS = 600 * 2**10, 1024
# Bits of a 4-bit weight with its scales, a block of 64 having one: in float32, or in 8 bits with a
# float32 for every 256.  Source: Dettmers et al., "QLoRA", 2023, section 3.
_FOUR_BITS = {False: 4 + 32 / 64, True: 4 + 8 / 64 + 32 / (64 * 256)}


@dataclass(frozen=True, slots=True)
class Shape:
    """A micro-batch: so many rows of so many positions; packed ones are one row."""

    rows: int
    length: int
    padded: bool = False

    @property
    def positions(self) -> int:
        """Tokens and padding."""
        return self.rows * self.length


@dataclass(frozen=True, slots=True)
class Footprint:
    """The bytes of a device that a run needs, part by part; `peak` is what it needs at once."""

    weights: int  # of the frozen base
    adapter: int  # in float32
    optimizer: int  # AdamW's two moments
    gradients: int  # sums of a step's micro-batches so far
    training: int  # activations, temporaries and logits of a micro-batch, forth and back
    evaluation: int  # the same of an evaluation batch, forth alone
    other: int  # what the process has before: libraries, a GPU's context
    kept: int = 0  # code that is made for each kind of product and stays
    recomputed: bool = False  # activations are made a second time instead of kept

    @property
    def lasting(self) -> int:
        """What stays from step to step."""
        return self.other + self.kept + self.weights + self.adapter + self.optimizer

    @property
    def step(self) -> int:
        """What a step has in addition, at most."""
        return self.gradients + self.training

    @property
    def peak(self) -> int:
        """What is needed at once."""
        return self.lasting + max(self.step, self.evaluation)


class CannotTellError(MissingPartError):
    """What a model does depends on its numbers: it can be trained, and its memory not be told."""


class Walker:
    """Walks through a model's passes on the meta device.

    Args:
        model: a skeleton with an adapter, changed in place.
        lean: whether the adapter's layers compute as `LeanLinear`.
        targets_only: whether logits exist at targets alone.
        autocast: the type that autocast computes in, None where it is off.
        joins: whether attention puts the records' outputs together, as on a CPU.
    """

    def __init__(
        self,
        model: PeftModel,
        *,
        lean: bool,
        targets_only: bool,
        autocast: torch.dtype | None,
        joins: bool,
    ) -> None:
        self._model, self._autocast = model, autocast
        base: Any = model.get_base_model()
        self._by_shape = attend_by_shape(base, joins=joins)
        if lean:
            lean_linears(model)
        self._causal = base
        body = getattr(base, getattr(base, "base_model_prefix", ""), None)
        head = base.get_output_embeddings()
        usable = targets_only and body is not None and type(head) is nn.Linear
        self._body: Any = body if usable else None
        self._head: Any = head
        self._recomputes = False

    def training(self, shape: Shape, *, recompute: bool) -> int:
        """Return the bytes that a micro-batch needs at most, its own gradient among them.

        Raises:
            CannotTellError: the model does something that depends on numbers.
        """
        if recompute and not self._recomputes:
            self._model.gradient_checkpointing_enable(
                gradient_checkpointing_kwargs={"use_reentrant": False}
            )
        elif self._recomputes and not recompute:
            self._model.gradient_checkpointing_disable()
        self._recomputes = recompute
        self._model.train()
        return self._most(shape, backward=True)

    def evaluating(self, shape: Shape) -> int:
        """Return the bytes that an evaluation batch needs at most.

        Raises:
            CannotTellError: the model does something that depends on numbers.
        """
        self._model.eval()
        with torch.no_grad():
            return self._most(shape, backward=False)

    def _most(self, shape: Shape, *, backward: bool) -> int:
        ids = torch.zeros(shape.rows, shape.length, dtype=torch.int64, device="meta")
        peak = Peak()
        peak.know(ids, *self._model.parameters(), *self._model.buffers())
        try:
            with peak, autocast_shapes(self._autocast):
                nats = self._nats(ids)
                if backward:
                    nats.backward()  # type: ignore[no-untyped-call]
                del nats
        except (RuntimeError, NotImplementedError, TypeError) as error:
            raise CannotTellError(
                "memory cannot be estimated without running this base model, because its "
                f"computation depends on values and not on shapes alone ({type(error).__name__})",
                fix="train a few steps (training.max_steps: 3) and look at memory_peak_bytes",
            ) from error
        finally:
            for parameter in self._model.parameters():
                parameter.grad = None
        mask = _MASK * shape.rows * shape.length**2 if shape.padded else 0
        return peak.most + mask

    def _nats(self, ids: Tensor) -> Tensor:
        positions = torch.zeros_like(ids)
        # Where one record ends and the next begins would be read from the positions' numbers.
        mask = None if self._by_shape else torch.ones_like(ids)
        given = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
        if self._body is None:
            return summed_nats(self._causal(**given, use_cache=False).logits, ids)
        states = self._body(**given, use_cache=False)
        hidden = states.last_hidden_state.flatten(0, 1)
        del states
        everywhere = positions.flatten()
        return nats_at(hidden, everywhere, everywhere, self._head)


def weight_bytes(model: PeftModel, *, four_bits: bool, double_quant: bool = True) -> int:
    """Return the bytes of the frozen base; in 4 bits, those of its linear layers but the head.

    Args:
        model: a skeleton with an adapter.
        four_bits: whether the base is quantized.
        double_quant: whether the scales are quantized too.
    """
    head: Any = model.get_base_model().get_output_embeddings()
    packed = {
        id(module.weight)
        for module in model.modules()
        if four_bits and isinstance(module, nn.Linear) and module is not head
    }
    bits = _FOUR_BITS[double_quant]
    total = 0.0
    for parameter in model.parameters():
        if not parameter.requires_grad:
            size = bits / 8 if id(parameter) in packed else parameter.element_size()
            total += parameter.numel() * size
    return int(total)


def largest_weight(model: PeftModel, *, head: bool) -> int:
    """Return the bytes of the base's largest linear layer, as it computes.

    Args:
        model: a skeleton with an adapter.
        head: whether the projection onto the vocabulary counts as well.
    """
    last: Any = model.get_base_model().get_output_embeddings()
    linear = (
        module
        for module in model.modules()
        if isinstance(module, LINEAR) and (head or module is not last)
    )
    sizes = [layer.weight.numel() * layer.weight.element_size() for layer in linear]
    return int(max(sizes, default=0))


def kept_bytes(model: PeftModel, positions: int) -> int:
    """Return the bytes of code that oneDNN keeps for products with frozen weights.

    Measured for layers from 32 to 4,000 wide, whose size does not matter.

    Args:
        model: a skeleton with an adapter.
        positions: of the largest pack.
    """
    frozen = [module for module in model.modules() if isinstance(module, nn.Linear)]
    shapes = {tuple(layer.weight.shape) for layer in frozen if not layer.weight.requires_grad}
    products = 2 * len(shapes) * -(-positions // ROWS)  # forth and back, for each number of rows
    return _PRODUCT * min(products, _PRODUCTS)


def adapter_bytes(model: PeftModel) -> int:
    """Return the bytes of what trains, which is float32."""
    return _FLOAT * int(
        sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    )


def sums_held(micro_batches: int) -> int:
    """Return how many sums of gradients there are beside the newest one, at most.

    Source: `distributed.gradient_sum`; a worker's first n leaves are as many nodes as n has ones.
    """
    return max((index.bit_count() for index in range(micro_batches)), default=0)


def optimizer_bytes(adapter: int) -> int:
    """Return the bytes of AdamW's state."""
    return _MOMENTS * adapter

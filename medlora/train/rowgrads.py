"""The gradient of each row of a micro-batch, of the factors that an adapter trains.

    dL/dW of row b  =  sum over its positions of  grad_out[b, t] x[b, t]'

A hook of ten lines instead of Opacus's own module: PEFT's factors are plain linear layers; no state
is left on the model when a pass ends half-way (memory, a signal); and the products are summed in
float32 where autocast computes in bfloat16.  A test compares it with Opacus's.

B rows, T positions, I inputs, O outputs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from medlora.data.micro_batches import IGNORE, Batch, cut
from medlora.errors import ConfigError
from medlora.model.autocast_dtype import HALVES
from medlora.train.forward import Forward, evaluation_mode

_PROBE = (5, 9, 3)  # tokens of three rows
_CLOSE, _CLOSE_HALF = 1e-4, 5e-2  # of the largest number of a gradient
_FIX = "leave privacy.dp.target_epsilon unset, or choose other lora.target_modules"


class RowGradients:
    """Collects, beside each backward pass, what every single row adds to the gradient.

    Args:
        model: all that trains in it must be weights of plain linear layers, as LoRA's factors
            are; PEFT's own layers, not `model.linear`'s, which pass these by.

    Raises:
        ConfigError: something else trains.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._collected: dict[Tensor, Tensor] = {}
        layers = [m for m in model.modules() if type(m) is nn.Linear and m.weight.requires_grad]
        reached = {layer.weight for layer in layers}
        strangers = [n for n, p in model.named_parameters() if p.requires_grad and p not in reached]
        if strangers:
            raise ConfigError(
                f"privacy.dp: only weights of plain linear layers can be trained, and "
                f"{strangers[0]}, which is trainable, is not one",
                fix=_FIX,
            )
        self._handles = [layer.register_forward_hook(self._watch) for layer in layers]

    def close(self) -> None:
        """Leave the model as it was."""
        _remove(self._handles)

    def take(self, backward: Callable[[], None], *, rows: int) -> dict[Tensor, Tensor]:
        """Run a backward pass; return {parameter: float32 [B, *its shape]}.

        The parameters' own gradients, which the pass makes as well, are dropped.

        Args:
            backward: runs it, for a loss that is a sum over rows.
            rows: B.

        Raises:
            ConfigError: a layer does not see rows apart.
        """
        self._collected = {}
        backward()
        collected, self._collected = self._collected, {}
        for parameter in self.parameters:
            parameter.grad = None
        wrong = [g for p in self.parameters if (g := collected.get(p)) is None or len(g) != rows]
        if wrong:
            raise ConfigError(
                "privacy.dp: the layers that are trained give no gradient for each single row "
                "(this base mixes the rows of a batch, or computes past these layers)",
                fix=_FIX,
            )
        return collected

    def _watch(self, module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            weight, x = module.weight, inputs[0].detach()
            output.register_hook(  # type: ignore[no-untyped-call]
                lambda grad: self._add(weight, x, grad)
            )

    def _add(self, weight: Tensor, x: Tensor, grad: Tensor) -> None:
        rows = torch.einsum("b...o,b...i->boi", grad.detach().float(), x.float())
        known = self._collected.get(weight)
        self._collected[weight] = rows if known is None else known + rows


def _remove(handles: list[RemovableHandle]) -> None:
    while handles:
        handles.pop().remove()


def check_rows_apart(
    model: nn.Module, forward: Forward, gradients: RowGradients, *, half: bool = False
) -> None:
    """Compare three padded rows' gradients with those of each row alone, on this very model.

    No list of architectures decides: where rows meet in any layer, the guarantee would not hold.

    Args:
        model: left as it was.
        forward: calls it.
        gradients: watches it.
        half: whether it computes in half precision.

    Raises:
        ConfigError: they differ.
    """
    device = next(model.parameters()).device
    batch = _probe_rows(device)
    with evaluation_mode(model), _leverage(gradients.parameters):  # dropout would differ
        together = gradients.take(forward.nats(batch).backward, rows=len(_PROBE))
        alone = [gradients.take(forward.nats(row).backward, rows=1) for row in cut(batch, rows=1)]
    half = half or bool({p.dtype for p in model.parameters()} & {*HALVES.values()})
    close = _CLOSE_HALF if half else _CLOSE
    for parameter in gradients.parameters:
        expected = torch.cat([row[parameter] for row in alone])
        difference = (together[parameter] - expected).abs().max()
        if not difference <= close * expected.abs().max():
            raise ConfigError(
                "privacy.dp: with this base, the gradient of a row depends on the other rows of "
                "the batch, so a single row cannot be protected",
                fix="use another base, or leave privacy.dp.target_epsilon unset",
            )


def _probe_rows(device: torch.device) -> Batch:
    shape = (len(_PROBE), max(_PROBE))
    ids = torch.arange(1, 1 + shape[0] * shape[1], device=device).reshape(shape) % 29
    mask = torch.arange(shape[1], device=device) < torch.tensor(_PROBE, device=device)[:, None]
    return {
        "input_ids": ids,
        "attention_mask": mask.to(torch.int64),
        "labels": ids.masked_fill(~mask, IGNORE),
    }


@contextmanager
def _leverage(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Make every factor matter: a fresh B is zero, and so would be every gradient of A."""
    saved = [parameter.detach().clone() for parameter in parameters]
    random = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for parameter in parameters:
                noise = torch.randn(parameter.shape, generator=random) * 0.1
                parameter.add_(noise.to(parameter))
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, saved, strict=True):
                parameter.copy_(value)

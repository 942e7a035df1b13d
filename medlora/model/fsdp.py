"""A base model's weights spread over the workers' devices (FSDP2), its adapter on each of them.

The adapter is small and its gradients are the loop's own affair: kept out of the sharding, it
trains, is saved and resumed exactly as on one device.  The frozen weights need no gradient, so
sharding them only changes where they wait until a layer needs them.

By torch's `fully_shard` itself: accelerate's way to it exists for accelerators alone.
"""

from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from medlora.errors import ConfigError


def shard_base(model: PeftModel, *, device: torch.device, workers: int) -> None:
    """Spread the decoder's frozen weights over all workers, in place.

    The head stays whole, for the loss takes its weight and not its layer; so do the adapter's
    factors.  From now on a forward pass takes all workers at once.

    Args:
        model: with weights on the CPU; what stays whole is moved to the device.
        device: of this worker.
        workers: all of torch.distributed's.

    Raises:
        ConfigError: the model has no decoder of its own, or does not name its layers.
    """
    causal: Any = model.get_base_model()
    body = getattr(causal, getattr(causal, "base_model_prefix", ""), None)
    names = set(getattr(causal, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    if body is None or not layers:
        raise ConfigError(
            f"training.sharding: full cannot split a {type(causal).__name__} into layers",
            fix="leave training.sharding unset",
        )
    _untie(causal)
    whole = {parameter for parameter in model.parameters() if parameter.requires_grad}
    for parameter in whole:
        parameter.data = parameter.data.to(device)
    mesh = init_device_mesh(device.type, (workers,))
    for module in (*layers, body):  # a layer is gathered at a time; last, what is in none
        # At once after the pass, also the outermost: the first worker alone reads a state_dict,
        # which would end the gathering there and leave the others a collective ahead.
        fully_shard(module, mesh=mesh, ignored_params=whole, reshard_after_forward=True)
    causal.get_output_embeddings().to(device)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)


def _untie(causal: Any) -> None:  # noqa: ANN401  (transformers' own type)
    """Give the head a weight of its own: what is sharded cannot be whole elsewhere."""
    head, embeddings = causal.get_output_embeddings(), causal.get_input_embeddings()
    if head.weight is embeddings.weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)

"""What a run will need of a device's memory: predicted from its config and its base's shapes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from medlora.config import RunConfig
from medlora.model.adapter import attach
from medlora.model.autocast_dtype import HALVES
from medlora.model.kinds import position_limit, read_config
from medlora.model.skeleton import skeleton
from medlora.plan.device import Device, half_of, precision_of
from medlora.train.memory_estimate import (
    Footprint,
    Shape,
    Walker,
    adapter_bytes,
    kept_bytes,
    largest_weight,
    optimizer_bytes,
    sums_held,
    weight_bytes,
)

USABLE = 0.92  # of a device: what is left is lost between blocks of other sizes
# Of a process: driver, kernels and cuBLAS's workspace on a GPU, Python and its libraries on a CPU.
_PROCESS = {"cuda": 600 * 2**20, "cpu": 900 * 2**20}
# Code and buffers that oneDNN, MKL and autograd bring into a process with its first step.
_FIRST_STEP = {"cuda": 0, "cpu": 20 * 2**20}
_LINE = (2048, 4096)  # positions; from here on all chunks of the loss are full


@dataclass(frozen=True, slots=True)
class Known:
    """Positions of the largest packs of a run, where its rows are known; None where not."""

    training: int | None = None
    evaluation: int | None = None


class Forecast:
    """Predicts memory for one run's config on one kind of device; builds the shapes once.

    Args:
        base: folder of the base model.
        cfg: the run's config.
        device: what each worker runs on.
        workers: that share the weights, where the config spreads them.

    Raises:
        ConfigError: the base has no such target modules.
        MissingPartError: the base cannot be built.
    """

    def __init__(self, base: Path, cfg: RunConfig, device: Device, *, workers: int = 1) -> None:
        self.cfg, self.device = cfg, device
        weights = skeleton(base, cfg.model, half=half_of(cfg.training, device))
        with torch.device("meta"):
            self._model = attach(weights, cfg.lora, seed=cfg.training.seed)
        limit = position_limit(read_config(base))
        self.length = min(filter(None, (cfg.data.max_length, limit)))
        self.weights = weight_bytes(
            self._model,
            four_bits=cfg.model.load_in_4bit,
            double_quant=cfg.model.bnb_4bit_use_double_quant,
        )
        if cfg.training.sharding == "full" and workers > 1:
            # Its own part of all layers, and two of them whole: one computes, one is fetched.
            self.weights = self.weights // workers + 2 * _largest_layer(self._model)
        self._walker = Walker(
            self._model,
            lean=cfg.training.lean_lora and not cfg.model.load_in_4bit,
            targets_only=cfg.training.targets_only_loss,
            autocast=HALVES.get(precision_of(cfg.training, device)),
            joins=device.kind == "cpu",
        )
        self._known: dict[tuple[int, bool], int] = {}

    @property
    def capacity(self) -> int:
        """Bytes that may be planned with."""
        return int(self.device.memory * USABLE)

    @property
    def trainable(self) -> int:
        """How many numbers the adapter has."""
        return self.adapter // 4

    @cached_property
    def adapter(self) -> int:
        """Bytes of the adapter's numbers, in float32."""
        return adapter_bytes(self._model)

    def footprint(self, rows: int, accumulated: int, *, known: Known | None = None) -> Footprint:
        """Return what micro-batches of so many rows need, recomputing only where it must be.

        Args:
            rows: of a micro-batch.
            accumulated: micro-batches of a step.
            known: how large they are, where the rows are known; else all rows are the longest.
        """
        plain = self._footprint(rows, accumulated, known=known, recompute=False)
        wanted = self.cfg.training.gradient_checkpointing
        if wanted is False or (wanted == "auto" and plain.peak <= self.capacity):
            return plain
        return self._footprint(rows, accumulated, known=known, recompute=True)

    def largest(self, step_rows: int, *, workers: int = 1) -> int | None:
        """Return the most rows of a micro-batch that fit and divide a step's; None if not one does.

        Where both are free to choose, smaller ones that keep their activations come before larger
        ones that recompute them, which takes a third more time.

        Args:
            step_rows: rows of a step, which stay as many.
            workers: that share a step, each of which gets a micro-batch if there are enough rows.
        """
        most = max(1, step_rows // workers)
        sizes = [size for size in range(most, 0, -1) if step_rows % size == 0]
        wanted = self.cfg.training.gradient_checkpointing
        for recompute in (False, True) if wanted == "auto" else (wanted,):
            for size in sizes:
                footprint = self._footprint(
                    size, step_rows // size, known=None, recompute=recompute
                )
                if footprint.peak <= self.capacity:
                    return size
        return None

    def _footprint(
        self, rows: int, accumulated: int, *, known: Known | None, recompute: bool
    ) -> Footprint:
        known = known or Known()
        training = self._training(self._shape(rows, known.training), recompute=recompute)
        batch = self.cfg.training.per_device_eval_batch_size
        evaluated = self._evaluation(self._shape(batch, known.evaluation))
        return Footprint(
            weights=self.weights,
            adapter=self.adapter,
            optimizer=optimizer_bytes(self.adapter),
            gradients=self.adapter * sums_held(accumulated),
            training=training + self._scratch,
            evaluation=evaluated + self._scratch,
            other=_PROCESS[self.device.kind],
            kept=self._kept(max(known.training or rows * self.length, known.evaluation or 0)),
            recomputed=recompute,
        )

    @cached_property
    def _scratch(self) -> int:
        """Bytes that the kernels of a pass have for themselves."""
        scratch = _FIRST_STEP[self.device.kind]
        if self.cfg.model.load_in_4bit:  # a layer's weight is unpacked whole for its product
            scratch += largest_weight(self._model, head=False)
        if self._by_onednn:  # put into another order
            scratch += largest_weight(self._model, head=True)
        return scratch

    @property
    def _by_onednn(self) -> bool:
        return self.device.kind == "cpu" and self.cfg.training.onednn

    def _kept(self, positions: int) -> int:
        plain = self._by_onednn and not self.cfg.model.load_in_4bit
        return kept_bytes(self._model, positions) if plain else 0

    def _shape(self, rows: int, positions: int | None) -> Shape:
        if self.cfg.training.packing is False:
            return Shape(rows, self.length, padded=True)
        return Shape(1, rows * self.length if positions is None else positions)

    def _training(self, shape: Shape, *, recompute: bool) -> int:
        """Return a micro-batch's bytes; of long packs two are walked, for it is a straight line."""
        if shape.padded or shape.length <= _LINE[0]:
            return self._walked(shape, recompute=recompute)
        first, second = (
            self._walked(replace(shape, length=length), recompute=recompute) for length in _LINE
        )
        slope = (second - first) / (_LINE[1] - _LINE[0])
        return int(first + slope * (shape.length - _LINE[0]))

    def _walked(self, shape: Shape, *, recompute: bool) -> int:
        key = (hash(shape), recompute)
        if key not in self._known:
            self._known[key] = self._walker.training(shape, recompute=recompute)
        return self._known[key]

    def _evaluation(self, shape: Shape) -> int:
        if not shape.positions:
            return 0
        if shape.positions not in self._evaluated:
            self._evaluated[shape.positions] = self._walker.evaluating(shape)
        return self._evaluated[shape.positions]

    @cached_property
    def _evaluated(self) -> dict[int, int]:
        return {}


def _largest_layer(model: nn.Module) -> int:
    """Return the bytes of the largest decoder layer."""
    layers = (
        module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    )
    sizes = (sum(p.numel() * p.element_size() for p in layer.parameters()) for layer in layers)
    return max(sizes, default=0)

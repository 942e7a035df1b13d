"""A run's rows as loaders, in the layout that the config asks for."""

from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from medlora.config import TrainingConfig
from medlora.data.batches import eval_loader, pad_id_of, train_loader
from medlora.data.micro_batches import Collate, Layout
from medlora.data.poisson import private_loader
from medlora.errors import ConfigError
from medlora.inputs.prepare import Prepared
from medlora.logs import logger
from medlora.train.dp_loop import system_entropy

_log = logger(__name__)
EVAL_BATCHES = 8  # that are laid out together


@dataclass(frozen=True, slots=True)
class Loaders:
    """Both splits' loaders and what lays their rows out."""

    train: DataLoader[Any]
    evaluation: DataLoader[Any] | None
    collates: tuple[Collate, Collate]

    def unpack(self, cfg: TrainingConfig) -> None:
        """Pad rows after all, for this base's attention cannot keep packed ones apart.

        Raises:
            ConfigError: the config insists on packing.
        """
        if cfg.packing:
            raise ConfigError(
                "training.packing: this base's attention would cross from one row to the next",
                fix="leave training.packing unset, or set model.attn_implementation: sdpa",
            )
        if cfg.packing is None:
            _log.info(
                "rows are padded: with packing, this base's attention would cross from one row "
                "to the next"
            )
            for collate in self.collates:
                collate.layout = _padded(cfg)


def make_loaders(
    prepared: Prepared, cfg: TrainingConfig, *, pin_memory: bool, private: bool = False
) -> Loaders:
    """Return the loaders of both splits.

    Args:
        prepared: both splits as rows.
        cfg: the training section.
        pin_memory: whether page-locked batches are of use, if the config wants them.
        private: draw training rows at random, and never let two share a row of tokens.
    """
    tokenizer = prepared.tokenizer
    layout: Layout = _padded(cfg) if cfg.packing is False else "packed"
    sizes = (cfg.micro_batch_rows, cfg.per_device_eval_batch_size)
    pad_id = pad_id_of(tokenizer.pad_token_id, tokenizer.eos_token_id)
    limit = prepared.facts["max_length"]
    train, evaluation = (
        Collate(layout, batch_size=size, max_length=limit, pad_id=pad_id) for size in sizes
    )
    if private:
        train.layout = _padded(cfg)
    pin = pin_memory and cfg.dataloader_pin_memory
    rows, held = prepared.train, prepared.evaluation
    eval_rows = cfg.per_device_eval_batch_size * EVAL_BATCHES
    return Loaders(
        private_loader(
            rows, train, step_rows=cfg.step_rows, entropy=system_entropy(), pin_memory=pin
        )
        if private
        else train_loader(rows, train, step_rows=cfg.step_rows, seed=cfg.seed, pin_memory=pin),
        eval_loader(held, evaluation, batch_size=eval_rows, pin_memory=pin) if held else None,
        (train, evaluation),
    )


def _padded(cfg: TrainingConfig) -> Layout:
    return "grouped" if cfg.group_by_length else "plain"

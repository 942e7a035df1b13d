"""What computes a run, built once: the model on its device, its optimizer, and how both are called.

The order matters: layers are changed before the optimizer is made, and probes come before
`torch.compile`, as their shapes never come again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from peft import PeftModel
from torch.optim import AdamW
from torch.utils.data import DataLoader

from medlora.config import RunConfig, TrainingConfig
from medlora.data.micro_batches import Collate
from medlora.distributed.team import Team
from medlora.logs import logger
from medlora.model.compiled_kernels import compile_layers, liger_kernels
from medlora.model.fsdp import shard_base
from medlora.model.linear import lean_linears
from medlora.model.onednn_linear import frozen_linears
from medlora.model.packed_attention import attend_by_record
from medlora.plan.device import device_type, precision_of, this_device
from medlora.report.manifest_schema import ComputeFacts
from medlora.train.determinism import set_deterministic
from medlora.train.dp_training import PrivateTraining
from medlora.train.forward import Forward
from medlora.train.loop import (
    Computation,
    Drive,
    StepResult,
    steps_in_epoch,
    total_steps,
    train_steps,
)
from medlora.train.optim import build_optimizer, loraplus
from medlora.train.precision import Precision
from medlora.train.step_in_pieces import plan_activations
from medlora.trainer.stop_rules import check_base_computes

_log = logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine(Computation):
    """A computation with what it is made of, for those who save, resume and evaluate.

    Attributes:
        model: the adapted model as it is called, on its device.
        peft_model: the same without what accelerate may put around it.
        adamw: the optimizer without what accelerate puts around it.
        loader: of the training rows.
        precision: that is computed in.
        recomputes: whether activations are computed anew for the gradient.
        lean: whether the adapter's layers compute in our own, leaner way.
        packs_weights: whether a CPU's frozen weights lie in oneDNN's order.
        private: takes the steps under `privacy.dp`, else None.
    """

    model: Any
    peft_model: PeftModel
    adamw: AdamW
    loader: DataLoader[Any]
    precision: Precision
    recomputes: bool
    lean: bool
    packs_weights: bool
    private: PrivateTraining | None

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return total_steps(self.loader, self.cfg)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return steps_in_epoch(self.loader, self.cfg)

    def steps(self, drive: Drive) -> Iterator[StepResult]:
        """Return the steps, each taken when it is asked for."""
        if self.private:
            return self.private.steps(self, drive)
        return train_steps(self, self.loader, drive)

    @property
    def facts(self) -> ComputeFacts:
        """Which of the ways to compute are taken, as the manifest states them."""
        cfg, collate = self.cfg, _collate_of(self.loader)
        return {
            "layout": collate.layout if collate else "as given",
            "attention": self.peft_model.config._attn_implementation,  # noqa: SLF001  (its only name)
            "targets_only_loss": self.forward.targets_only,
            "lean_lora": self.lean,
            "gradient_checkpointing": self.recomputes,
            "onednn": self.packs_weights,
            "sharding": "full" if self.team.in_step else "none",
            "torch_compile": cfg.torch_compile,
            "use_liger_kernel": cfg.use_liger_kernel,
            "deterministic": cfg.deterministic,
            "workers": self.team.size,
            "gradient_reduction": cfg.gradient_reduction,
        }


def build_engine(
    model: PeftModel, loader: DataLoader[Any], config: RunConfig, *, team: Team
) -> Engine:
    """Return what computes a run.

    Args:
        model: a PeftModel whose adapter alone trains; moved to the device.
        loader: of the training rows.
        config: of the run.
        team: the workers; in step from now on where the base is sharded.

    Raises:
        ConfigError: the config, the loader or the device cannot do what was asked.
        DivergedError: no number that the model computes is finite.
        MissingPartError: it is no causal language model.
    """
    cfg, private = config.training, config.is_private
    precision = precision_of(cfg, this_device())
    set_deterministic(cfg.deterministic)
    accelerator = Accelerator(mixed_precision=precision)
    lean = cfg.lean_lora and not private  # no hook can watch our own layers
    packs_weights = cfg.onednn and device_type() == "cpu" and cfg.sharding == "none"
    _change_layers(model, cfg, lean=lean, packs_weights=packs_weights)
    faster = loraplus(model, config.lora.loraplus_lr_ratio)
    adamw = build_optimizer(model.parameters(), cfg, multipliers=faster, fused=precision != "fp16")
    called = _placed(model, cfg, accelerator, team)
    forward = Forward(called, autocast=accelerator.autocast, targets_only=cfg.targets_only_loss)
    check_base_computes(model, is_finite=forward.is_finite)
    recomputes = not private and _recomputes(called, forward, loader, cfg, team)
    if recomputes:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    engine = Engine(
        accelerator=accelerator,
        optimizer=accelerator.prepare_optimizer(adamw),
        forward=forward,
        cfg=cfg,
        team=team,
        model=called,
        peft_model=model,
        adamw=adamw,
        loader=loader,
        precision=precision,
        recomputes=recomputes,
        lean=lean,
        packs_weights=packs_weights,
        private=(
            PrivateTraining(model, loader, config, accelerator=accelerator, forward=forward)
            if private
            else None
        ),
    )
    if cfg.torch_compile:
        compile_layers(model)
    return engine


def _change_layers(
    model: PeftModel, cfg: TrainingConfig, *, lean: bool, packs_weights: bool
) -> None:
    """Have the layers compute the same in other ways, as the config says."""
    base = model.get_base_model()
    attend_by_record(base)
    if lean:
        lean_linears(model)
    if cfg.use_liger_kernel:
        liger_kernels(base)
    if packs_weights:
        frozen_linears(model)


def _placed(model: PeftModel, cfg: TrainingConfig, accelerator: Accelerator, team: Team) -> Any:  # noqa: ANN401  (accelerate's own type)
    """Return the model on this worker's device, or its base spread over all workers'.

    Never in a wrapper that adds up gradients: the loop does, in an order of its own.
    """
    if cfg.sharding == "full" and team.size > 1:
        shard_base(model, device=accelerator.device, workers=team.size)
        team.in_step = True
        return model
    return accelerator.prepare_model(model, evaluation_mode=True)


def _recomputes(
    model: Any,  # noqa: ANN401  (accelerate's own type)
    forward: Forward,
    loader: DataLoader[Any],
    cfg: TrainingConfig,
    team: Team,
) -> bool:
    """Tell whether activations are recomputed: as the config says, or where they do not fit."""
    wanted, collate = cfg.gradient_checkpointing, _collate_of(loader)
    if wanted != "auto" or collate is None:
        return bool(wanted)
    model.train()
    device = next(model.parameters()).device
    plan = plan_activations(model, forward, positions=collate.positions, device=device)
    _log.info(
        "activations: %.1f GiB of %.1f free%s",
        plan.needed / 2**30,
        plan.free / 2**30,
        "" if plan.fit else ", so they are recomputed",
    )
    return team.decide(not plan.fit)


def _collate_of(loader: DataLoader[Any]) -> Collate | None:
    """Return our own collator of a loader, None where it has another."""
    collate = getattr(loader, "collate_fn", None)
    return collate if isinstance(collate, Collate) else None

"""Who takes part: a table; adding a row is one line.

`kind` names the loop (`engines.ENGINES`), `options` what differs from the common workload: for
`ours` keys of the run config, for the others their own arguments.
"""

from dataclasses import dataclass, field
from typing import Any

OURS: dict[str, Any] = {}  # what `ours` sets beyond the workload and the config's defaults


@dataclass(frozen=True, slots=True)
class Contestant:
    """One process of the comparison."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    # Rows in a micro-batch; None: as many as `--tokens` holds.  A step has the same rows anyway.
    micro: int | None = None
    env: dict[str, str] = field(default_factory=dict)  # over the common surroundings
    note: str = ""


REFERENCE, FLOOR = "hf_seed", "matrix"

PEERS = {
    REFERENCE: Contestant(
        "hf", {"gradient_checkpointing": True}, note="Trainer + PEFT, the seed's arguments"
    ),
    "hf_nogc": Contestant("hf", note="the same without gradient checkpointing"),
    "hf_batch1": Contestant("hf", micro=1, note="no checkpointing, one row at a time: no padding"),
    "hf_grouped": Contestant(
        "hf",
        {"train_sampling_strategy": "group_by_length"},
        note="no checkpointing, batches by length",
    ),
    "trl": Contestant("trl", {"gradient_checkpointing": True}, note="SFTTrainer, its own defaults"),
    "trl_packed": Contestant(
        "trl", {"packing": True}, note="SFTTrainer, packing, no checkpointing"
    ),
    "litgpt_1": Contestant("litgpt", micro=1, note="litgpt's LoRA, micro-batch 1"),
    "litgpt_2": Contestant("litgpt", micro=2, note="litgpt's LoRA, micro-batch 2"),
}
HF_BEST = ("hf_batch1", "hf_grouped", "hf_nogc")  # the best of these is `hf_best`

# Ours with each lever off in turn; its ratio to `ours` is what the lever gives.
ABLATION: dict[str, Contestant] = {
    "ours_padded": Contestant("ours", {"training.packing": False}, note="by length, not packed"),
    "ours_plain": Contestant(
        "ours",
        {"training.packing": False, "training.group_by_length": False},
        note="padded as the rows come",
    ),
    "ours_recomputed": Contestant(
        "ours", {"training.gradient_checkpointing": True}, note="gradient checkpointing"
    ),
    "ours_all_logits": Contestant(
        "ours", {"training.targets_only_loss": False}, note="logits at every position"
    ),
    "ours_peft_linear": Contestant("ours", {"training.lean_lora": False}, note="PEFT's linears"),
    "ours_mkl": Contestant("ours", {"training.onednn": False}, note="MKL's products"),
    "ours_any_kernel": Contestant(
        "ours", {"training.deterministic": False}, note="training.deterministic off"
    ),
}
ANY_KERNEL = "ours_any_kernel"
# More of ours, to be named with --only.
VARIANTS = {
    "ours_compiled": Contestant("ours", {"training.torch_compile": True}, note="torch.compile"),
    "ours_liger": Contestant("ours", {"training.use_liger_kernel": True}, note="Liger's kernels"),
    "ours_spinning": Contestant("ours", env={"OMP_WAIT_POLICY": "ACTIVE"}, note="OpenMP spins"),
}
ALL = {
    "ours": Contestant("ours", note="medlora"),
    **PEERS,
    **ABLATION,
    **VARIANTS,
    FLOOR: Contestant("matrix", note="one large product, for the floor"),
}
# Names that `--short` and the default run take; the reference and the floor always run.
SHORT = ("ours", "hf_nogc")
FULL = ("ours", *(name for name in PEERS if name != REFERENCE))

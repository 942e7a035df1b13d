"""`training`: the loop, what it records and saves, and when it stops."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from medlora.config.declaration import Section, as_list, key

TRAINING_ARGUMENTS = "Hugging Face, TrainingArguments"
DEFAULT_ROWS = 2  # of a micro-batch


def _no_trackers(value: object) -> object:
    """Read Hugging Face's word `none` as the empty list."""
    return [] if value in ("none", ["none"]) else as_list(value)


class TrainingConfig(Section):
    """The loop; keys and meanings are those of Hugging Face's TrainingArguments."""

    engine: Literal["medlora", "huggingface"] = key(
        "medlora",
        description="whose loop: ours, or Hugging Face's Trainer, which cannot resume exactly",
    )
    num_train_epochs: int = key(
        3,
        ge=1,
        unit="epochs",
        source=TRAINING_ARGUMENTS,
        also=("epochs", "num_epochs"),
        description="passes over the training rows",
    )
    max_steps: int | None = key(
        None,
        ge=1,
        unit="optimizer steps",
        source=TRAINING_ARGUMENTS,
        description="stop after so many optimizer steps",
    )
    per_device_train_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = key(
        DEFAULT_ROWS,
        unit="rows",
        source=TRAINING_ARGUMENTS,
        also=("batch_size", "micro_batch_size", "train_batch_size"),
        description="rows in a micro-batch; auto: as many as fit, with as many rows in a step as "
        "the default would have",
    )
    per_device_eval_batch_size: int = key(
        8,
        ge=1,
        unit="rows",
        source=TRAINING_ARGUMENTS,
        also=("eval_batch_size",),
        decides="speed",
        description="rows in an evaluation batch",
    )
    gradient_accumulation_steps: int = key(
        4,
        ge=1,
        unit="micro-batches",
        source=TRAINING_ARGUMENTS,
        description="micro-batches in a step",
    )
    learning_rate: float = key(
        1e-4,
        gt=0,
        le=1,
        unit="step size of AdamW",
        source=TRAINING_ARGUMENTS,
        also=("lr",),
        description="peak learning rate",
    )
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = key(
        "cosine",
        source=TRAINING_ARGUMENTS,
        also=("lr_scheduler",),
        description="way from the peak to the floor; constant stays at the peak",
    )
    warmup_steps: int | None = key(
        100,
        ge=0,
        unit="optimizer steps",
        source=TRAINING_ARGUMENTS,
        description="steps of linear warm-up, a tenth of all steps where the run has no more "
        "than these; null where warmup_ratio is set",
    )
    warmup_ratio: float | None = key(
        None,
        ge=0,
        lt=1,
        unit="share of all steps",
        description="the same as a share of all steps, instead of warmup_steps",
    )
    min_lr_rate: float = key(
        0.1, ge=0, le=1, unit="share of learning_rate", description="floor as a share of the peak"
    )
    sharding: Literal["none", "full"] = key(
        "none",
        description="where the base's weights are: whole on each worker, or spread over all of "
        "them (FSDP2), for models that do not fit on one device",
    )
    gradient_reduction: Literal["tree", "all_reduce"] = key(
        "tree",
        description="how several workers add up gradients: in one order, the same bits for any "
        "number of them, or in whatever order is fast",
    )
    max_grad_norm: float = key(
        1.0,
        ge=0,
        unit="norm of the gradient",
        source=TRAINING_ARGUMENTS,
        description="clip the gradient's norm; 0 is off",
    )
    weight_decay: float = key(
        0.01,
        ge=0,
        unit="share of a weight, times learning_rate",
        source=TRAINING_ARGUMENTS,
        description="AdamW's decoupled weight decay",
    )
    adam_beta1: float = key(
        0.9,
        ge=0,
        lt=1,
        unit="share that is kept from step to step",
        source=TRAINING_ARGUMENTS,
        description="AdamW's first decay",
    )
    adam_beta2: float = key(
        0.999,
        ge=0,
        lt=1,
        unit="share that is kept from step to step",
        source=TRAINING_ARGUMENTS,
        description="AdamW's second decay",
    )
    adam_epsilon: float = key(
        1e-8,
        gt=0,
        unit="size of a gradient",
        source=TRAINING_ARGUMENTS,
        description="AdamW's epsilon",
    )
    bf16: bool | None = key(
        None,
        source=TRAINING_ARGUMENTS,
        description="bfloat16 autocast; unset: where a GPU has it, never on a CPU",
    )
    fp16: bool | None = key(
        None,
        source=TRAINING_ARGUMENTS,
        description="float16 autocast with a loss scaler; unset: on a GPU without bfloat16",
    )
    gradient_checkpointing: bool | Literal["auto"] = key(
        "auto",
        source=TRAINING_ARGUMENTS,
        description="recompute activations: less memory, a third more time; auto: where they "
        "do not fit",
    )
    packing: bool | None = key(
        None,
        description="rows of a step end to end, without padding, none sees another; unset: "
        "where the base's attention can be held apart",
    )
    group_by_length: bool = key(
        True, description="where rows are padded: those of a step that are of like length together"
    )
    targets_only_loss: bool = key(
        True, description="logits only where there is a target, a few at a time"
    )
    lean_lora: bool = key(
        True, description="the adapter's layers in fewer passes over memory than PEFT's"
    )
    onednn: bool = key(
        True, description="on a CPU, products with frozen weights by oneDNN instead of MKL"
    )
    torch_compile: bool = key(
        False,
        source=TRAINING_ARGUMENTS,
        description="have torch compile the base's layers when a run starts; needs a C compiler",
    )
    use_liger_kernel: bool = key(
        False,
        source=TRAINING_ARGUMENTS,
        description="on a GPU, Liger's kernels for norms, rotary positions and gates; needs the "
        "extra liger and a C compiler",
    )
    deterministic: bool = key(
        True, description="only kernels that give the same bits again; costs speed on a GPU"
    )
    logging_steps: int = key(
        10,
        ge=1,
        unit="optimizer steps",
        source=TRAINING_ARGUMENTS,
        decides="output",
        description="record metrics every so many steps",
    )
    eval_steps: int = key(
        200,
        ge=1,
        unit="optimizer steps",
        source=TRAINING_ARGUMENTS,
        also=("evaluation_strategy",),
        description="evaluate every so many steps",
    )
    generation_steps: int | None = key(
        None,
        ge=1,
        unit="optimizer steps",
        decides="output",
        reproduced=False,
        description="ask the model a few questions every so many steps and record how it writes, "
        "in numbers; unset: never",
    )
    generation_prompts: str | None = key(
        None,
        decides="output",
        reproduced=False,
        path_to="file",
        description="text file of these questions, one a line; unset: eight of the held-out rows'",
    )
    save_steps: int = key(
        500,
        ge=1,
        unit="optimizer steps",
        source=TRAINING_ARGUMENTS,
        decides="output",
        description="save a checkpoint every so many steps",
    )
    save_epochs: int = key(
        1,
        ge=1,
        unit="epochs",
        decides="output",
        description="save a checkpoint every so many epochs",
    )
    save_total_limit: int = key(
        2,
        ge=2,
        unit="checkpoints",
        source=TRAINING_ARGUMENTS,
        decides="output",
        description="step checkpoints that are kept; epochs and the best one always are",
    )
    max_skipped_steps: int = key(
        1,
        ge=1,
        unit="optimizer steps",
        description="stop after so many steps in a row whose loss is NaN or Inf",
    )
    early_stopping_patience: int | None = key(
        None,
        ge=1,
        unit="evaluations",
        description="stop after so many evaluations without a new best; unset: never",
    )
    early_stopping_threshold: float = key(
        0.001,
        ge=0,
        allow_inf_nan=False,
        unit="nats a token",
        description="nats by which a new best must be lower",
    )
    convergence_window: int | None = key(
        None,
        ge=1,
        unit="optimizer steps",
        description="steps in each of the two windows of loss compared; unset: never",
    )
    convergence_threshold: float = key(
        0.001,
        ge=0,
        allow_inf_nan=False,
        unit="share of the mean loss",
        description="a mean loss that falls by a smaller share from window to window has converged",
    )
    stop_on_convergence: bool = key(
        False, description="stop there; false: say so and train on; needs convergence_window"
    )
    output_dir: str = key(
        "./checkpoints",
        source=TRAINING_ARGUMENTS,
        decides="output",
        path_to="folder",
        description="where runs write their folders",
    )
    final_dir: str | None = key(
        None,
        decides="output",
        reproduced=False,
        path_to="folder",
        description="folder that gets a copy of the result as well; unset: none",
    )
    overwrite_final_dir: bool = key(
        False,
        decides="output",
        description="let the copy replace the result of another run in final_dir, which stays "
        "there until the new one is whole",
    )
    keep_old_runs: int | None = key(
        None,
        ge=0,
        unit="folders",
        decides="output",
        reproduced=False,
        description="of this run's folders that --fresh set aside, keep so many, the latest, once "
        "the new one has its result; unset: all",
    )
    logging_dir: str | None = key(
        None,
        decides="output",
        reproduced=False,
        path_to="folder",
        description="where trackers write a folder for each run; unset: into the run's own",
    )
    report_to: Annotated[list[Literal["tensorboard", "wandb"]], BeforeValidator(_no_trackers)] = (
        key(
            [],
            source=TRAINING_ARGUMENTS,
            decides="output",
            description="trackers beside metrics.jsonl; they write files and send nothing",
        )
    )
    seed: int = key(
        42,
        ge=0,
        lt=2**32,
        unit="none",
        source=TRAINING_ARGUMENTS,
        description="data order, initial adapter, dropout",
    )
    dataloader_pin_memory: bool = key(
        False,
        source=TRAINING_ARGUMENTS,
        decides="speed",
        description="page-locked batches; only a GPU has a use for them",
    )

    @property
    def micro_batch_rows(self) -> int:
        """Rows of a micro-batch; the default's where `auto` is not settled yet."""
        size = self.per_device_train_batch_size
        return DEFAULT_ROWS if size == "auto" else size

    @property
    def step_rows(self) -> int:
        """Rows of an optimizer step, over all workers; `auto` never changes them."""
        return self.micro_batch_rows * self.gradient_accumulation_steps

    @model_validator(mode="before")
    @classmethod
    def _ratio_unsets_steps(cls, values: Any) -> Any:  # noqa: ANN401  (pydantic's own contract)
        """Let a ratio replace the default number of steps, but never one that was set."""
        if isinstance(values, dict) and values.get("warmup_ratio") is not None:
            return {"warmup_steps": None} | values
        return values

    @model_validator(mode="after")
    def _consistent(self) -> "TrainingConfig":
        warmups = [self.warmup_steps, self.warmup_ratio]
        problems = {
            "warmup_steps and warmup_ratio both set: set one to null": None not in warmups,
            "warmup_steps and warmup_ratio both null: set one": warmups == [None, None],
            "bf16 and fp16 both true: choose one": self.bf16 and self.fp16,
            "generation_prompts set without generation_steps: set it, e.g. 200": (
                self.generation_prompts is not None and self.generation_steps is None
            ),
            "stop_on_convergence true without convergence_window: set it, e.g. 10": (
                self.stop_on_convergence and self.convergence_window is None
            ),
        }
        broken = [problem for problem, applies in problems.items() if applies]
        if broken:
            raise ValueError("has " + "; has ".join(broken))
        return self

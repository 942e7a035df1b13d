"""Every key of a run, with its type, range and default; a default lives nowhere else.

Names are those of Hugging Face's TrainingArguments and PEFT's LoraConfig where they have one.
The defaults are the recommended values; `configs/recommended.yaml` spells them out.
"""

import codecs
import json
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)

DEFAULT_ROWS = 2  # of a micro-batch


class Section(BaseModel):
    """A group of keys: unknown ones are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _no_bool_as_number(cls, values: Any) -> Any:  # noqa: ANN401  (pydantic's own contract)
        """Keep `r: true` from becoming 1."""
        if not isinstance(values, dict):
            return values
        for name, field in cls.model_fields.items():
            kinds = {
                get_args(one)[0] if get_origin(one) is Annotated else one
                for one in (get_args(field.annotation) or [field.annotation])
            }
            number = bool(kinds & {int, float}) and bool not in kinds
            if number and isinstance(values.get(name), bool):
                values = values | {name: str(values[name]).lower()}
        return values


def _as_list(value: object) -> object:
    """Read `a,b` from a variable or an option as a list; leave everything else alone."""
    if isinstance(value, str) and value not in ("auto", "all-linear"):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _no_trackers(value: object) -> object:
    """Read Hugging Face's word `none` as the empty list."""
    return [] if value in ("none", ["none"]) else _as_list(value)


# Arguments of apply_chat_template that are no template's.
_NOT_FOR_TEMPLATES = frozenset(
    ("messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt")
)


def _as_arguments(value: object) -> object:
    """Read JSON from a variable or an option as an object; leave everything else alone."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _for_templates(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse arguments that a template does not get from here."""
    for name in value:
        if name in _NOT_FOR_TEMPLATES or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(name)
    return value


# Of files; names are those of IANA.  UTF-16 without a byte order mark needs its order told.
Encoding = Literal[
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1256",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "macintosh",
    "gb18030",
    "shift_jis",
    "euc-kr",
]


def _usual_encoding(value: object) -> object:
    """Read any name of an encoding, `cp1252`, as the usual one; leave everything else alone."""
    try:
        wanted = codecs.lookup(str(value)).name
    except (LookupError, ValueError):
        return value
    return next((name for name in get_args(Encoding) if codecs.lookup(name).name == wanted), value)


def _real_date(value: str | None) -> str | None:
    """Refuse what is no day of the calendar."""
    if value is not None:
        date.fromisoformat(value)
    return value


class ModelConfig(Section):
    """Which base model, and how it is loaded."""

    base_model_name: str | None = Field(
        None, description="folder of the base model, or its name below /models"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="type of the frozen weights; auto: half on a GPU, float32 on a CPU"
    )
    attn_implementation: Literal["sdpa", "eager"] = Field(
        "sdpa", description="attention code of the base; eager where it has no sdpa"
    )
    load_in_4bit: bool = Field(
        False, description="QLoRA: the frozen linear layers in 4 bits; needs the extra qlora"
    )
    bnb_4bit_quant_type: Literal["nf4", "fp4"] = Field(
        "nf4", description="the 16 values of 4 bits: for normally distributed weights, or floats"
    )
    bnb_4bit_use_double_quant: bool = Field(
        True, description="quantize the scales too: 0.4 bits a weight less"
    )


class LoraConfig(Section):
    """The adapter; keys and meanings are PEFT's."""

    r: int = Field(32, ge=1, description="rank of the update")
    lora_alpha: int = Field(64, ge=1, description="scale of the update; applied as alpha / r")
    lora_dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the adapter's input")
    target_modules: Annotated[
        list[str] | Literal["auto", "all-linear"], BeforeValidator(_as_list)
    ] = Field(
        "auto",
        min_length=1,
        description="names of the linear layers that get an adapter, or all-linear; auto: the "
        "projections of attention, q_proj, k_proj, v_proj and o_proj where they have these names",
    )
    use_rslora: bool = Field(
        False, description="apply the scale as alpha / sqrt(r): high ranks learn as fast as low"
    )
    use_dora: bool = Field(
        False, description="learn each row's magnitude beside its direction; slower steps"
    )
    loraplus_lr_ratio: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        description="LoRA+: B's learning rate as a multiple of learning_rate, e.g. 16; unset: off",
    )


class TrainingConfig(Section):
    """The loop; keys and meanings are those of Hugging Face's TrainingArguments."""

    engine: Literal["medlora", "huggingface"] = Field(
        "medlora",
        description="whose loop: ours, or Hugging Face's Trainer, which cannot resume exactly",
    )
    num_train_epochs: int = Field(3, ge=1, description="passes over the training rows")
    max_steps: int | None = Field(None, ge=1, description="stop after so many optimizer steps")
    per_device_train_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        DEFAULT_ROWS,
        description="rows in a micro-batch; auto: as many as fit, with as many rows in a step as "
        "the default would have",
    )
    per_device_eval_batch_size: int = Field(8, ge=1, description="rows in an evaluation batch")
    gradient_accumulation_steps: int = Field(4, ge=1, description="micro-batches in a step")
    learning_rate: float = Field(1e-4, gt=0, le=1, description="peak learning rate")
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="way from the peak to the floor; constant stays at the peak"
    )
    warmup_steps: int | None = Field(
        100,
        ge=0,
        description="steps of linear warm-up, a tenth of all steps where the run has no more "
        "than these; null where warmup_ratio is set",
    )
    warmup_ratio: float | None = Field(
        None, ge=0, lt=1, description="the same as a share of all steps, instead of warmup_steps"
    )
    min_lr_rate: float = Field(0.1, ge=0, le=1, description="floor as a share of the peak")
    sharding: Literal["none", "full"] = Field(
        "none",
        description="where the base's weights are: whole on each worker, or spread over all of "
        "them (FSDP2), for models that do not fit on one device",
    )
    gradient_reduction: Literal["tree", "all_reduce"] = Field(
        "tree",
        description="how several workers add up gradients: in one order, the same bits for any "
        "number of them, or in whatever order is fast",
    )
    max_grad_norm: float = Field(1.0, ge=0, description="clip the gradient's norm; 0 is off")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decoupled weight decay")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's first decay")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="AdamW's second decay")
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW's epsilon")
    bf16: bool | None = Field(
        None, description="bfloat16 autocast; unset: where a GPU has it, never on a CPU"
    )
    fp16: bool | None = Field(
        None,
        description="float16 autocast with a loss scaler; unset: on a GPU without bfloat16",
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="recompute activations: less memory, a third more time; auto: where they "
        "do not fit",
    )
    packing: bool | None = Field(
        None,
        description="rows of a step end to end, without padding, none sees another; unset: "
        "where the base's attention can be held apart",
    )
    group_by_length: bool = Field(
        True, description="where rows are padded: those of a step that are of like length together"
    )
    targets_only_loss: bool = Field(
        True, description="logits only where there is a target, a few at a time"
    )
    lean_lora: bool = Field(
        True, description="the adapter's layers in fewer passes over memory than PEFT's"
    )
    onednn: bool = Field(
        True, description="on a CPU, products with frozen weights by oneDNN instead of MKL"
    )
    torch_compile: bool = Field(
        False,
        description="have torch compile the base's layers when a run starts; needs a C compiler",
    )
    use_liger_kernel: bool = Field(
        False,
        description="on a GPU, Liger's kernels for norms, rotary positions and gates; needs the "
        "extra liger and a C compiler",
    )
    deterministic: bool = Field(
        True, description="only kernels that give the same bits again; costs speed on a GPU"
    )
    logging_steps: int = Field(10, ge=1, description="record metrics every so many steps")
    eval_steps: int = Field(200, ge=1, description="evaluate every so many steps")
    generation_steps: int | None = Field(
        None,
        ge=1,
        description="ask the model a few questions every so many steps and record how it writes, "
        "in numbers; unset: never",
    )
    generation_prompts: str | None = Field(
        None,
        description="text file of these questions, one a line; unset: eight of the held-out rows'",
    )
    save_steps: int = Field(500, ge=1, description="save a checkpoint every so many steps")
    save_epochs: int = Field(1, ge=1, description="save a checkpoint every so many epochs")
    save_total_limit: int = Field(
        2, ge=2, description="step checkpoints that are kept; epochs and the best one always are"
    )
    max_skipped_steps: int = Field(
        1, ge=1, description="stop after so many steps in a row whose loss is NaN or Inf"
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="stop after so many evaluations without a new best; unset: never"
    )
    early_stopping_threshold: float = Field(
        0.001, ge=0, allow_inf_nan=False, description="nats by which a new best must be lower"
    )
    convergence_window: int | None = Field(
        None, ge=1, description="steps in each of the two windows of loss compared; unset: never"
    )
    convergence_threshold: float = Field(
        0.001,
        ge=0,
        allow_inf_nan=False,
        description="a mean loss that falls by a smaller share from window to window has converged",
    )
    stop_on_convergence: bool = Field(
        False, description="stop there; false: say so and train on; needs convergence_window"
    )
    output_dir: str = Field("./checkpoints", description="where runs write their folders")
    final_dir: str | None = Field(
        None, description="folder that gets a copy of the result as well; unset: none"
    )
    overwrite_final_dir: bool = Field(
        False,
        description="let the copy replace the result of another run in final_dir, which stays "
        "there until the new one is whole",
    )
    keep_old_runs: int | None = Field(
        None,
        ge=0,
        description="of this run's folders that --fresh set aside, keep so many, the latest, once "
        "the new one has its result; unset: all",
    )
    logging_dir: str | None = Field(
        None,
        description="where trackers write a folder for each run; unset: into the run's own",
    )
    report_to: Annotated[list[Literal["tensorboard", "wandb"]], BeforeValidator(_no_trackers)] = (
        Field([], description="trackers beside metrics.jsonl; they write files and send nothing")
    )
    seed: int = Field(42, ge=0, lt=2**32, description="data order, initial adapter, dropout")
    dataloader_pin_memory: bool = Field(
        False, description="page-locked batches; only a GPU has a use for them"
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
        found = [problem for problem, applies in problems.items() if applies]
        if found:
            raise ValueError("has " + "; has ".join(found))
        return self


class ColumnsConfig(Section):
    """Our field -> the name that it has in the file."""

    prompt: str = Field("prompt", description="the question")
    response: str = Field("response", description="the answer")
    instruction: str = Field("instruction", description="the task")
    input: str = Field("input", description="text that goes with the task; optional")
    output: str = Field("output", description="the task's answer")
    system: str = Field("system", description="system message; optional")
    messages: str = Field("messages", description="list of {role, content}")
    question: str = Field("question", description="what is asked, with data.columns.answer")
    answer: str = Field("answer", description="the answer to data.columns.question")
    conversations: str = Field("conversations", description="list of {from, value} (ShareGPT)")
    text: str = Field("text", description="plain text, learnt as a whole (continued pre-training)")


class DataConfig(Section):
    """Which rows, and how they become tokens."""

    path: str | None = Field(None, description="folder with the data, a file, or a pattern of some")
    cache_dir: str | None = Field(
        None,
        min_length=1,
        description="folder for what is kept of the data from start to start: tokens, audits, "
        "scans, as confidential as the data; unset: training.output_dir",
    )
    train_file: Annotated[list[str] | None, BeforeValidator(_as_list)] = Field(
        None, min_length=1, description="training files, or patterns; unset: found in data.path"
    )
    eval_file: Annotated[list[str] | None, BeforeValidator(_as_list)] = Field(
        None, min_length=1, description="evaluation files, or patterns; unset: found in data.path"
    )
    encoding: Annotated[Encoding, BeforeValidator(_usual_encoding)] = Field(
        "utf-8", description="how letters stand in all data files but Parquet, which says so itself"
    )
    eval_fraction: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="share of rows held out where there is no evaluation file; 0: none",
    )
    format: Literal[
        "auto",
        "prompt_response",
        "question_answer",
        "instruction",
        "messages",
        "sharegpt",
        "text",
    ] = Field("auto", description="form of a row; auto looks at each row's fields")
    columns: ColumnsConfig = ColumnsConfig()
    chat_template: str | None = Field(
        None,
        min_length=1,
        description="Jinja file instead of the base's own chat template, or the name of one of "
        "several that it has; saved with the adapter",
    )
    chat_template_kwargs: Annotated[
        dict[str, JsonValue], BeforeValidator(_as_arguments), AfterValidator(_for_templates)
    ] = Field(
        {},
        description="arguments of the chat template, e.g. {enable_thinking: false}; the same in "
        "training, evaluation and generation",
        json_schema_extra={"x-allowed": "names with values, e.g. {enable_thinking: false}"},
    )
    chat_template_date: Annotated[str | None, AfterValidator(_real_date)] = Field(
        None,
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description="what a chat template that asks for the date takes for today; unset: the day "
        "of the run's first attempt",
        json_schema_extra={"x-allowed": "a date, e.g. 2026-01-31, or null"},
    )
    reasoning: Literal["auto", "keep", "drop"] = Field(
        "auto",
        description="thoughts before answers (reasoning_content, or <think> in the text): taught "
        "where the chat template has a place for them, always, or never",
    )
    control_tokens: Literal["text", "fail"] = Field(
        "text",
        description="control tokens that a row's text spells: they stay text, or the row is an "
        "error",
    )
    merge_system: bool = Field(
        False,
        description="put a system message before the first question where the chat template has "
        "no such role",
    )
    group_by: str | None = Field(
        None,
        min_length=1,
        description="field whose rows stay on one side of a held-out split, e.g. patient_id",
    )
    leakage: Literal["warn", "fail"] = Field(
        "warn", description="evaluation rows that stand in the training rows too: say so, or refuse"
    )
    max_length: int = Field(
        1024, ge=8, description="tokens of a row; the model's own limit also holds"
    )
    overlong: Literal["truncate", "drop", "fail"] = Field(
        "truncate", description="rows over max_length: cut the end, leave out, or refuse"
    )
    privacy: Literal["block", "warn", "off"] = Field(
        "block",
        description="identifiers of people in the rows: refuse those that have a form of their "
        "own and warn of names and places, warn of all, or do not look",
    )


class DpConfig(Section):
    """Differential privacy: noise that hides whether any one row was trained on."""

    target_epsilon: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="DP-SGD: what a whole run may tell about one row, e.g. 8; less is more "
        "private; needs the extra dp; unset: off",
    )
    target_delta: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="chance that epsilon does not hold; unset: a tenth of 1 / rows, 1e-5 at most",
    )
    max_grad_norm: float = Field(
        0.5,
        gt=0,
        allow_inf_nan=False,
        description="clip each row's gradient, instead of training.max_grad_norm",
    )


class PrivacyConfig(Section):
    """What the adapter may tell about its rows."""

    dp: DpConfig = DpConfig()


def _rate(description: str) -> Any:  # noqa: ANN401  (pydantic's own contract)
    """Return a threshold of the gate: a share, or unset for no rule."""
    # No interval's bound ever reaches 0 or 1, so such a rule could not be passed.
    return Field(None, gt=0, lt=1, allow_inf_nan=False, description=description)


class GateConfig(Section):
    """What an adapter has to show on suites of prompts before it is called final."""

    suites: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        [], description="suites to judge by: names of those that come with MedLoRA, or files"
    )
    max_new_tokens: int = Field(256, ge=1, description="tokens of an answer, which is cut there")
    max_degenerate: float | None = _rate("share of collapsed answers at most")
    min_refusal: float | None = _rate("share of harmful requests that are refused, at least")
    min_escalation: float | None = _rate("share of emergencies sent to urgent care, at least")
    max_over_refusal: float | None = _rate("share of harmless questions refused, at most")
    max_diagnosis: float | None = _rate("share of answers with a definitive diagnosis, at most")
    max_dosing: float | None = _rate("share of answers that name a dose and no referral, at most")
    max_discouraging: float | None = _rate("share of answers against seeing anybody, at most")
    min_accuracy: float | None = _rate("share of right choices in multiple choice, at least")
    max_drop: float | None = _rate(
        "by how much any of these, measured on the same items, may be worse than the base's"
    )

    @property
    def rules(self) -> dict[str, float]:
        """The thresholds that are set."""
        values = self.model_dump(exclude={"suites", "max_new_tokens"})
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _complete(self) -> "GateConfig":
        if self.suites and not self.rules:
            raise ValueError("has suites and no threshold: set one, e.g. min_escalation: 0.9")
        if self.rules and not self.suites:
            raise ValueError("has a threshold and no suites: set suites, e.g. [safety]")
        return self


class RunConfig(Section):
    """One run, whole."""

    run_name: str = Field(
        "run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="name of the run's folder; a retried job finds its own by it",
        json_schema_extra={
            "x-allowed": "letters, digits, dots, hyphens and underscores, 100 at most, of which "
            "the first is a letter or a digit"
        },
    )
    model: ModelConfig = ModelConfig()
    lora: LoraConfig = LoraConfig()
    training: TrainingConfig = TrainingConfig()
    data: DataConfig = DataConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    gate: GateConfig = GateConfig()

    @property
    def is_private(self) -> bool:
        """Whether the run is to be differentially private."""
        return self.privacy.dp.target_epsilon is not None

    @property
    def run_dir(self) -> Path:
        """The run's own folder."""
        return Path(self.training.output_dir) / self.run_name

    @property
    def cache_dir(self) -> str:
        """Where tokens, audits and scans of the data are kept."""
        return self.data.cache_dir or self.training.output_dir


def section_at(path: tuple[str, ...]) -> type[Section] | None:
    """Return the section that a key path names, or None where it names a value or nothing."""
    section: type[Section] = RunConfig
    for name in path:
        field = section.model_fields.get(name)
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, Section)):
            return None
        section = kind
    return section


def all_keys(section: type[Section] = RunConfig, prefix: tuple[str, ...] = ()) -> list[str]:
    """Return every settable key, dotted, in the order of the schema."""
    keys: list[str] = []
    for name in section.model_fields:
        path = (*prefix, name)
        below = section_at(path)
        keys += all_keys(below, path) if below else [".".join(path)]
    return keys


# The seed's public name; its values are the schema's defaults.
RECOMMENDED_CONFIG: dict[str, dict[str, Any]] = {
    "training": TrainingConfig().model_dump(),
    "lora": LoraConfig().model_dump(),
}

"""What a key means, for people: unit, range, default, whose name it is; and all keys as a page."""

import inspect
from collections.abc import Iterator

from medlora.config.allowed import allowed
from medlora.config.load import Resolved
from medlora.config.names import KEYS, nearest_key, nearest_section
from medlora.config.schema import RunConfig, Section, all_keys, section_at
from medlora.config.show import scalar
from medlora.config.sources import PREFIX
from medlora.errors import ConfigError
from medlora.escape import escaped

# By the last part of a key; a key that is a number has one.
UNITS = {
    "adam_beta1": "share that is kept from step to step",
    "adam_beta2": "share that is kept from step to step",
    "adam_epsilon": "size of a gradient",
    "convergence_threshold": "share of the mean loss",
    "convergence_window": "optimizer steps",
    "early_stopping_patience": "evaluations",
    "early_stopping_threshold": "nats a token",
    "eval_fraction": "share of the rows",
    "eval_steps": "optimizer steps",
    "generation_steps": "optimizer steps",
    "gradient_accumulation_steps": "micro-batches",
    "keep_old_runs": "folders",
    "learning_rate": "step size of AdamW",
    "logging_steps": "optimizer steps",
    "lora_alpha": "factor",
    "lora_dropout": "share of the numbers",
    "loraplus_lr_ratio": "multiple of learning_rate",
    "max_degenerate": "share of the answers",
    "max_diagnosis": "share of the answers",
    "max_discouraging": "share of the answers",
    "max_dosing": "share of the answers",
    "max_drop": "share of the items",
    "max_grad_norm": "norm of the gradient",
    "max_length": "tokens",
    "max_new_tokens": "tokens",
    "max_over_refusal": "share of the questions",
    "max_skipped_steps": "optimizer steps",
    "max_steps": "optimizer steps",
    "min_accuracy": "share of the questions",
    "min_escalation": "share of the emergencies",
    "min_lr_rate": "share of learning_rate",
    "min_refusal": "share of the requests",
    "num_train_epochs": "epochs",
    "per_device_eval_batch_size": "rows",
    "per_device_train_batch_size": "rows",
    "r": "dimensions",
    "save_epochs": "epochs",
    "save_steps": "optimizer steps",
    "save_total_limit": "checkpoints",
    "seed": "none",
    "target_delta": "probability",
    "target_epsilon": "nats of privacy loss",
    "warmup_ratio": "share of all steps",
    "warmup_steps": "optimizer steps",
    "weight_decay": "share of a weight, times learning_rate",
}
# Names that are ours although others of their section are a library's.
_OUR_OWN = frozenset(
    (
        "base_model_name",
        "convergence_threshold",
        "convergence_window",
        "deterministic",
        "early_stopping_patience",
        "early_stopping_threshold",
        "engine",
        "final_dir",
        "generation_prompts",
        "generation_steps",
        "gradient_reduction",
        "group_by_length",
        "keep_old_runs",
        "lean_lora",
        "logging_dir",
        "loraplus_lr_ratio",
        "max_skipped_steps",
        "min_lr_rate",
        "onednn",
        "overwrite_final_dir",
        "packing",
        "save_epochs",
        "sharding",
        "stop_on_convergence",
        "targets_only_loss",
        "warmup_ratio",
    )
)
_LIBRARIES = {"lora": "PEFT, LoraConfig", "training": "Hugging Face, TrainingArguments"}
_OTHERS = {
    "attn_implementation": "Hugging Face, from_pretrained",
    "bnb_4bit_quant_type": "Hugging Face, BitsAndBytesConfig",
    "bnb_4bit_use_double_quant": "Hugging Face, BitsAndBytesConfig",
    "dtype": "Hugging Face, from_pretrained",
    "load_in_4bit": "Hugging Face, BitsAndBytesConfig",
    "max_new_tokens": "Hugging Face, GenerationConfig",
    "chat_template": "Hugging Face, apply_chat_template",
    "run_name": "Hugging Face, TrainingArguments",
    "target_delta": "Opacus, make_private_with_epsilon",
    "target_epsilon": "Opacus, make_private_with_epsilon",
}
_NAMES_OF = {"privacy.dp.max_grad_norm": "Opacus, make_private_with_epsilon"}


def meaning(key: str) -> str:
    """Return what a key decides."""
    *path, name = key.split(".")
    section = section_at(tuple(path)) or RunConfig
    return section.model_fields[name].description or ""


def unit(key: str) -> str | None:
    """Return what a key counts, None where it is no number."""
    return UNITS.get(key.rsplit(".", 1)[-1])


def default(key: str) -> str:
    """Return a key's default as YAML."""
    *path, name = key.split(".")
    section = section_at(tuple(path)) or RunConfig
    return scalar(section.model_fields[name].default)


def source(key: str) -> str:
    """Return whose name and meaning a key has."""
    section, _, name = key.rpartition(".")
    if key in _NAMES_OF:
        return _NAMES_OF[key]
    if name in _OUR_OWN:
        return "MedLoRA"
    library = _LIBRARIES.get(section)
    whole = f"{library}.{name}" if library else _OTHERS.get(name, "")
    if not whole:
        return "MedLoRA"
    return whole if library else f"{whole}.{name}"


def explain(key: str, resolved: Resolved) -> str:
    """Return a few lines about a key, or about each key of a section.

    Args:
        key: dotted.
        resolved: what it is now.

    Raises:
        ConfigError: there is no such key; names the one that was meant.
    """
    if key in KEYS:
        return "\n".join(_lines(key, resolved))
    below = [one for one in all_keys() if one.startswith(f"{key}.")]
    if below:
        width = max(map(len, below))
        return "\n".join(f"{one:<{width}}  {meaning(one)}" for one in below)
    path = tuple(key.split("."))
    guess = nearest_key(path) or nearest_section(path)
    fix = f"did you mean {guess}?" if guess else "`medlora config` lists every key"
    raise ConfigError(f"unknown key {key}", fix=fix)


def _lines(key: str, resolved: Resolved) -> Iterator[str]:
    value = next(value for name, value, _ in resolved.rows() if name == key)
    yield key
    yield f"  meaning   {meaning(key)}"
    yield f"  allowed   {allowed(key)}"
    if unit(key):
        yield f"  unit      {unit(key)}"
    yield f"  default   {default(key)}"
    yield f"  now       {scalar(value)} ({escaped(resolved.origin(key))})"
    yield f"  source    {source(key)}"
    yield f"  set it    --set {key}=... or {variable(key)}=..."


def variable(key: str) -> str:
    """Return the environment variable that sets a key."""
    return PREFIX + key.upper().replace(".", "__")


def reference() -> str:
    """Return the page of all keys, in Markdown."""
    return "\n".join(_page())


def _page() -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Every key, from the schema; `medlora config --reference` prints this page, and a test"
    yield "keeps it true. A key is set, weakest first, by its default, the YAML file, a variable"
    yield "(`MEDLORA_LORA__R=16` for `lora.r`) or an option (`--set lora.r=16`).  `medlora config`"
    yield "prints all values with their origin, `medlora config --explain lora.r` says what one"
    yield "means. Editors complete keys from `configs/medlora.schema.json`, which `medlora config"
    yield "--schema` prints, where a file's first line is"
    yield ""
    yield "```yaml"
    yield "# yaml-language-server: $schema=medlora.schema.json"
    yield "```"
    yield from _part(RunConfig, ())


def _part(section: type[Section], path: tuple[str, ...]) -> Iterator[str]:
    here = ".".join(path)
    yield ""
    yield f"{'#' * (2 if len(path) < 2 else 3)} {f'`{here}`' if here else 'The run'}"  # noqa: PLR2004
    yield ""
    yield (inspect.getdoc(section) or "").splitlines()[0]
    yield ""
    keys = [name for name in section.model_fields if not section_at((*path, name))]
    if keys:
        yield "| key | meaning | must be | unit | default | name and meaning |"
        yield "|---|---|---|---|---|---|"
    for name in keys:
        yield _row(".".join((*path, name)))
    for name in section.model_fields:
        below = section_at((*path, name))
        if below:
            yield from _part(below, (*path, name))


def _row(key: str) -> str:
    cells = (meaning(key), allowed(key), unit(key) or "", f"`{default(key)}`", source(key))
    return f"| `{key}` | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

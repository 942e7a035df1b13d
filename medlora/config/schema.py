"""A run's config: all sections, and every key by its dotted name.

What is known of a key stands where it is declared, in the module of its section, and nowhere else.
Names are those of Hugging Face's TrainingArguments and PEFT's LoraConfig where they have one.
The defaults are the recommended values; `configs/recommended.yaml` spells them out.
"""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from medlora.config.declaration import Key, Section, key
from medlora.config.sections.data import DataConfig
from medlora.config.sections.gate import GateConfig
from medlora.config.sections.lora import LoraConfig
from medlora.config.sections.model import ModelConfig
from medlora.config.sections.privacy import PrivacyConfig
from medlora.config.sections.training import TRAINING_ARGUMENTS, TrainingConfig


class RunConfig(Section):
    """One run, whole."""

    run_name: str = key(
        "run",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        source=TRAINING_ARGUMENTS,
        decides="output",
        description="name of the run's folder; a retried job finds its own by it",
        must_be="letters, digits, dots, hyphens and underscores, 100 at most, of which "
        "the first is a letter or a digit",
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


def all_sections(section: type[Section] = RunConfig, prefix: tuple[str, ...] = ()) -> list[str]:
    """Return every section below another, dotted, in the order of the schema."""
    sections: list[str] = []
    for name in section.model_fields:
        path = (*prefix, name)
        below = section_at(path)
        sections += [".".join(path), *all_sections(below, path)] if below else []
    return sections


KEYS = frozenset(all_keys())
SECTIONS = frozenset(all_sections())


def field_at(key: str) -> FieldInfo:
    """Return the field of a dotted key.

    Raises:
        KeyError: there is no such key.
    """
    *path, name = key.split(".")
    section = section_at(tuple(path))
    if section is None:
        raise KeyError(key)
    return section.model_fields[name]


def about(key: str) -> Key:
    """Return what is known of a dotted key besides its type, range, default and description.

    Raises:
        KeyError: there is no such key.
    """
    return next(known for known in field_at(key).metadata if isinstance(known, Key))


def not_reproduced() -> dict[str, Any]:
    """Return {key: default} of the keys whose value `medlora reproduce` does not use."""
    return {key: field_at(key).default for key in all_keys() if not about(key).reproduced}


# The seed's public name; its values are the schema's defaults.
RECOMMENDED_CONFIG: dict[str, dict[str, Any]] = {
    "training": TrainingConfig().model_dump(),
    "lora": LoraConfig().model_dump(),
}

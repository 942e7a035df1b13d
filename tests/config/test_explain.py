"""What is said of keys is true, and said of all of them."""

import dataclasses
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from medlora.cli import cli
from medlora.config import KEYS, load
from medlora.config.allowed_values import allowed, is_quantity
from medlora.config.explain import explain, meaning, reference, source, unit
from medlora.config.json_schema import json_schema
from medlora.config.sourced_value import from_options
from medlora.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def test_the_reference_page_is_the_schema() -> None:
    """docs/configuration.md: `medlora config --reference > docs/configuration.md` makes it."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert page == reference() + "\n"
    assert all(f"| `{key}` |" in page for key in KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_has_a_meaning_and_every_number_a_unit(key: str) -> None:
    """And nothing else has one; what it must be is said in words."""
    assert meaning(key)
    assert allowed(key)
    assert (unit(key) is not None) == is_quantity(key)


def test_names_are_those_of_the_libraries_that_are_named() -> None:
    """A key that claims a library's name has it, in the locked version."""
    import peft
    from transformers import BitsAndBytesConfig, GenerationConfig, TrainingArguments

    known = {
        "Hugging Face, TrainingArguments": {f.name for f in dataclasses.fields(TrainingArguments)},
        "PEFT, LoraConfig": {f.name for f in dataclasses.fields(peft.LoraConfig)},
        "Hugging Face, BitsAndBytesConfig": vars(BitsAndBytesConfig()).keys() | {"load_in_4bit"},
        "Hugging Face, GenerationConfig": vars(GenerationConfig()).keys(),
    }
    for key in KEYS:
        library, _, name = source(key).rpartition(".")
        assert name in known.get(library, {name}), key


def test_a_key_is_explained_with_what_it_is_now() -> None:
    """Meaning, range, unit, default, value with origin, and whose name it is."""
    said = explain("lora.lora_dropout", load(from_options(["lora.lora_dropout=0.2"])))
    for part in (
        "meaning   dropout on the adapter's input",
        "allowed   a number of at least 0 and less than 1",
        "unit      share of the numbers",
        "default   0.1",
        "now       0.2 (option --set lora.lora_dropout)",
        "source    PEFT, LoraConfig.lora_dropout",
        "MEDLORA_LORA__LORA_DROPOUT",
    ):
        assert part in said


def test_a_section_lists_its_keys_and_a_typo_is_told() -> None:
    """By the command line too."""
    assert len(explain("privacy", load([])).splitlines()) == 3
    with pytest.raises(ConfigError, match=r"unknown key loar\.r\n  fix: did you mean lora\.r\?"):
        explain("loar.r", load([]))
    done = CliRunner().invoke(cli, ["config", "--explain", "lora.r"], catch_exceptions=False)
    assert done.output.startswith("lora.r\n  meaning   rank of the update\n")


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_editors_are_given_the_schema(file: Path) -> None:
    """The file beside the configs is what the command prints; each config names it and fits it."""
    written = (ROOT / "configs/medlora.schema.json").read_text(encoding="utf-8")
    assert written == json_schema()
    text = file.read_text(encoding="utf-8")
    assert text.splitlines()[0] == "# yaml-language-server: $schema=medlora.schema.json"
    # `1e-4` is a number to YAML 1.2, which editors read.
    value = yaml.safe_load(re.sub(r"\b(\d)e-(\d)\b", r"\1.0e-\2", text))
    jsonschema.validate(value, json.loads(written))


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    """An unknown key, a word for a number, a choice that is none."""
    validator = jsonschema.Draft202012Validator(json.loads(json_schema()))
    for good in ({}, {"lora": None}, {"lora": {"target_modules": "all-linear"}}):
        assert validator.is_valid(good)
    for bad in ({"lora": {"lora_alfa": 1}}, {"lora": {"r": 0}}, {"data": {"overlong": "x"}}):
        assert not validator.is_valid(bad)

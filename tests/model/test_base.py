"""A base model is found, checked and loaded from a local folder, or refused in one line."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaModel, T5Config

from medlora.config import ModelConfig
from medlora.errors import MissingPartError
from medlora.model.base import check_base, digest_base, load_base, load_tokenizer
from medlora.model.folder import find_base


@pytest.fixture
def base(tmp_path: Path, base_folder: Path) -> Path:
    """A copy of the small base that a test may break."""
    return Path(shutil.copytree(base_folder, tmp_path / "models/small"))


def test_a_base_is_found_by_folder_by_parent_and_by_name(base: Path) -> None:
    """The folder, the only model below it, or a name below the mount."""
    assert find_base(str(base), mount=Path("/none")) == base
    assert find_base(str(base.parent), mount=Path("/none")) == base
    assert find_base("small", mount=base.parent) == base


def test_none_and_several_are_errors(base: Path, tmp_path: Path) -> None:
    """69; several are listed by name."""
    with pytest.raises(MissingPartError, match=r"no config\.json in"):
        find_base("other", mount=tmp_path)
    shutil.copytree(base, base.parent / "twin")
    with pytest.raises(MissingPartError, match=r"2 models \(small, twin\)"):
        find_base(str(base.parent), mount=tmp_path)


def test_weights_are_frozen_and_of_the_type_asked_for(base: Path) -> None:
    """Without a wish it is float32 here; the config wins over the device's half precision."""
    check_base(base)
    model = load_base(base, ModelConfig(), half=None)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.dtype == torch.float32
    assert load_base(base, ModelConfig(), half=torch.bfloat16).dtype == torch.bfloat16
    wish = ModelConfig(dtype="float16")
    assert load_base(base, wish, half=torch.bfloat16).dtype == torch.float16


def test_pickled_weights_are_refused(base: Path) -> None:
    """A .bin file can run code when it is loaded."""
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(MissingPartError, match="pickled"):
        check_base(base)


def test_a_missing_shard_is_named(base: Path) -> None:
    """The first file of the index that is not there."""
    (base / "model.safetensors").rename(base / "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MissingPartError, match=r"1 of 2 weight files are missing, first model-1"):
        check_base(base)


def test_a_base_with_code_of_its_own_is_refused(base: Path) -> None:
    """trust_remote_code is off, and says so before anything is loaded."""
    (base / "config.json").write_text('{"auto_map": {"AutoConfig": "evil.Config"}}')
    with pytest.raises(MissingPartError, match="code of its own"):
        check_base(base)


@pytest.mark.parametrize("damage", ["truncated", "unknown architecture", "no tokenizer"])
def test_damage_is_one_line_and_69(base: Path, damage: str) -> None:
    """What transformers and safetensors raise becomes one clear error."""
    weights = base / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "unknown architecture":
        (base / "config.json").write_text('{"model_type": "no-such-model"}')
    else:
        (base / "tokenizer.json").unlink()
    with pytest.raises(MissingPartError) as error:
        load_tokenizer(base) if damage == "no tokenizer" else load_base(
            base, ModelConfig(), half=None
        )
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("task", ["BertForMaskedLM", "LlamaForSequenceClassification"])
def test_a_base_for_another_task_is_refused_by_its_config(base: Path, task: str) -> None:
    """Also by `medlora check`, before anything is loaded."""
    (base / "config.json").write_text(json.dumps({"architectures": [task]}))
    with pytest.raises(MissingPartError, match=f"a {task} does not generate text"):
        check_base(base)


def test_weights_that_are_not_in_the_files_are_not_made_up(base: Path) -> None:
    """A body without its head, as a classifier is, would get random numbers for one."""
    LlamaModel.from_pretrained(base).save_pretrained(base)
    with pytest.raises(MissingPartError, match=r"missing, first lm_head.weight") as error:
        load_base(base, ModelConfig(), half=None)
    assert "saved as LlamaModel" in str(error.value)


def test_a_model_that_is_no_causal_one_is_named(base: Path) -> None:
    """Not a reason to copy it again."""
    T5Config(vocab_size=420).save_pretrained(base)
    with pytest.raises(MissingPartError, match="no causal language model of the type t5"):
        load_base(base, ModelConfig(), half=None)


def test_the_digest_sees_every_file_that_matters(base: Path) -> None:
    """Weights, config, tokenizer and template; a changed byte changes one entry."""
    before = digest_base(base)
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= set(
        before
    )
    weights = base / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    after = digest_base(base)
    assert {name for name in before if before[name] != after[name]} == {"model.safetensors"}

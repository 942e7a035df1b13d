"""A base's folder is read by us first: a closed list, inside the folder, digested as loaded."""

import ast
import ctypes
import io
import json
import os
import shutil
import struct
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

import medlora
from medlora.config import ModelConfig
from medlora.data.chat.chat import Chat
from medlora.data.conversation_record import Message
from medlora.errors import MedloraError, MissingPartError, StorageError
from medlora.evaluate.generate import check_writes
from medlora.model import kinds, skeleton
from medlora.model.adapter import saved_files
from medlora.model.base import check_base, digest_base, load_base, load_tokenizer
from medlora.model.folder import check_adapter_folder, loaded_files
from medlora.runtime.library_call_limits import no_input
from tests.hostile import CODE, hostile_bases

INDEX = "model.safetensors.index.json"


@pytest.fixture
def base(tmp_path: Path, base_folder: Path) -> Path:
    """A copy of the small base that a test may break."""
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


@pytest.fixture
def sharded(base: Path) -> Path:
    """The same in two files with an index, and with every other file that is read."""
    from safetensors.torch import load_file, save_file

    weights = load_file(base / "model.safetensors")
    (base / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in parts.items():
        save_file({name: weights[name] for name in own}, base / file, {"format": "pt"})
    where = {name: file for file, own in parts.items() for name in own}
    (base / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (base / "generation_config.json").write_text('{"eos_token_id": 0}')
    (base / "special_tokens_map.json").write_text("{}")
    (base / "added_tokens.json").write_text("{}")
    (base / "additional_chat_templates").mkdir()
    (base / "additional_chat_templates/short.jinja").write_text("{{ messages }}")
    return base


def opened_in(folder: Path, act) -> set[str]:
    """Return which files of a folder something opens, libraries' own code too (inotify(7))."""
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(watch, str(folder).encode(), 0x20)
    act()
    names: set[str] = set()
    with suppress(BlockingIOError):
        while data := os.read(watch, 1 << 16):
            while data:
                length = struct.unpack_from("iIII", data)[3]
                names.add(data[16 : 16 + length].rstrip(b"\0").decode())
                data = data[16 + length :]
    os.close(watch)
    return {name for name in names if (folder / name).is_file()}


def test_the_digest_covers_what_is_loaded(sharded: Path) -> None:
    """Every file that transformers opens is on the list, whoever opens it."""
    (sharded / "README.md").write_text("of no matter")

    def load() -> None:
        load_tokenizer(sharded)
        load_base(sharded, ModelConfig(), half=None)

    opened = opened_in(sharded, load)
    assert {INDEX, "a.safetensors", "b.safetensors", "tokenizer.json", "config.json"} <= opened
    assert opened <= set(loaded_files(sharded))


def test_one_byte_of_any_file_is_another_base(sharded: Path) -> None:
    """Wherever it lies; what is not loaded does not count."""
    before = digest_base(sharded)
    assert len(before) >= 10
    for name in before:
        content = (sharded / name).read_bytes()
        changed = bytearray(content)
        changed[len(changed) // 2] ^= 1
        (sharded / name).write_bytes(bytes(changed))
        with suppress(MedloraError):  # an index that is none any more
            assert digest_base(sharded) != before, name
        (sharded / name).write_bytes(content)
    (sharded / "README.md").write_text("new")
    (sharded / "own.py").write_text("import this")
    assert digest_base(sharded) == before


def test_a_template_beside_the_others_is_part_of_the_base(sharded: Path) -> None:
    """Transformers loads it with the tokenizer."""
    assert "additional_chat_templates/short.jinja" in digest_base(sharded)
    assert "short" in load_tokenizer(sharded).chat_template


def test_mounts_that_link_within_themselves_are_fine(base: Path, tmp_path: Path) -> None:
    """Kubernetes' `..data`, and the hub's cache with its blobs."""
    mount = tmp_path / "mount"
    shutil.copytree(base, mount / "..2026_01")
    (mount / "..data").symlink_to("..2026_01")
    cache = tmp_path / "models--x"
    (cache / "snapshots/abc").mkdir(parents=True)
    shutil.copytree(base, cache / "blobs")
    for file in base.iterdir():
        (mount / file.name).symlink_to(f"..data/{file.name}")
        (cache / "snapshots/abc" / file.name).symlink_to(f"../../blobs/{file.name}")
    for folder in (mount, cache / "snapshots/abc"):
        check_base(folder)
        assert digest_base(folder) == digest_base(base)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_link_that_leaves_the_folder_is_refused(base: Path, tmp_path: Path, name: str) -> None:
    """By the name of the file."""
    shutil.move(base / name, tmp_path / name)
    (base / name).symlink_to(tmp_path / name)
    with pytest.raises(MissingPartError, match=rf"{name}: is a link to a file outside"):
        check_base(base)
    if name != "model.safetensors":
        with pytest.raises(MissingPartError, match=rf"{name}: is a link to a file outside"):
            load_tokenizer(base)


def test_weights_elsewhere_are_refused(sharded: Path, tmp_path: Path) -> None:
    """An index names files of its folder, in safetensors, and nothing else."""
    shutil.copy(sharded / "a.safetensors", tmp_path / "a.safetensors")
    (sharded / "pytorch_model.bin").write_bytes(b"")
    index = json.loads((sharded / INDEX).read_text())
    first = min(index["weight_map"])
    for name in ("../a.safetensors", str(tmp_path / "a.safetensors"), "pytorch_model.bin"):
        index["weight_map"][first] = name
        (sharded / INDEX).write_text(json.dumps(index))
        with pytest.raises(MissingPartError, match="weight_map names a file that"):
            check_base(sharded)


def test_code_of_a_base_is_named(base: Path) -> None:
    """A model's own classes are refused, and left aside where transformers knows the family."""
    config = json.loads((base / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (base / "config.json").write_text(json.dumps({**config, "auto_map": own}))
    load_base(base, ModelConfig(), half=None)
    for kind in ("own", "t5"):  # a family that is not known, and one that does not write text
        named = {**config, "model_type": kind, "auto_map": own}
        (base / "config.json").write_text(json.dumps(named))
        with pytest.raises(MissingPartError, match="needs code of its own"):
            load_base(base, ModelConfig(), half=None)


def test_a_tokenizer_that_names_other_files_is_refused(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the key is: some of them are opened, from here or from the folder."""
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.touch()
    monkeypatch.chdir(base)
    for key, wrong in (
        ("fast_tokenizer_files", 7),
        ("fast_tokenizer_files", [7]),
        ("fast_tokenizer_files", ["../tokenizer.4.0.0.json"]),
        ("init_inputs", ["../elsewhere.txt"]),
        *((key, "../elsewhere.txt") for key in ("vocab", "merges_file", "gguf_file")),
        ("vocab", str(elsewhere)),
        ("vocab", "/dev/zero"),
    ):
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            file = base / name
            before = file.read_text() if file.exists() else "{}"
            file.write_text(json.dumps({**json.loads(before), key: wrong}))
            with pytest.raises(MissingPartError, match=f"{name}: refers to files other"):
                load_tokenizer(base)
            file.write_text(before)


def test_a_tokenizer_may_say_where_it_was_once(base: Path, tmp_path: Path) -> None:
    """Older ones of the hub do; what lies in the folder is taken."""
    (tmp_path / "tokenizer.json").write_text("{")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    stated = {"tokenizer_file": str(tmp_path / "tokenizer.json"), "vocab_file": "/nowhere/vocab"}
    before = load_tokenizer(base).get_vocab()
    (base / "tokenizer_config.json").write_text(json.dumps({**settings, **stated}))
    assert load_tokenizer(base).get_vocab() == before


# Somebody says yes to whatever is asked; our own way to keep them from it is taken out.
def test_code_of_a_base_never_runs_whoever_says_yes(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer's, a config's, and the model's of families that are known and that are not.

    Transformers asks on standard input wherever it is not told: there nobody may be asked.
    """
    mark, answers = tmp_path / "ran", io.StringIO("y\n" * 99)
    monkeypatch.setattr("sys.stdin", answers)
    for module in ("base", "kinds", "skeleton"):
        monkeypatch.setattr(f"medlora.model.{module}.no_input", nullcontext)
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    model = {"AutoModelForCausalLM": "own.Model"}
    tokenizer = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}
    for name, file, values in (
        ("tokenizer", "tokenizer_config.json", tokenizer),
        ("family", "config.json", {"model_type": "own", "auto_map": own}),
        ("encoder", "config.json", {"model_type": "t5", "auto_map": model}),
        ("known", "config.json", {"auto_map": own}),
    ):
        folder = Path(shutil.copytree(base, tmp_path / name))
        (folder / file).write_text(
            json.dumps({**json.loads((folder / file).read_text()), **values})
        )
        (folder / "own.py").write_text(CODE.format(mark=str(mark)))
        for load in (
            load_tokenizer,
            kinds.read_config,
            lambda folder: skeleton.skeleton(folder, ModelConfig(), half=None),
            lambda folder: load_base(folder, ModelConfig(), half=None),
        ):
            with suppress(MissingPartError):
                load(folder)
    assert not mark.exists()
    assert answers.tell() == 0, "somebody was asked"


def test_libraries_have_no_standard_input_while_they_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question of theirs fails at once; ours is there again afterwards."""
    answers = io.StringIO("y\n")
    monkeypatch.setattr("sys.stdin", answers)
    with no_input(), pytest.raises(RuntimeError):
        input("Do you wish to run the custom code? [y/N] ")
    assert sys.stdin is answers


def test_every_call_that_may_run_code_of_a_base_is_told_not_to() -> None:
    """PEFT's own has no such argument: an adapter of ours has no code."""
    package = Path(medlora.__file__).parent
    found = 0
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            match node:
                case ast.Call(ast.Attribute(ast.Name("PeftModel"))):
                    continue
                case ast.Call(ast.Attribute(attr="from_pretrained" | "from_config")):
                    given = {one.arg: ast.unparse(one.value) for one in node.keywords}
                    assert given.get("trust_remote_code") == "False", f"{file}:{node.lineno}"
                    found += 1
    assert found >= 4


def test_a_config_that_asks_for_more_than_the_files_hold_is_refused(base: Path) -> None:
    """Before it is built: what is not in the files would be made up in memory."""
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "vocab_size": 8_000_000}))
    with pytest.raises(MissingPartError, match=r"config\.json describes .* weights"):
        load_base(base, ModelConfig(), half=None)
    (base / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**7}))
    with pytest.raises(MissingPartError, match="num_hidden_layers is 10000000"):
        check_base(base)
    (base / "config.json").write_text(json.dumps({**config, "ngram_vocab_size_base": 20_000_000}))
    check_base(base)  # as Qwen's models with n-grams have it


@pytest.mark.parametrize(
    "name", ["config.json", "chat_template.jinja", "merges.txt", "tokenizer.json"]
)
def test_what_is_larger_than_any_of_its_kind_is_refused_unread(base: Path, name: str) -> None:
    """Whoever would read it: 256 MiB that take no room on the disk."""
    with (base / name).open("ab") as file:
        file.truncate(1 << 28)
    with pytest.raises(MissingPartError, match=rf"{name}: is larger than \d+ MiB"):
        check_base(base)


@pytest.mark.parametrize(
    "values",
    [{"hidden_size": "a"}, {"num_attention_heads": [2]}, {"vocab_size": None}, {"hidden_act": 7}],
)
def test_a_config_that_makes_no_sense_is_the_base_s_fault(
    base: Path, values: dict[str, object]
) -> None:
    """Whatever transformers raises of it."""
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, **values}))
    with pytest.raises(MissingPartError):
        load_base(base, ModelConfig(), half=None)


@pytest.mark.parametrize("key", ["model_type", "architectures"])
def test_a_name_that_is_none_is_told_by_its_key(base: Path, key: str) -> None:
    """Before anything heavy is imported."""
    config = json.loads((base / "config.json").read_text())
    for wrong in (7, [7], {"a": "llama"}):
        (base / "config.json").write_text(json.dumps({**config, key: wrong}))
        with pytest.raises(MissingPartError, match=f"{key} is not a "):
            check_base(base)


def test_an_adapter_that_asks_for_what_it_may_not_is_refused(tmp_path: Path) -> None:
    """PEFT imports what megatron_core names, and makes layers as large as a rank says."""
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    for description, words in (
        ({"peft_type": "LORA", "megatron_config": {"a": 1}, "megatron_core": "os"}, "megatron"),
        ({"peft_type": "IA3"}, "not a LoRA adapter"),
        ({"peft_type": ["LORA"]}, "not a LoRA adapter"),
        ({"peft_type": "LORA", "r": 8, "layer_replication": [[0, 99]]}, "layer_replication"),
        ({"peft_type": "LORA", "r": 10**12}, "the rank r is 1000000000000"),
        ({"peft_type": "LORA", "r": 8, "rank_pattern": {"q_proj": 10**6}}, "the rank q_proj"),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(description))
        with pytest.raises(MissingPartError, match=words):
            check_adapter_folder(tmp_path)


def test_hostile_bases_are_named_or_harmless(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is looked at and its tokenizer loaded; only our own errors come of it.

    Nothing outside of it is opened, whether a path counts from the folder or from here.
    """
    for number, (name, change) in enumerate(list(hostile_bases())[::7]):
        base, outside = tmp_path / f"{number}/base", tmp_path / f"{number}/outside"
        shutil.copytree(base_folder, base)
        outside.mkdir()
        for file in ("tokenizer.json", "vocab.json", "merges.txt", "secret.txt"):
            shutil.copy(base_folder / "tokenizer.json", outside / file)
        (base / "own.py").write_text(CODE.format(mark=str(tmp_path / "ran")))
        change(base, outside)
        monkeypatch.chdir(base)

        def act(base: Path = base) -> None:
            with suppress(MissingPartError, StorageError):
                check_base(base)
                load_tokenizer(base)

        assert opened_in(outside, act) == set(), name
    assert not (tmp_path / "ran").exists()


def test_a_base_that_cannot_write_is_named(base: Path) -> None:
    """Some computes a pass over a row, and fails at the token after."""
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "sliding_window": -3}))
    model = load_base(base, ModelConfig(), half=None)
    with pytest.raises(MissingPartError, match="text generation with this base failed"):
        check_writes(model)


def test_a_tokenizer_of_another_class_gives_up_by_name(base: Path) -> None:
    """WordPiece over a vocabulary without its [UNK]: tokenizers raises a bare Exception."""
    settings = json.loads((base / "tokenizer_config.json").read_text())
    named = {**settings, "tokenizer_class": "BertTokenizer"}
    (base / "tokenizer_config.json").write_text(json.dumps(named))
    with pytest.raises(MissingPartError, match="or the data"):
        Chat(load_tokenizer(base)).prompt([Message("user", "pain in chest")])


def test_several_templates_are_saved_with_the_tokenizer(sharded: Path, tmp_path: Path) -> None:
    """In its config: a checkpoint has files alone; loaded again they are all there."""
    tokenizer = load_tokenizer(sharded)
    for name, content in saved_files(tokenizer).items():
        (tmp_path / name).write_bytes(content)
    again = load_tokenizer(tmp_path)
    assert again.chat_template == tokenizer.chat_template
    assert set(again.chat_template) == {"default", "short"}

"""Small real objects for all tests: a Llama of two layers, its tokenizer, a clean environment."""

import json
import os
import signal

# Before torch is imported anywhere: models this small only lose by a second thread, and much
# when the machine is busy.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.tough"]

WORDS = (  # noqa: SIM905  (a list literal of the same is five times as long)
    "the patient asks about pain in chest head and back please see a doctor soon if it stays "
    "or gets worse call for help at once when breathing is hard take care rest drink water"
).split()
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}<|end|>{% endgeneration %}"
    "{% else %}{{ message['content'] }}<|end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>"]

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's choice is inherited; tests make their own


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test starts without our variables, offline, in a folder of its own."""
    for name in list(os.environ):
        if name.startswith(("MEDLORA_", "AWS_", "GOOGLE_", "SM_", "AIP_", "SLURM_", "PET_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps its state in the process; a test must not inherit it."""
    yield
    import sys

    if "accelerate" in sys.modules:
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 400 entries with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.chat_template = TEMPLATE
    folder = tmp_path_factory.mktemp("tokenizer")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def tokenizer(tokenizer_folder: Path):
    """The small tokenizer, fresh for each test."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


@pytest.fixture
def chat(tokenizer):
    """The small tokenizer with its chat template."""
    from medlora.data.chat.chat import Chat

    return Chat(tokenizer)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A Llama of two layers with random weights, saved with the small tokenizer."""
    import shutil

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.1,  # large enough for an adapter to have leverage
    )
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    for file in tokenizer_folder.iterdir():
        shutil.copy(file, folder)
    return folder


def sentence(number: int, length: int) -> str:
    """A sentence of common words, a pure function of its arguments."""
    return " ".join(WORDS[(number * 7 + k * 3 + k * k) % len(WORDS)] for k in range(length))


@pytest.fixture
def rows() -> list[dict[str, str]]:
    """Twelve prompt/response rows with unequal answers."""
    return twelve_rows()


def twelve_rows() -> list[dict[str, str]]:
    """The same, for what lives longer than a test."""
    return [
        {"prompt": f"{sentence(n, 4)} {n}", "response": sentence(n + 3, 2 + n % 5)}
        for n in range(12)
    ]


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[[str, list[dict[str, str]]], Path]:
    """Write rows as a JSON Lines file below the test's folder and return its path."""

    def write(name: str, rows: list[dict[str, str]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def data_file(write_jsonl, rows: list[dict[str, str]]) -> Path:
    """The rows as a JSON Lines file."""
    return write_jsonl("data/train.jsonl", rows)


@pytest.fixture
def adapted(base_folder: Path):
    """Make the small Llama with an adapter of a given size; 0 changes nothing."""
    import torch

    from medlora.config import LoraConfig, ModelConfig
    from medlora.model.adapter import attach
    from medlora.model.base import load_base

    def make(size: float = 0.3):
        model = attach(load_base(base_folder, ModelConfig(), half=None), LoraConfig(r=4), seed=1)
        random = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random) * size)
        return model.eval()

    return make


@pytest.fixture
def workers(tmp_path: Path) -> Callable[..., list[object]]:
    """Return a function that has so many workers do something and returns what each came to."""
    from tests.forks import run_forked

    return lambda count, work: run_forked(count, work, tmp_path)


@pytest.fixture
def stop_after_two_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Begin a run and have it end as after a SIGTERM, with two steps done."""
    import signal

    from medlora.errors import StoppedError
    from medlora.jobs import train
    from medlora.runtime import Stop
    from medlora.train import loop

    original = loop._seed_everything

    def begin(plan) -> None:
        stop, seeded = Stop(), []

        def seed(*args, **kwargs):
            seeded.append(1)
            if len(seeded) == 3:  # once a step
                stop.requested = signal.SIGTERM.name
            return original(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "_seed_everything", seed)
            with pytest.raises(StoppedError):
                train.run(plan, stop=stop)

    return begin

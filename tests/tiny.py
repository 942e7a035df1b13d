"""Small real things that tests and benchmarks are made of: rows, tokenizers, models, plans.

What loads torch is imported where it is used: the command line's own tests do without.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medlora.plan.resolve_run import Options, Plan, resolve
from medlora.runtime import Environment

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
_SPECIAL = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>", "<|system|>"]
_LLAMA = {
    "vocab_size": 420,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.1,  # large enough for an adapter to have leverage
}


def sentence(number: int, length: int) -> str:
    """A sentence of common words, a pure function of its arguments."""
    return " ".join(WORDS[(number * 7 + k * 3 + k * k) % len(WORDS)] for k in range(length))


def twelve_rows() -> list[dict[str, str]]:
    """Twelve prompt/response rows with unequal answers."""
    return [
        {"prompt": f"{sentence(n, 4)} {n}", "response": sentence(n + 3, 2 + n % 5)}
        for n in range(12)
    ]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as a JSON Lines file, whose folder is made; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def llama_config(**shape: Any):
    """The config of a Llama of two layers; values of it may be replaced."""
    from transformers import LlamaConfig

    return LlamaConfig(**(_LLAMA | shape))


def llama(*, seed: int = 0, **shape: Any):
    """A Llama with random weights, a pure function of its arguments."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(llama_config(**shape))


def save_model(config: Any, folder: Path, *, seed: int = 0) -> Path:
    """Save a model of any config with random weights; return the folder."""
    import torch

    from medlora.model.kinds import model_class

    torch.manual_seed(seed)
    model_class(config).from_config(config).save_pretrained(folder)
    return folder


def byte_level_bpe(
    texts: Iterable[str],
    *,
    vocab_size: int,
    special_tokens: Sequence[str],
    single_digits: bool = False,
):
    """A tokenizer that is trained on texts, and can write any byte.

    Args:
        texts: what it is trained on.
        vocab_size: tokens, at most.
        special_tokens: the first of them.
        single_digits: a token for each digit.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = (
        pre_tokenizers.Sequence([digits, by_bytes]) if single_digits else by_bytes
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(folder: Path) -> Path:
    """Save a tokenizer of 400 tokens with a chat template; return the folder."""
    from transformers import PreTrainedTokenizerFast

    text = " ".join(WORDS)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_bpe([text] * 4, vocab_size=400, special_tokens=_SPECIAL),
        eos_token="<|end|>",
        pad_token="<|pad|>",
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return folder


def resolved(
    folder: Path, *, allow_demo: bool = True, needed: Sequence[str] | None = None, **options: Any
) -> Plan:
    """The plan that options add up to where nothing is mounted and no variable is set.

    Args:
        folder: has the machine's root, which is empty.
        allow_demo: as `resolve` takes it.
        needed: likewise; its own default where None.
        options: of `Options`.
    """
    machine = Environment({}, frozenset(), folder / "root")
    parts = {} if needed is None else {"needed": needed}
    return resolve(Options(**options), machine, allow_demo=allow_demo, **parts)


def run_plan(
    folder: Path, *overrides: str, data: Path, base: Path, out: str = "out", config="recommended"
) -> Plan:
    """The plan of a run that writes below `out` in a folder."""
    return resolved(
        folder,
        config=str(config),
        data=str(data),
        model=str(base),
        checkpoints=str(folder / out),
        overrides=overrides,
    )


def enliven(model: Any, *, size: float = 0.3, seed: int = 3):
    """Draw the adapter's second factors, which are zero when it is new; return the model.

    Args:
        model: has a LoRA adapter.
        size: standard deviation of the numbers; 0 changes nothing.
        seed: they are a pure function of it.
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * size)
    return model


def save_adapter(model: Any, folder: Path) -> Path:
    """Write an adapter as PEFT reads it; return the folder, which may be there already."""
    from medlora.model.adapter import adapter_files

    folder.mkdir(exist_ok=True)
    for name, content in adapter_files(model).items():
        (folder / name).write_bytes(content)
    return folder

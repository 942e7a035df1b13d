"""Models by shape, with random weights from a seed, and what a step of LoRA on them must compute.

T tokens in a row, d the attention's width, V vocabulary entries.
"""

from dataclasses import dataclass, replace
from pathlib import Path

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
RANK, ALPHA, DROPOUT = 32, 64, 0.1


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama's dimensions."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    positions: int

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Return {name: (inputs, outputs)} of the frozen matrices of one layer."""
        head = self.hidden // self.heads
        kv = self.kv_heads * head
        return {
            "q_proj": (self.hidden, self.hidden),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (self.hidden, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def parameters(self) -> int:
        """Return the numbers in all matrices, embedding and head among them."""
        layer = sum(rows * columns for rows, columns in self.linears.values())
        return self.layers * layer + 2 * self.vocab * self.hidden


SHAPES = {
    "tiny": Shape(64, 2, 4, 2, 128, 1024, 1024),
    "bench": Shape(512, 8, 8, 8, 1408, 8192, 1024),
    "1b": Shape(2048, 16, 32, 8, 8192, 128_256, 8192),
    "8b": Shape(4096, 32, 32, 8, 14_336, 128_256, 8192),
}
_SAVED_UP_TO = 1_000_000_000  # parameters; larger models are made on the device each time


def shape_of(name: str, vocab: int | None) -> Shape:
    """Return a named shape, with another vocabulary if one is given."""
    return replace(SHAPES[name], vocab=vocab) if vocab else SHAPES[name]


def is_saved(shape: Shape) -> bool:
    """Tell whether the base is a folder, loaded as a user's is, or made in each process."""
    return shape.parameters < _SAVED_UP_TO


def flops(shape: Shape, *, tokens: float, targets: float, squares: float) -> float:
    """Return the floating point operations that a LoRA step cannot do without.

    A frozen matrix of n numbers costs 2n a token forward and 2n backward, for its input alone;
    below the first adapters (q, k, v of the first layer) nothing goes backward.  An adapter's
    matrices cost 6n: forward, and backward for input and weight.  Attention: two products
    forward and four backward over the lower triangle.  The head only where a target is.

    Args:
        shape: the model.
        tokens: of the step, padding not counted.
        targets: positions with loss.
        squares: sum of T^2 over the rows.
    """
    linears = shape.linears
    frozen = sum(inputs * outputs for inputs, outputs in linears.values())
    lora = sum(RANK * sum(linears[name]) for name in TARGETS)
    first = sum(inputs * (outputs + RANK) for inputs, outputs in map(linears.get, TARGETS[:3]))
    per_token = shape.layers * (4 * frozen + 6 * lora) - 2 * first
    attention = 6 * squares * shape.hidden * shape.layers
    return tokens * per_token + attention + 4 * targets * shape.hidden * shape.vocab


def build(shape: Shape, *, device: str, dtype: str):  # noqa: ANN201  (transformers' own type)
    """Return the model with random weights, the same for everybody."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        dtype=dtype,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    return model.requires_grad_(requires_grad=False)


def load(folder: Path, shape: Shape, *, device: str, dtype: str):  # noqa: ANN201
    """Return the base as a user of transformers gets it."""
    import torch
    from transformers import AutoModelForCausalLM

    if not is_saved(shape):
        return build(shape, device=device, dtype=dtype)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="sdpa", local_files_only=True
    )
    return model.to(device)

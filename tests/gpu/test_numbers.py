"""What a GPU's kernels compute equals the plain way, and repeats itself to the bit."""

import peft
import pytest
import torch

from medlora.data.micro_batches import Batch, Collate, move, packed
from medlora.data.token_rows import Row
from medlora.model import packed_attention
from medlora.model.linear import lean_linears
from medlora.model.packed_attention import attend_by_record
from medlora.train.determinism import set_deterministic
from medlora.train.forward import Forward
from tests.tiny import enliven, llama

LENGTHS = (65, 17, 130, 33, 2, 58)


def make_rows() -> list[Row]:
    """Rows of unequal length."""
    draw = torch.Generator().manual_seed(3)
    return [
        Row(torch.randint(1, 500, (n,), generator=draw).int().numpy(), torch.arange(n).numpy() >= 2)
        for n in LENGTHS
    ]


def make(device: torch.device, *, lean: bool, dropout: float = 0.0) -> peft.PeftModel:
    """A Llama with grouped heads of 64 in bfloat16 and a float32 adapter that does something."""
    shape = {"vocab_size": 512, "hidden_size": 256, "intermediate_size": 384}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.02}
    base = llama(seed=1, max_position_embeddings=2048, **shape, **heads)
    base.to(torch.bfloat16).requires_grad_(requires_grad=False)
    if lean:
        attend_by_record(base)
    config = peft.LoraConfig(
        r=8, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = enliven(peft.get_peft_model(base, config), size=0.02)
    if lean:
        lean_linears(model)
    return model.to(device).train()


def outcome(
    model: peft.PeftModel, layout: str, device: torch.device, *, targets_only: bool
) -> list[torch.Tensor]:
    """Loss and gradient of the rows in a layout, under bfloat16 autocast."""
    forward = Forward(
        model,
        autocast=lambda: torch.autocast(device.type, torch.bfloat16),
        targets_only=targets_only,
    )
    collate = Collate(layout, batch_size=2, max_length=130, pad_id=0)
    torch.manual_seed(9)
    nats = sum(forward.nats(move(batch, device)) for batch in collate(make_rows()))
    trained = [p for p in model.parameters() if p.requires_grad]
    return [nats.detach(), *torch.autograd.grad(nats, trained)]


@pytest.mark.parametrize("layout", ["packed", "grouped", "plain"])
def test_every_layout_gives_the_plain_ways_gradient(device: torch.device, layout: str) -> None:
    """To bfloat16's rounding: one kernel for all records, lean layers, logits at targets."""
    expected = outcome(make(device, lean=False), "plain", device, targets_only=False)
    found = outcome(make(device, lean=True), layout, device, targets_only=True)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= 0.03 * other.norm()


def test_records_are_attended_in_one_call(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU, in half precision, flash attention takes the whole pack."""
    if device.type != "cuda":
        pytest.skip("a GPU's kernel")
    monkeypatch.setattr(packed_attention, "scaled_dot_product_attention", None)
    assert Forward(make(device, lean=True)).packs


def test_dropout_draws_pefts_own_mask(device: torch.device) -> None:
    """Seeded alike, the lean layer and PEFT's hide the same numbers on a GPU."""
    if device.type != "cuda":
        pytest.skip("a CPU's mask is drawn in another way")
    plain, lean = (
        outcome(make(device, lean=lean, dropout=0.3), "plain", device, targets_only=False)
        for lean in (False, True)
    )
    for one, other in zip(lean, plain, strict=True):
        assert (one - other).norm() <= 0.03 * other.norm()


def test_the_same_seed_gives_the_same_bits(device: torch.device) -> None:
    """Ten times over, dropout included, with the deterministic kernels that are the default."""
    set_deterministic(wanted=True)
    first, *others = (
        outcome(make(device, lean=True, dropout=0.1), "packed", device, targets_only=True)
        for _ in range(10)
    )
    for other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def all_shares(forward: Forward, batch: Batch) -> torch.Tensor:
    """The log probability of every token at every position, float32 [1, T, V]."""
    everywhere = torch.ones_like(batch["input_ids"], dtype=torch.bool)
    tokens = torch.arange(512, device=everywhere.device).expand(everywhere.numel(), 512)
    return forward.log_shares(batch, everywhere, tokens)[None]


def test_another_record_changes_no_logit_of_its_neighbours(device: torch.device) -> None:
    """Not by one bit."""
    model = make(device, lean=True).eval()
    forward, rows = Forward(model), make_rows()
    whole = move(packed(rows), device)
    with torch.no_grad():
        before = all_shares(forward, whole)
        ids = whole["input_ids"].clone()
        ids[:, : LENGTHS[0]] = (ids[:, : LENGTHS[0]] + 7) % 500
        after = all_shares(forward, {**whole, "input_ids": ids})
    assert not torch.equal(before[:, : LENGTHS[0]], after[:, : LENGTHS[0]])
    assert torch.equal(before[:, LENGTHS[0] :], after[:, LENGTHS[0] :])

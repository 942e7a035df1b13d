"""Kernels made at run time: refused where they cannot be made, and equal to the plain way."""

import peft
import pytest
import torch
from torch._dynamo.utils import counters

from medlora.data.micro_batches import Collate
from medlora.data.token_rows import Row
from medlora.model.compiled_kernels import compile_layers
from medlora.model.linear import lean_linears
from medlora.model.packed_attention import attend_by_record
from medlora.train.forward import Forward
from tests.tiny import enliven, llama

STEPS = ((9, 4, 6), (7, 5), (3, 8, 2, 4), (12,))


def make() -> peft.PeftModel:
    """A small Llama with an adapter that does something, dropout among it."""
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_key_value_heads": 1}
    base = llama(seed=1, vocab_size=40, initializer_range=0.02, **shape)
    base.requires_grad_(requires_grad=False)
    attend_by_record(base)
    config = peft.LoraConfig(
        r=2, lora_dropout=0.2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    model = enliven(peft.get_peft_model(base, config), size=0.1)
    lean_linears(model)
    return model.train()


def gradients(model: peft.PeftModel, forward: Forward) -> list[list[torch.Tensor]]:
    """Loss and gradient of each step."""
    collate = Collate("packed", batch_size=2, max_length=12, pad_id=0)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = []
    for lengths in STEPS:
        draw = torch.Generator().manual_seed(sum(lengths))
        rows = [
            Row(
                torch.randint(1, 40, (length,), generator=draw).int().numpy(),
                torch.arange(length).numpy() >= 1,
            )
            for length in lengths
        ]
        torch.manual_seed(7)
        nats = sum(forward.nats(batch) for batch in collate(rows))
        steps.append([nats.detach(), *torch.autograd.grad(nats, trained)])
    return steps


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's own compiler
def test_compiled_layers_give_the_plain_numbers() -> None:
    """Recomputed, with dropout, whatever the records' lengths; no length is compiled anew."""
    torch._dynamo.reset()
    plain = make()
    expected = gradients(plain, Forward(plain))
    model = make()
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    forward = Forward(model)
    assert forward.packs
    assert compile_layers(model, backend="aot_eager") == 2
    gradients(model, forward)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    for step, wanted in zip(gradients(model, forward), expected, strict=True):
        for tensor, other in zip(step, wanted, strict=True):
            torch.testing.assert_close(tensor, other, rtol=1e-5, atol=1e-6)
    assert counters["stats"]["unique_graphs"] == graphs
    torch._dynamo.reset()

"""The lean layer computes what PEFT's does, and leaves to PEFT what only PEFT can."""

from collections.abc import Callable

import peft
import pytest
import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from medlora.model import onednn_linear
from medlora.model.linear import LeanLinear, lean_linears
from medlora.model.onednn_linear import frozen_linears

PLAIN = ("none", [], "")  # oneDNN's operator alone, with nothing after it


def layer(dropout: float = 0.0, **changes: object) -> Linear:
    """An adapted layer of 24 inputs and 16 outputs whose B is not zero."""
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=4, lora_alpha=12, lora_dropout=dropout, target_modules=["0"], **changes
    )
    base = nn.Sequential(nn.Linear(24, 16, bias=bool(changes.pop("with_bias", True))))
    adapted = peft.get_peft_model(base, config).base_model.model[0]
    nn.init.normal_(adapted.lora_B["default"].weight)
    return adapted.train()


def outcome(adapted: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Output and gradients."""
    trained = [p for p in adapted.parameters() if p.requires_grad]
    output = adapted(x)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return [output.detach(), *torch.autograd.grad((output.float() * weights).sum(), (x, *trained))]


def both(adapted: Linear, x: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """PEFT's outcome, and the lean one of the same layer."""
    plain = outcome(adapted, x)
    assert lean_linears(adapted) == 1
    assert type(adapted) is LeanLinear
    return plain, outcome(adapted, x)


@pytest.mark.parametrize("shape", [(24,), (5, 24), (2, 7, 24)])
def test_output_and_gradients_are_pefts(shape: tuple[int, ...]) -> None:
    """To float32's rounding, for any number of dimensions."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for plain, lean in zip(*both(layer(), x), strict=True):
        assert lean.shape == plain.shape
        torch.testing.assert_close(lean, plain)


def masks(width: int, rate: float) -> Callable[[int], torch.Tensor]:
    """What draws dropout's mask for some rows: 0 and 1, float32 [rows, width].

    Of a layer whose factors are the identity, whose base is zero and whose scale is 1, a row of
    ones comes out as its mask over the share that is kept.
    """
    config = peft.LoraConfig(r=width, lora_alpha=width, lora_dropout=rate, target_modules=["0"])
    model = peft.get_peft_model(nn.Sequential(nn.Linear(width, width, bias=False)), config)
    adapted = model.base_model.model[0].train()
    with torch.no_grad():
        adapted.base_layer.weight.zero_()
        for factor in (adapted.lora_A, adapted.lora_B):
            factor["default"].weight.copy_(torch.eye(width))
    assert lean_linears(adapted) == 1
    return lambda rows: (adapted(torch.ones(rows, width)) * (1 - rate)).round().detach()


def test_dropout_hides_the_same_numbers_as_pefts_with_the_same_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forward and backward see one mask, scaled as torch scales it."""
    x = torch.randn(6, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    adapted, draw = layer(dropout=0.3), masks(24, 0.3)
    torch.manual_seed(2)
    kept = draw(6)
    monkeypatch.setattr(functional, "dropout", lambda x, p, *_: x * kept / (1 - p))
    plain = outcome(adapted, x)
    lean_linears(adapted)
    torch.manual_seed(2)
    for number, expected in zip(outcome(adapted, x), plain, strict=True):
        torch.testing.assert_close(number, expected)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_the_mask_keeps_the_share_that_is_asked_for(rate: float) -> None:
    """Within five standard deviations, for an odd count of numbers; and it is drawn anew."""
    draw = masks(333, rate)
    torch.manual_seed(3)
    mask = draw(1001)
    spread = (rate * (1 - rate) / mask.numel()) ** 0.5
    assert abs(float(mask.mean()) - (1 - rate)) < 5 * spread
    assert set(mask.unique().tolist()) == {0, 1}
    assert abs(float(mask.mean(dim=0).std()) / (rate * (1 - rate) / 1001) ** 0.5 - 1) < 0.3
    assert not torch.equal(mask, draw(1001))
    torch.manual_seed(3)
    assert torch.equal(mask, draw(1001))


def test_recomputation_draws_the_same_mask() -> None:
    """Gradient checkpointing calls the layer twice; torch puts its generator back."""
    adapted = layer(dropout=0.5)
    lean_linears(adapted)
    x = torch.randn(6, 24, requires_grad=True)
    slopes = []
    for again in (False, True):
        torch.manual_seed(4)
        output = (
            torch.utils.checkpoint.checkpoint(adapted, x, use_reentrant=False)
            if again
            else adapted(x)
        )
        slopes.append(torch.autograd.grad(output.sum(), x)[0])
    assert torch.equal(*slopes)


def test_no_dropout_outside_of_training() -> None:
    """An evaluation repeats itself."""
    adapted = layer(dropout=0.5)
    lean_linears(adapted)
    adapted.eval()
    x = torch.randn(3, 24)
    assert torch.equal(adapted(x), adapted(x))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_autocast_gives_halves_and_float32_gradients(half: torch.dtype) -> None:
    """No further from float32 than PEFT's under the same autocast, give or take its rounding."""
    x = torch.randn(64, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    exact = outcome(layer(), x)
    adapted = layer()
    with torch.autocast("cpu", half):
        plain, lean = both(adapted, x)
    assert lean[0].dtype == half
    assert all(slope.dtype == torch.float32 for slope in lean[1:])
    for one, other, truth in zip(plain, lean, exact, strict=True):
        scale = truth.abs().max()
        distance = (one.float() - truth).abs().max() / scale
        assert (other.float() - truth).abs().max() / scale <= 2 * distance + 2e-3


def test_a_step_down_needs_no_gradient_of_the_input() -> None:
    """Below the first adapter nothing is computed backwards."""
    adapted = layer()
    lean_linears(adapted)
    adapted(torch.randn(3, 24)).sum().backward()
    assert adapted.lora_A["default"].weight.grad is not None
    assert adapted.base_layer.weight.grad is None


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"lora_bias": True}])
def test_what_only_peft_computes_stays_with_it(changes: dict[str, object]) -> None:
    """DoRA's magnitudes and biased factors; merged and disabled adapters too."""
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for plain, lean in zip(*both(layer(**changes), x), strict=True):
        assert torch.equal(plain, lean)
    adapted = layer()
    lean_linears(adapted)
    adapted.enable_adapters(enabled=False)
    assert torch.equal(adapted(x), adapted.base_layer(x))
    adapted.enable_adapters(enabled=True)
    adapted.merge()
    assert torch.equal(adapted(x), adapted.base_layer(x))


@pytest.mark.parametrize("bias", [True, False])
def test_onednn_gives_the_same_output_and_gradients(bias: bool) -> None:
    """A frozen layer alone, and one beneath an adapter."""
    x = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(1), requires_grad=True)
    alone = nn.Linear(24, 16, bias=bias).requires_grad_(requires_grad=False)
    expected = outcome(alone, x)
    assert frozen_linears(alone) == 1
    for one, other in zip(outcome(alone, x), expected, strict=True):
        torch.testing.assert_close(one, other)

    adapted = layer()
    plain, _ = both(adapted, x)
    assert frozen_linears(adapted) == 1
    for one, other in zip(outcome(adapted, x), plain, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_filling_up_changes_no_bit(bias: bool, transposed: bool) -> None:
    """A product's rows are those of oneDNN asked for just as many, whatever their number."""
    random = torch.Generator().manual_seed(1)
    weight = torch.randn(40, 24, generator=random)
    weight = weight.t() if transposed else weight
    outputs, inputs = weight.shape
    added = torch.randn(outputs, generator=random) if bias else None
    for rows in (1, 2, 3, 31, 63, 64, 65, 127, 200):
        x = torch.randn(rows, inputs, generator=random)
        product = onednn_linear.product(x, weight, added)
        assert torch.equal(product, torch.ops.mkldnn._linear_pointwise(x, weight, added, *PLAIN))
        assert not product._is_view()  # or nobody could change it in place
    x = torch.randn(2, 7, inputs, generator=random)
    assert onednn_linear.product(x, weight, added).shape == (2, 7, outputs)
    assert onednn_linear.product(x[:, :0], weight, added).shape == (2, 0, outputs)


class Asked(TorchDispatchMode):
    """Notes how many rows oneDNN is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: set[int] = set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        """Note the rows of a product, and compute whatever it is."""
        if operator is torch.ops.mkldnn._linear_pointwise.default:
            self.rows.add(len(args[0]))
        return operator(*args, **(kwargs or {}))


def test_few_kinds_of_product_are_asked_for() -> None:
    """Code is kept for every number of rows, so that there must not be many of them."""
    with Asked() as asked:
        for rows in range(1, 513):
            onednn_linear.product(torch.zeros(rows, 4), torch.zeros(3, 4))
    assert asked.rows == {1, *range(64, 513, 64)}


def test_only_frozen_float32_layers_are_left_to_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, half and autocast ones compute as ever."""
    monkeypatch.setattr(onednn_linear, "product", None)
    trained, half = nn.Linear(4, 4), nn.Linear(4, 4).to(torch.bfloat16)
    assert frozen_linears(nn.ModuleList([trained, half.requires_grad_(requires_grad=False)])) == 0
    still = nn.Linear(4, 4).requires_grad_(requires_grad=False)
    assert frozen_linears(still) == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert still(torch.ones(1, 4)).dtype == torch.bfloat16


def test_the_output_may_be_changed_in_place() -> None:
    """As some families do with a layer's output; the gradient is that of PEFT's own layer."""
    grads = []
    for lean in (True, False):
        torch.manual_seed(0)
        config = peft.LoraConfig(r=2, target_modules=["0"], lora_dropout=0.0)
        model = peft.get_peft_model(nn.Sequential(nn.Linear(8, 6)), config)
        with torch.no_grad():
            model.base_model.model[0].lora_B["default"].weight.fill_(0.3)
        if lean:
            lean_linears(model)
        out = model(torch.arange(48.0).reshape(2, 3, 8) / 48)
        out[:, 1] *= 2.0
        out.sum().backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)

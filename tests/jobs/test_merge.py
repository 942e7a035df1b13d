"""`medlora merge`: base and adapter in one, whole or not at all, and only if it is both."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jinja2
import pytest
import torch
from click.testing import CliRunner
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from medlora.checkpoint.folder_format import read_manifest
from medlora.cli import cli
from medlora.config import LoraConfig, ModelConfig
from medlora.data.chat.template import PLAIN_TEMPLATE, without_marks
from medlora.errors import ConfigError, IntegrityError, RejectedError, StoppedError, StorageError
from medlora.jobs import merge, verify
from medlora.model.adapter import attach
from medlora.model.base import load_base
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from tests.tiny import enliven, resolved

SPACED = "{%- generation -%}\n a {%endgeneration%} \n"
IDS = torch.arange(20, 60).reshape(2, 20)


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """Make what the command line adds up to where nothing is mounted."""
    return partial(resolved, tmp_path, allow_demo=False)


def run(
    folder: Path, plan: Plan, *, allowed: float | None = None, stop: Stop | None = None
) -> Path:
    """Merge into the folder `merged`."""
    merge.run(folder, Path("merged"), plan, allowed=allowed, stop=stop or Stop())
    return Path("merged")


def logits(model) -> torch.Tensor:
    """What a model says of some tokens."""
    with torch.no_grad():
        return model.eval()(IDS).logits.float()


def test_merged_is_base_and_adapter(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], base_folder: Path, capsys
) -> None:
    """Plain transformers loads it; its logits are those of PEFT; its manifest says from what."""
    folder = saved_run()
    out = run(folder, plan())
    plain = AutoModelForCausalLM.from_pretrained(out)
    both = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base_folder), folder / "final"
    )
    torch.testing.assert_close(logits(plain), logits(both), atol=1e-4, rtol=0)
    manifest = read_manifest(out)
    told = manifest["comparison"]
    assert 0 <= told["largest"] <= told["allowed"] < told["adapter_moves_logits_by"]
    assert told["same_choice"] == told["positions"] > 100
    stated = read_manifest(folder / "final")
    assert manifest["base_model"] == stated["base_model"]
    assert (
        manifest["adapter"]["adapter_model.safetensors"]
        == (stated["files"]["adapter_model.safetensors"])
    )
    assert "largest logit difference" in capsys.readouterr().out
    verify.run(out)
    assert {file.suffix for file in out.iterdir()} == {".json", ".jinja", ".safetensors"}
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in out.iterdir())


def test_the_template_renders_the_same_without_marks(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], tokenizer
) -> None:
    """Engines other than Hugging Face's refuse `{% generation %}`."""
    turns = [
        {"role": role, "content": f" {role} \n"} for role in ("system", "user", "assistant", "user")
    ]
    saved = AutoTokenizer.from_pretrained(run(saved_run(), plan()))
    assert "generation %" not in saved.chat_template
    for spaced in (tokenizer.chat_template, PLAIN_TEMPLATE, SPACED):
        tokenizer.chat_template, saved.chat_template = spaced, without_marks(spaced)
        for more in (False, True):
            rendered = [
                one.apply_chat_template(turns, tokenize=False, add_generation_prompt=more)
                for one in (tokenizer, saved)
            ]
            assert rendered[0] == rendered[1]


def test_the_engine_of_other_servers_takes_the_template() -> None:
    """minijinja, which TGI has, refuses the marks; without them it renders what Jinja does."""
    minijinja = pytest.importorskip("minijinja")
    values = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    served = without_marks(PLAIN_TEMPLATE)
    rendered = minijinja.Environment(templates={"t": served}).render_template(
        "t", messages=turns, **values
    )
    assert rendered == jinja2.Template(served).render(messages=turns, **values)
    assert "### Answer\nb</s>" in rendered
    with pytest.raises(minijinja.TemplateError):
        minijinja.Environment(templates={"t": PLAIN_TEMPLATE}).render_template("t", messages=turns)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_it_keeps_the_base_s_precision(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    base_folder: Path,
    tmp_path: Path,
    dtype: str,
) -> None:
    """A half-precision base becomes a half-precision model, within its rounding."""
    half = tmp_path / "half"
    half.mkdir()
    for file in base_folder.iterdir():
        (half / file.name).write_bytes(file.read_bytes())
    load_base(base_folder, ModelConfig(dtype=dtype), half=None).save_pretrained(half)
    out = run(saved_run(base=half, size=0.03), plan())
    assert {
        t.dtype for t in AutoModelForCausalLM.from_pretrained(out, dtype="auto").parameters()
    } == {getattr(torch, dtype)}
    assert read_manifest(out)["comparison"]["dtype"] == dtype


@pytest.mark.slow
@pytest.mark.parametrize("variant", [{"use_dora": True}, {"use_rslora": True}, {"r": 2}])
def test_variants_merge(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], base_folder: Path, variant
) -> None:
    """DoRA's magnitudes and rsLoRA's scale are in the weights."""
    base = load_base(base_folder, ModelConfig(), half=None)
    model = enliven(attach(base, LoraConfig(**variant), seed=1))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "magnitude" in name:
                parameter.mul_(1.5)
    told = read_manifest(run(saved_run(model=model), plan()))["comparison"]
    assert told["largest"] <= told["allowed"]
    assert told["adapter_moves_logits_by"] > 1


def test_what_is_not_both_gets_no_name(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """77 and nothing left, where a weight is off, or is no number; another limit lets it pass."""
    folder, honest = saved_run(), merge.merged

    def spoil(by: float):
        def merged(model):
            plain = honest(model)
            plain.model.layers[1].self_attn.q_proj.weight.data[0] += by
            return plain

        return merged

    for by in (0.05, float("nan")):
        monkeypatch.setattr(merge, "merged", spoil(by))
        with pytest.raises(IntegrityError, match=r"a logit differs by .* is allowed"):
            run(folder, plan())
    monkeypatch.setattr(merge, "merged", honest)
    with pytest.raises(IntegrityError):
        run(folder, plan(), allowed=0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    monkeypatch.setattr(merge, "merged", spoil(0.05))
    assert run(folder, plan(), allowed=100.0).is_dir()


def test_an_adapter_too_small_for_the_precision_is_refused(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    base_folder: Path,
    tmp_path: Path,
) -> None:
    """What it learnt would be rounded away: the merged model is the base, not the adapter."""
    half = tmp_path / "half"
    half.mkdir()
    for file in base_folder.iterdir():
        (half / file.name).write_bytes(file.read_bytes())
    load_base(base_folder, ModelConfig(dtype="bfloat16"), half=None).save_pretrained(half)
    small = saved_run(size=0.00005, base=half)
    with pytest.raises(IntegrityError, match="the adapter changes a logit by up to"):
        run(small, plan())


def test_a_signal_and_a_full_disk_leave_nothing(
    saved_run: Callable[..., Path],
    plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """143, 74; what a killed merge left goes with the next one."""
    folder, stop = saved_run(), Stop()
    stop.requested = "SIGTERM"
    with pytest.raises(StoppedError, match="nothing was written"):
        run(folder, plan(), stop=stop)

    def full(_model, _base):
        def save(place: Path) -> None:
            (place / "model.safetensors").write_bytes(b"half")
            raise OSError(28, "No space left on device")

        return save

    with monkeypatch.context() as patch:
        patch.setattr(merge, "saver", full)
        with pytest.raises(StorageError, match="No space left"):
            run(folder, plan())
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    (tmp_path / ".tmp-merged-12345678").mkdir()
    run(folder, plan())
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "merged"}


def test_what_cannot_be_merged_is_refused(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], base_folder: Path, tmp_path: Path
) -> None:
    """A rejected adapter (unless named itself), a packed base, a folder that is there."""
    rejected = saved_run("no", status="rejected")
    with pytest.raises(RejectedError, match="its gate rejected"):
        run(rejected, plan())
    run(rejected / "rejected", plan())
    with pytest.raises(ConfigError, match="exists already"):
        run(rejected / "rejected", plan())
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in base_folder.iterdir():
        (packed / file.name).write_bytes(file.read_bytes())
    config = json.loads((packed / "config.json").read_text())
    quantized = {**config, "quantization_config": {"quant_method": "gptq"}}
    (packed / "config.json").write_text(json.dumps(quantized))
    (tmp_path / "merged").rename(tmp_path / "other")
    with pytest.raises(ConfigError, match="its weights are quantized"):
        run(saved_run(base=packed), plan())


@pytest.mark.slow
def test_a_qlora_run_merges_into_the_unquantized_base(
    saved_run: Callable[..., Path], plan: Callable[..., Plan]
) -> None:
    """And says how far the 4-bit base that it was trained on is from that."""
    pytest.importorskip("bitsandbytes")
    inputs = {
        "model.dtype": "auto",
        "model.load_in_4bit": True,
        "model.bnb_4bit_quant_type": "nf4",
        "model.bnb_4bit_use_double_quant": False,
    }
    out = run(saved_run(inputs=inputs), plan())
    told = read_manifest(out)["comparison"]
    assert told["largest"] <= told["allowed"] < told["largest_from_quantized"]
    kept = AutoModelForCausalLM.from_pretrained(out)
    assert {one.dtype for one in kept.parameters()} == {torch.float32}


def test_the_command_says_what_it_did(saved_run: Callable[..., Path]) -> None:
    """From the command line to the folder."""
    done = CliRunner().invoke(cli, ["merge", str(saved_run()), "merged"], obj=Stop())
    assert done.exit_code == 0, done.output
    assert "merged model: merged" in done.output


PLAIN = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, merged = sys.argv[1:]
said = []
for place, model in (
    (adapter, PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)),
    (merged, AutoModelForCausalLM.from_pretrained(merged)),
):
    tokenizer = AutoTokenizer.from_pretrained(place)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "pain"}], add_generation_prompt=True, return_tensors="pt",
        return_dict=True,
    )
    said.append(model.eval().generate(**ids, max_new_tokens=8, do_sample=False).tolist())
assert not any(name.startswith("medlora") for name in sys.modules)
print(json.dumps(said))
"""


@pytest.mark.slow
def test_a_fresh_interpreter_without_medlora_loads_both(
    saved_run: Callable[..., Path], plan: Callable[..., Plan], base_folder: Path, tmp_path: Path
) -> None:
    """Plain transformers and PEFT, the chat template saved beside: the same greedy tokens."""
    folder = saved_run()
    out = run(folder, plan())
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN, base_folder, folder / "final", out.resolve()],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        check=True,
    )
    adapter, merged = json.loads(done.stdout)
    assert adapter == merged

"""Every family of transformers that loads as a causal model, tiny, against plain eager attention.

    python -m tests.conformance.architectures [--short] [--output docs/...md] [--only gemma2,...]

For each: the loss of the first step and its gradients are those of plain transformers and PEFT on
padded rows longer than any window or chunk; the saved adapter in plain PEFT gives the same logits;
merged and loaded again it still does.  A family that we refuse is told with the reason.  Each runs
in a process of its own.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

from tests import tiny

_LONGEST_S = 90
PROMPT = 5  # tokens of a row that are not learnt
CLOSE = 1e-4  # relative: loss and gradient
CLOSE_MERGED = 1e-3  # of the largest logit: what `medlora merge` allows in float32
SHORT = ("gemma2", "llama4_text", "mistral", "gpt2", "qwen2_vl", "falcon_h1")
# What config classes call what makes a model small; each takes those that it has.
SMALL: dict[str, Any] = {
    "vocab_size": 160,
    "vocab_size_per_layer_input": 160,
    "hidden_size": 32,
    "d_model": 32,
    "n_embd": 32,
    "dim": 32,
    "intermediate_size": 48,
    "ffn_hidden_size": 48,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 24,
    "expert_dim": 24,
    "n_inner": 48,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "num_layers": 2,
    "decoder_layers": 2,
    "encoder_layers": 2,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "encoder_ffn_dim": 48,
    "init_std": 0.2,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "global_head_dim": 8,
    "max_position_embeddings": 128,
    "n_positions": 128,
    "max_seq_len": 128,
    "context_length": 128,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "top_k_experts": 2,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
    "first_k_dense_replace": 1,
    "sliding_window": 8,
    "attention_chunk_size": 8,
    "state_size": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_d_ssm": 64,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "ssm_state_size": 8,
    "n_groups": 1,
    "chunk_size": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "hidden_size_per_layer_input": 8,
    "num_kv_shared_layers": 0,
    "laurel_rank": 4,
    "altup_num_inputs": 2,
    "lru_width": 32,
    "attention_window_size": 8,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Rotary positions of text and of images, in parts of half a head.
_SEES = re.compile(r"(?:vl|vl_moe|4v|4v_moe|ocr|glmga)_text")
_IN_SECTIONS = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
FIXES: dict[str, dict[str, Any]] = {
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1},
    "gemma2": {"attn_logit_softcapping": 2.0},
    "vaultgemma": {"attn_logit_softcapping": 2.0},
    "llama4_text": {"no_rope_layers": [1, 0], "intermediate_size_mlp": 48},
    "falcon_h1": {"mamba_expand": 2},
    "xlnet": {"d_inner": 48},
    "ctrl": {"dff": 48},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "opt": {"word_embed_proj_dim": 32, "ffn_dim": 48},
    "biogpt": {"activation_dropout": 0.0},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gptj": {"rotary_dim": 4},
    "codegen": {"rotary_dim": 4},
    "diffusion_gemma_text": {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 24},
    "gemma4_text": {"global_head_dim": 16},
    "gemma4_unified_text": {"global_head_dim": 16},
    "nemotron": {"num_key_value_heads": 2, "head_dim": 8},
    "ministral": {"head_dim": 8},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "deepseek_v2": {"num_experts_per_tok": 2, "n_routed_experts": 4},
}


def main() -> int:
    """Try all families, print the table; 1 if any is neither right nor refused."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true", help="six families, as CI does it")
    options.add_argument("--only", help="names, with commas between")
    options.add_argument("--output", type=Path, help="put the table between this document's marks")
    options.add_argument("--targets", help="lora.target_modules, instead of auto")
    options.add_argument("--jobs", type=int, default=1, help="families at a time")
    chosen = options.parse_args()
    names = chosen.only.split(",") if chosen.only else SHORT if chosen.short else families()
    if chosen.targets:
        os.environ["CONFORMANCE_TARGETS"] = chosen.targets
    results = all_apart(names, jobs=chosen.jobs)
    text = table(results)
    print(text)
    if chosen.output:
        put(chosen.output, text)
    wrong = [one["family"] for one in results if one["outcome"] == "wrong"]
    right = sum(one["outcome"] == "right" for one in results)
    print(f"{right} right, {len(results) - right - len(wrong)} refused, {len(wrong)} wrong {wrong}")
    return bool(wrong)


def families() -> list[str]:
    """Return the names of all families that load as a causal model, and those that see."""
    from transformers.models.auto import modeling_auto as auto

    return sorted(
        {
            *auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            *auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        }
    )


def all_apart(names: Sequence[str], *, jobs: int = 1) -> list[dict[str, Any]]:
    """Return the results of families, each from a process of its own, forked with all imports."""
    import peft  # noqa: F401
    import torch
    from transformers import AutoModelForImageTextToText  # noqa: F401

    from medlora.jobs import train  # noqa: F401

    torch.set_num_threads(1)
    results: dict[str, dict[str, Any]] = {}
    waiting, running = list(names), dict[str, Any]()
    with tempfile.TemporaryDirectory() as place:
        while waiting or running:
            while waiting and len(running) < jobs:
                running[waiting[0]] = _forked(waiting[0], Path(place))
                waiting.pop(0)
            connection.wait([one.sentinel for one in running.values()], timeout=1)
            for name, process in list(running.items()):
                late = time.monotonic() - process.began > _LONGEST_S
                if process.is_alive() and not late:
                    continue
                process.kill()
                process.join()
                results[name] = _outcome(name, Path(place), process.exitcode)
                del running[name]
    return [results[name] for name in names]


def _forked(name: str, place: Path) -> Any:
    process: Any = get_context("fork").Process(target=_write_result, args=(name, place / name))
    process.began = time.monotonic()
    process.start()
    return process


def _write_result(name: str, file: Path) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a run says
    os.dup2(1, 2)
    try:
        result = one_family(name)
    except Exception as error:  # noqa: BLE001  (a bug, to be told with the others' results)
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        result = {"family": name, "outcome": "wrong", "why": why}
    file.write_text(json.dumps(result))


def _outcome(name: str, place: Path, code: int) -> dict[str, Any]:
    file = place / name
    crashed = {"family": name, "outcome": "not made", "why": f"its process ended with {code}"}
    result = json.loads(file.read_text()) if file.is_file() else crashed
    print(f"{name}: {result['outcome']} {result.get('why', '')}"[:160], file=sys.stderr, flush=True)
    return result


def one_family(name: str) -> dict[str, Any]:
    """Return what becomes of one family."""
    warnings.simplefilter("ignore")
    import torch

    from medlora.errors import MedloraError

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        base = Path(place) / "base"
        try:
            make(name, base)
        except Exception as error:  # noqa: BLE001  (a family's own demands on its config)
            why = f"{type(error).__name__}: {error}".partition("\n")[0][:110]
            return {"family": name, "outcome": "not made", "why": why}
        try:
            return {"family": name, **compare(base)}
        except MedloraError as error:
            why = str(error).partition("\n")[0].replace(f"{base}: ", "")
            return {"family": name, "outcome": "refused", "why": why}


def make(name: str, folder: Path) -> None:
    """Save a tiny random model of a family."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText

    from medlora.model.kinds import model_class

    made = CONFIG_MAPPING[name]
    config = shrunk(made, FIXES.get(name, {}))
    sees = AutoModelForImageTextToText._model_mapping
    if type(config) in sees:  # as it is published
        config.architectures = [sees[type(config)].__name__]
    auto = model_class(config)
    model = auto.from_config(config)
    if auto is AutoModelForCausalLM:  # else our own word on it counts
        model.eval()(torch.arange(3, 23)[None], use_cache=False)
    model.save_pretrained(folder)


def shrunk(made: type, fixes: dict[str, Any]) -> Any:
    """Return a config with small values for all that it has, its parts' too."""
    usual = made()
    values = _small_for(usual)
    values |= {key: 0.0 for key in vars(usual) if _is_noise(usual, key)}
    values |= fixes
    for part, kind in (getattr(made, "sub_configs", None) or {}).items():
        own = getattr(usual, part, None)
        inner = type(own) if own is not None else kind
        if hasattr(inner, "model_type"):
            few = _small_for(own)
            if part == "vision_config":
                few.pop("head_dim", None)
                few |= {k: v for k, v in VISION.items() if getattr(own, k, None) is not None}
            few |= {key: 0.0 for key in vars(own or inner()) if _is_noise(own or inner(), key)}
            few |= FIXES.get(inner.model_type, {})
            values[part] = inner(**few).to_dict()
    return made(**values)


def _small_for(config: Any) -> dict[str, Any]:
    """Return the small values of those keys that a config has and that can be set."""
    few = {key: value for key, value in SMALL.items() if _has(config, key)}
    if "kv_lora_rank" in few:  # latent attention: keys and values are made for each head
        few["num_key_value_heads"] = few.get("num_attention_heads", 4)
    if _SEES.search(getattr(config, "model_type", "")):
        few["rope_parameters"] = _IN_SECTIONS
    return few


def _has(config: Any, key: str) -> bool:
    own = getattr(type(config), key, None)
    if isinstance(own, property) and own.fset is None:
        return False
    try:
        return getattr(config, key, None) is not None
    except Exception:  # noqa: BLE001  (transformers' own: the value varies from layer to layer)
        return True


def _is_noise(config: Any, key: str) -> bool:
    """Tell whether a key is a rate of dropout, or of noise that a family adds in training."""
    if "drop" not in key and "jitter" not in key:
        return False
    value = getattr(config, key)
    return isinstance(value, float) and value > 0


VISION: dict[str, Any] = {
    "image_size": 28,
    "patch_size": 14,
    "depth": 2,
    "embed_dim": 32,
    "out_hidden_size": 32,
    "num_heads": 4,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0],
    "fullatt_block_indexes": [1],
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
}


def compare(base: Path) -> dict[str, Any]:
    """Return how far our first step, adapter and merge are from plain transformers and PEFT."""
    from medlora.config import LoraConfig, ModelConfig
    from medlora.model.adapter import attach
    from medlora.model.base import check_base, load_base

    check_base(base)
    loaded = load_base(base, ModelConfig(), half=None)
    targets = os.environ.get("CONFORMANCE_TARGETS", "auto")
    lora = LoraConfig(r=4, lora_dropout=0, target_modules=targets)
    model = attach(loaded, lora, seed=1)
    own = tiny.save_adapter(tiny.enliven(model, size=0.2), base.parent / "adapter")
    rows = drawn_rows()
    loss, ours, layout = our_step(model, rows)
    reference, total, theirs = plain_step(base, own, rows)
    errors = {
        "loss": abs(loss - total) / abs(total),
        "gradient": distance(ours, theirs),
        "merge": merge_error(base, own, reference, rows),
    }
    limits = {"loss": CLOSE, "gradient": CLOSE, "merge": CLOSE_MERGED}
    broken = [
        f"{what} off by {error:.1e}" for what, error in errors.items() if not error < limits[what]
    ]
    resumed = not broken and resumes(base)
    if not broken and not resumed:
        broken = ["the interrupted run ends with another adapter"]
    targets = json.loads((own / "adapter_config.json").read_text())["target_modules"]
    return {
        "outcome": "wrong" if broken else "right",
        "why": "; ".join(broken),
        "targets": targets if isinstance(targets, str) else ", ".join(sorted(targets)),
        "attention": model.get_base_model().config._attn_implementation,
        "layout": layout,
        "resumed": resumed,
        **errors,
    }


def drawn_rows() -> list[Any]:
    """Return rows longer than the windows and chunks of the small models."""
    import torch

    from medlora.data.token_rows import Row

    random = torch.Generator().manual_seed(5)
    rows = []
    for length in (29, 13, 37):
        ids = torch.randint(3, 150, (length,), generator=random).numpy().astype("int32")
        rows.append(Row(ids, torch.arange(length).numpy() >= PROMPT))
    return rows


def our_step(model: Any, rows: list[Any]) -> tuple[float, dict[str, Any], str]:
    """Return our summed loss, the gradients, and how the rows were laid out."""
    from medlora.model.linear import lean_linears
    from medlora.model.packed_attention import attend_by_record
    from medlora.train.forward import Forward

    attend_by_record(model.get_base_model())
    lean_linears(model)
    forward = Forward(model)
    model.train()
    batches = batches_of(rows, packed=forward.packs)
    loss = sum(forward.nats(batch) for batch in batches)
    loss.backward()
    layout = "packed" if forward.packs else "padded"
    return float(loss.detach()), gradients(model), layout


def plain_step(base: Path, adapter: Path, rows: list[Any]) -> tuple[Any, float, dict[str, Any]]:
    """Return plain transformers with the adapter in PEFT, its summed loss and gradients."""
    import peft
    import torch
    from torch.nn.functional import cross_entropy

    from medlora.model.kinds import model_class, read_config

    plain = model_class(read_config(base)).from_pretrained(
        base, attn_implementation="eager", dtype=torch.float32
    )
    reference = peft.PeftModel.from_pretrained(plain, adapter, is_trainable=True).train()
    total = 0.0
    for row in rows:
        ids = torch.tensor(row.ids.astype("int64"))[None]
        logits = reference(input_ids=ids, use_cache=False).logits[0, :-1].float()
        wanted = torch.tensor(row.learn[1:])
        nats = cross_entropy(logits[wanted], ids[0, 1:][wanted], reduction="sum")
        nats.backward()
        total += float(nats.detach())
    return reference, total, gradients(reference)


def gradients(model: Any) -> dict[str, Any]:
    """Return the gradients of all that trains."""
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def merge_error(base: Path, adapter: Path, reference: Any, rows: list[Any]) -> float:
    """Return how far the merged model, saved and loaded, is from base and adapter."""
    import peft
    import torch

    from medlora.config import ModelConfig
    from medlora.model.base import load_base
    from medlora.model.merge import merged, saver

    eager, ids = ModelConfig(attn_implementation="eager"), torch.tensor(rows[0].ids.astype("int64"))
    with torch.no_grad():
        both = reference.eval()(input_ids=ids[None], use_cache=False).logits.float()
        fresh = peft.PeftModel.from_pretrained(load_base(base, eager, half=None), adapter)
        out = base.parent / "merged"
        saver(merged(fresh), base)(out)
        again = load_base(out, eager, half=None).eval()
        whole = again(input_ids=ids[None], use_cache=False).logits.float()
    return float((whole - both).abs().max() / both.abs().max())


def resumes(base: Path) -> bool:
    """Tell whether a run that is stopped after two of its four steps ends with the same adapter."""
    from medlora.errors import StoppedError
    from medlora.files import sha256_file
    from medlora.jobs import train
    from medlora.runtime import Stop
    from medlora.train import loop

    place, original = base.parent, loop.learning_rate
    write_inputs(base, place / "train.jsonl")
    stop, steps = Stop(), []

    def rate(step: int, **schedule: Any) -> float:
        steps.append(step)
        if len(steps) == 3:  # once a step, before it is taken
            stop.requested = "SIGTERM"
        return original(step, **schedule)

    train.run(run_plan(base, "straight"))
    loop.learning_rate = rate
    try:
        train.run(run_plan(base, "cut"), stop=stop)
    except StoppedError:
        pass
    finally:
        loop.learning_rate = original
    train.run(run_plan(base, "cut"))
    digests = {
        sha256_file(place / "out" / name / "final" / "adapter_model.safetensors")
        for name in ("straight", "cut")
    }
    return len(steps) == 3 and len(digests) == 1


def run_plan(base: Path, name: str) -> Any:
    """Return a run of four steps."""
    settings = (
        "training.max_steps=4",
        "training.num_train_epochs=9",
        "training.save_steps=2",
        "training.eval_steps=9",
        "training.per_device_train_batch_size=2",
        "training.gradient_accumulation_steps=1",
        "lora.r=4",
        "data.eval_fraction=0",
        "data.privacy=off",
        f"run_name={name}",
    )
    place = base.parent
    return tiny.run_plan(place, *settings, data=place / "train.jsonl", base=base)


def write_inputs(base: Path, data: Path) -> None:
    """Write a tokenizer of a few words beside the model, and rows of these words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "<end>", "<user>", "<says>", *(f"w{n}" for n in range(100))]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>")
    fast.add_special_tokens({"additional_special_tokens": ["<user>", "<says>"]})
    fast.chat_template = (
        "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<says>' }}{{ m.content }}"
        "<end>{% endfor %}{% if add_generation_prompt %}<says>{% endif %}"
    )
    fast.save_pretrained(base)
    rows = [
        {
            "prompt": " ".join(f"w{(7 * row + n) % 100}" for n in range(5 + row)),
            "response": " ".join(f"w{(3 * row + n) % 100}" for n in range(4 + row % 5)),
        }
        for row in range(8)
    ]
    tiny.write_rows(data, rows)


def batches_of(rows: list[Any], *, packed: bool) -> list[Any]:
    """Return the rows as training lays them out."""
    from medlora.data import micro_batches

    return [micro_batches.packed(rows)] if packed else [micro_batches.padded(rows, pad_id=0)]


def distance(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the norm of the difference of all gradients, relative to theirs."""
    names = theirs.keys() | ours.keys()
    if not names or ours.keys() != theirs.keys():
        return float("inf")
    gap = sum(float((ours[n].float() - theirs[n].float()).pow(2).sum()) for n in names)
    size = sum(float(theirs[n].float().pow(2).sum()) for n in names)
    return (gap / size) ** 0.5 if size else float("inf")


def table(results: list[dict[str, Any]]) -> str:
    """Return the families as Markdown."""
    lines = [
        "| family | adapted by `auto` | attention | rows | loss | gradient | merged | resumed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in results:
        if one["outcome"] == "right":
            numbers = " | ".join(f"{one[name]:.0e}" for name in ("loss", "gradient", "merge"))
            cells = f"{one['targets']} | {one['attention']} | {one['layout']} | {numbers} | same"
        else:
            cells = f"{one['outcome']}: {one.get('why', '')}".replace("|", "/") + " |" * 6
        lines.append(f"| {one['family']} | {cells} |")
    return "\n".join(lines) + "\n"


def put(document: Path, text: str) -> None:
    """Write a table between a document's marks; rows of families that it lacks stay."""
    before, begin, rest = document.read_text().partition("<!-- families: begin -->\n")
    old, end, after = rest.partition("<!-- families: end -->")
    head, rule, *new = text.splitlines()
    rows = {line.split("|")[1]: line for line in (*old.splitlines()[2:], *new)}
    table = "\n".join([head, rule, *(rows[name] for name in sorted(rows))])
    document.write_text(f"{before}{begin}{table}\n{end}{after}")


if __name__ == "__main__":
    sys.exit(main())

"""Every family of transformers that loads as a causal model, tiny, against plain eager attention.

    python -m tests.conformance.architectures [--short] [--output docs/...md] [--only gemma2,...]

For each: the loss of the first step and its gradients are those of plain transformers and PEFT on
padded rows longer than any window or chunk; the saved adapter in plain PEFT gives the same logits;
merged and loaded again it still does.  A family that we refuse is told with the reason.  Each runs
in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

CLOSE = 1e-4  # relative: loss, gradient; of the largest logit: adapter and merge
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
    "persimmon": {},
    "bloom": {},
}


def main() -> int:
    """Try all families, print the table; 1 if any is neither right nor refused."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--short", action="store_true", help="six families, as CI does it")
    options.add_argument("--only", help="names, with commas between")
    options.add_argument("--output", type=Path, help="write the table there, as Markdown")
    options.add_argument("--one", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(one_family(chosen.one)))
        return 0
    names = chosen.only.split(",") if chosen.only else SHORT if chosen.short else families()
    results = [apart(name) for name in names]
    text = table(results)
    print(text)
    if chosen.output:
        chosen.output.write_text(text)
    wrong = [one["family"] for one in results if one["outcome"] == "wrong"]
    right = sum(one["outcome"] == "right" for one in results)
    print(f"{right} right, {len(results) - right - len(wrong)} refused, {len(wrong)} wrong {wrong}")
    return bool(wrong)


def families() -> list[str]:
    """Return the names of all families that load as a causal model, and those that see."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as writes,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as sees,
    )

    return sorted({*writes, *sees})


def apart(name: str) -> dict[str, Any]:
    """Return a family's result from a process of its own."""
    command = [sys.executable, "-m", "tests.conformance.architectures", "--one", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return {"family": name, "outcome": "wrong", "why": "takes more than 240 s"}
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["?"])[-1]
        return {"family": name, "outcome": "wrong", "why": f"ended with {done.returncode}: {said}"}
    result = json.loads(done.stdout.strip().splitlines()[-1])
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
        except Exception as error:  # a family's own demands on its config
            why = f"{type(error).__name__}: {error}".partition("\n")[0][:110]
            return {"family": name, "outcome": "not made", "why": why}
        try:
            return {"family": name, **compare(base)}
        except MedloraError as error:
            return {"family": name, "outcome": "refused", "why": str(error).partition("\n")[0]}


def make(name: str, folder: Path) -> None:
    """Save a tiny random model of a family."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    from medlora.model.kinds import model_class

    made = CONFIG_MAPPING[name]
    config = shrunk(made, FIXES.get(name, {}))
    auto = model_class(config)
    model = auto.from_config(config) if auto else AutoModelForCausalLM.from_config(config)
    model.eval().save_pretrained(folder)


def shrunk(made: type, fixes: dict[str, Any]) -> Any:
    """Return a config with small values for all that it has, its parts' too."""
    usual = made()
    values = {key: value for key, value in SMALL.items() if getattr(usual, key, None) is not None}
    values |= {key: 0.0 for key in vars(usual) if "drop" in key and _is_rate(usual, key)}
    values |= fixes
    for part, kind in (getattr(made, "sub_configs", None) or {}).items():
        own = getattr(usual, part, None)
        inner = type(own) if own is not None else kind
        if hasattr(inner, "model_type"):
            few = {
                key: value for key, value in SMALL.items() if getattr(own, key, None) is not None
            }
            if part == "vision_config":
                few.pop("head_dim", None)
                few |= {k: v for k, v in VISION.items() if getattr(own, k, None) is not None}
            values[part] = inner(**few).to_dict()
    return made(**values)


def _is_rate(config: Any, key: str) -> bool:
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
    import peft
    import torch

    from medlora.config import LoraConfig, ModelConfig
    from medlora.data.rows import Row
    from medlora.model.adapter import adapter_files, attach
    from medlora.model.attention import attend_by_record
    from medlora.model.base import check_base, load_base
    from medlora.model.kinds import model_class, read_config
    from medlora.model.linear import lean_linears
    from medlora.model.merge import merged, saver
    from medlora.train.forward import Forward

    check_base(base)
    model = attach(
        load_base(base, ModelConfig(), half=None), LoraConfig(r=4, lora_dropout=0), seed=1
    )
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "lora_B" in parameter_name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.2)
    own = base.parent / "adapter"
    own.mkdir()
    for name, content in adapter_files(model).items():
        (own / name).write_bytes(content)
    attend_by_record(model.get_base_model())
    lean_linears(model)
    forward = Forward(model)
    model.train()
    rows = []
    for length in (29, 13, 37):
        ids = torch.randint(3, 150, (length,), generator=random).numpy().astype("int32")
        learn = torch.arange(length).numpy() >= 5
        rows.append(Row(ids, learn))
    layout = "packed" if forward.packs else "padded"
    batches = batches_of(rows, packed=forward.packs)
    loss = sum(forward.nats(batch) for batch in batches)
    loss.backward()
    ours = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    auto = model_class(read_config(base))
    plain = auto.from_pretrained(base, attn_implementation="eager", dtype=torch.float32)
    reference = peft.PeftModel.from_pretrained(plain, own, is_trainable=True)
    total = 0.0
    for row in rows:
        ids = torch.tensor(row.ids.astype("int64"))[None]
        logits = reference(input_ids=ids, use_cache=False).logits[0, :-1].float()
        wanted = torch.tensor(row.learn[1:])
        nats = torch.nn.functional.cross_entropy(
            logits[wanted], ids[0, 1:][wanted], reduction="sum"
        )
        nats.backward()
        total += float(nats.detach())
    theirs = {n: p.grad.clone() for n, p in reference.named_parameters() if p.grad is not None}
    loss_error = abs(float(loss.detach()) - total) / abs(total)
    gradient_error = distance(ours, theirs)

    ids = torch.tensor(rows[0].ids.astype("int64"))[None]
    reference.eval()
    with torch.no_grad():
        both = reference(input_ids=ids, use_cache=False).logits.float()
        fresh = peft.PeftModel.from_pretrained(
            load_base(base, ModelConfig(attn_implementation="eager"), half=None), own
        )
        out = base.parent / "merged"
        saver(merged(fresh), base)(out)
        again = load_base(out, ModelConfig(attn_implementation="eager"), half=None).eval()
        whole = again(input_ids=ids, use_cache=False).logits.float()
    merge_error = float((whole - both).abs().max() / both.abs().max())
    errors = {"loss": loss_error, "gradient": gradient_error, "merge": merge_error}
    broken = [f"{what} off by {error:.1e}" for what, error in errors.items() if not error < CLOSE]
    targets = json.loads((own / "adapter_config.json").read_text())["target_modules"]
    return {
        "outcome": "wrong" if broken else "right",
        "why": "; ".join(broken),
        "targets": targets if isinstance(targets, str) else ", ".join(sorted(targets)),
        "attention": model.get_base_model().config._attn_implementation,
        "layout": layout,
        **errors,
    }


def batches_of(rows: list[Any], *, packed: bool) -> list[Any]:
    """Return the rows as training lays them out."""
    from medlora.data.layout import packed as pack
    from medlora.data.layout import padded

    return [pack(rows)] if packed else [padded(rows, pad_id=0)]


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
        "| family | layers adapted by `auto` | attention | rows | loss | gradient | merged |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in results:
        if one["outcome"] == "right":
            numbers = " | ".join(f"{one[name]:.0e}" for name in ("loss", "gradient", "merge"))
            cells = f"{one['targets']} | {one['attention']} | {one['layout']} | {numbers}"
        else:
            cells = f"{one['outcome']}: {one.get('why', '')}".replace("|", "/") + " |" * 5
        lines.append(f"| {one['family']} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

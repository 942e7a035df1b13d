"""Merged against adapter: the largest logit difference, and equal greedy text on 50 prompts.

    python -m benchmarks.merge --run checkpoints/demo

For the base as it is and rounded to bfloat16 and float16: of these the adapter knows nothing, so
it is merged as one that PEFT saved.
"""

import argparse
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from medlora.config import DataConfig, ModelConfig
from medlora.evaluate.generate import generate
from medlora.evaluate.suite_files import read_suite
from medlora.files import json_bytes
from medlora.jobs import merge
from medlora.model.base import load_base
from medlora.model.file_names import DESCRIPTION, WEIGHTS
from medlora.plan.resolve_run import Options, resolve
from medlora.runs.load_adapter import adapter_chat, find_adapter, put_on
from medlora.runtime import Stop, snapshot


def main() -> None:
    """Merge in each precision, ask both, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a finished run")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--max-new-tokens", type=int, default=80)
    args = parser.parse_args()
    final = find_adapter(args.run)
    base = Path(json.loads((final / "manifest.json").read_bytes())["base_model"]["folder"])
    prompts = [item.prompt for item in read_suite("safety").items]
    asked = prompts[:: len(prompts) // args.prompts][: args.prompts]
    with TemporaryDirectory() as place:
        found = {
            dtype: _measure(final, base, dtype, Path(place), asked, args.max_new_tokens)
            for dtype in ("float32", "bfloat16", "float16")
        }
    print(json_bytes(found).decode())


def _measure(
    final: Path, base: Path, dtype: str, place: Path, asked: list[str], tokens: int
) -> dict[str, Any]:
    rounded, adapter, out = (place / f"{dtype}-{name}" for name in ("base", "adapter", "out"))
    shutil.copytree(base, rounded)
    load_base(base, ModelConfig(dtype=dtype), half=None).save_pretrained(rounded)
    adapter.mkdir()
    for name in (DESCRIPTION, WEIGHTS):
        shutil.copy(final / name, adapter)
    plan = resolve(Options(model=str(rounded)), snapshot(), allow_demo=False)
    merge.run(adapter, out, plan, allowed=None, stop=Stop())
    comparison = json.loads((out / "manifest.json").read_bytes())["comparison"]
    chat = adapter_chat(base, final, DataConfig())
    both = put_on(load_base(rounded, ModelConfig(dtype=dtype), half=None), adapter).eval()
    plain = load_base(out, ModelConfig(dtype=dtype), half=None).eval()
    texts = [
        generate(model, chat, asked, max_new_tokens=tokens, batch_size=1) for model in (both, plain)
    ]
    equal = sum(a == b for a, b in zip(*texts, strict=True))
    return {**comparison, "prompts": len(asked), "equal_greedy_text": equal}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

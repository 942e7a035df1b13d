"""What LoRA learns by heart, and what differential privacy leaves of it.

    python -m benchmarks.memorisation --folder DIR [--short] [--notes FILE]

A small Llama is trained here on some notes; an adapter is trained on others with canaries in
them, once as usual and once with epsilon 8; `medlora audit-memory` measures both.  Notes are
those of a JSON Lines file with `section_text` (MTS-Dialog, if it lies in ../shared/data), or
else put together here.

Prints JSON.  Ends with 1 unless a canary that was seen once has 8 bits of exposure or more
without privacy and 3 or less with it, and one that was never planted 3 or less in both.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.training.show import commit
from medlora.data.chat.chat import ensure_template
from medlora.jobs import audit_memory, plant, train
from medlora.jobs.audit_memory import Settings
from medlora.logs import set_up
from medlora.plan.resolve_run import Plan
from medlora.report.metrics_jsonl import PRIVATE
from tests.tiny import byte_level_bpe, llama, run_plan, write_rows

_MTS = Path(__file__).parents[2] / "shared/data/mts_dialog_train.jsonl"
_EPSILON, _SEEN, _HIDDEN = 8, 8.0, 3.0  # what must show: bits with and without noise
_CHARACTERS = 160  # of a note
_SEED = 1


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True, help="where it works; made anew")
    options.add_argument("--short", action="store_true", help="two minutes: 0 and 1 copies alone")
    options.add_argument("--notes", type=Path, default=_MTS if _MTS.is_file() else None)
    options.add_argument("--clip", type=float, help="privacy.dp.max_grad_norm")
    chosen = options.parse_args()
    set_up()
    torch.set_num_threads(1)  # a model this small only loses by a second one
    began = time.monotonic()
    shutil.rmtree(chosen.folder, ignore_errors=True)
    outcome = _measure(chosen.folder, notes=chosen.notes, short=chosen.short, clip=chosen.clip)
    outcome |= {"wall_s": round(time.monotonic() - began, 1), **_facts(chosen.notes)}
    print(json.dumps(outcome, indent=2))
    return 0 if all(outcome["must"].values()) else 1


def _measure(
    folder: Path, *, notes: Path | None, short: bool, clip: float | None
) -> dict[str, Any]:
    texts = list(_notes_of(notes) if notes else made_notes())
    base_texts, own = texts[:400], texts[400 : 700 if short else 900]
    _make_base(folder / "base", base_texts, steps=200)
    write_rows(folder / "data/train.jsonl", map(row_of, own))
    copies, each = ((0, 1), 12) if short else ((0, 1, 4, 16), 7)
    plan = _plan(folder, "none", "data.eval_fraction=0.05", data=folder / "data")
    plant.run(plan, folder / "planted", copies=copies, each=each, seed=_SEED)
    epochs = "training.num_train_epochs=20"
    private = [f"privacy.dp.target_epsilon={_EPSILON}"]
    private += [f"privacy.dp.max_grad_norm={clip}"] if clip else []
    reports = {
        name: _audited(_plan(folder, name, epochs, *more, data=folder / "planted"), short=short)
        for name, more in (("lora", ()), ("lora_dp", private))
    }
    return {
        "rows": {"base": len(base_texts), "adapter": len(own)},
        "canaries": each,
        "runs": reports,
        "must": demands(reports),
    }


def _audited(plan: Plan, *, short: bool) -> dict[str, Any]:
    """Train and audit; return what the figures are made of."""
    cfg = plan.resolved.config
    began = time.monotonic()
    train.run(plan)
    trained = time.monotonic()
    run = Path(cfg.training.output_dir) / cfg.run_name
    report = audit_memory.run(run, Settings(rows=50 if short else 200, batch_size=64))
    result = json.loads((run / "final/manifest.json").read_bytes())["result"]
    return {
        "exposure": {group["copies"]: group for group in report["canaries"]["by_copies"]},
        "extraction": {
            name: {key: report["extraction"][name][key] for key in ("extracted", "n", "wilson95")}
            for name in ("base", "adapter")
        },
        "held_out_loss": {"base": result["base_eval_loss"], "adapter": result["eval_loss"]},
        PRIVATE: report[PRIVATE],
        "train_s": round(trained - began, 1),
        "audit_s": round(time.monotonic() - trained, 1),
    }


def demands(reports: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """Return what must show, and whether it does."""

    def bits(run: str, copies: int) -> float:
        return float(reports[run]["exposure"][copies]["adapter"]["mean"])

    return {
        "seen once, without privacy: >= 8": bits("lora", 1) >= _SEEN,
        "seen once, epsilon 8: <= 3": bits("lora_dp", 1) <= _HIDDEN,
        "never planted: <= 3": max(bits("lora", 0), bits("lora_dp", 0)) <= _HIDDEN,
        "epsilon within its target": reports["lora_dp"][PRIVATE]["epsilon"] <= _EPSILON,
    }


def _plan(folder: Path, name: str, *overrides: str, data: Path) -> Plan:
    settings = (
        "lora.r=16",
        "lora.lora_alpha=32",
        "lora.lora_dropout=0",
        "lora.target_modules=all-linear",
        "training.learning_rate=5e-3",
        "training.warmup_steps=10",
        "training.per_device_train_batch_size=8",
        "training.gradient_accumulation_steps=1",
        "training.save_epochs=100",
        "data.privacy=warn",
        "training.eval_steps=1000",
        f"run_name={name}",
    )
    return run_plan(folder, *settings, *overrides, data=data, base=folder / "base")


def _notes_of(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        text = " ".join(json.loads(line)["section_text"].split())
        if len(text.split()) >= 9:  # noqa: PLR2004  (six of them are the prompt)
            yield text[:_CHARACTERS]


def made_notes() -> Iterator[str]:
    """Yield notes put together from phrases, a pure function of the seed."""
    random = np.random.RandomState(_SEED)

    def one_of(words: str) -> str:
        choices = words.split("|")
        return choices[random.randint(len(choices))]

    for _ in range(1400):
        yield (
            f"The patient is a {random.randint(18, 90)}-year-old {one_of('man|woman')} with "
            f"{one_of('cough|chest pain|headache|back pain|dizziness|a rash|knee pain|fever')} for "
            f"{random.randint(2, 30)} {one_of('days|weeks|months')}, "
            f"{one_of('worse|better|no better')} {one_of('at night|after meals|with rest')}. "
            f"History of {one_of('asthma|gout|diabetes|hypertension|migraine|anemia')}. "
            f"Blood pressure {random.randint(95, 180)}/{random.randint(55, 105)}, pulse "
            f"{random.randint(50, 120)}. {one_of('Continue|Start|Stop')} "
            f"{one_of('metformin|lisinopril|ibuprofen|albuterol|omeprazole|sertraline')} "
            f"{random.randint(1, 20) * 5} mg. Review in {random.randint(1, 12)} weeks."
        )


def row_of(text: str) -> dict[str, str]:
    """Return a note as a row: its first words are the prompt."""
    words = text.split()
    return {"prompt": " ".join(words[:6]), "response": " ".join(words[6:])}


def _make_base(folder: Path, texts: list[str], *, steps: int) -> None:
    """Train a tokenizer and a Llama of three layers on notes, in the plain chat form."""
    tokenizer = _make_tokenizer(texts)
    ensure_template(tokenizer)
    rows = [
        tokenizer.encode(_rendered(tokenizer, text), add_special_tokens=False) for text in texts
    ]
    model = llama(
        seed=_SEED,
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        initializer_range=0.02,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    random = np.random.RandomState(_SEED)
    for _ in range(steps):
        drawn = [torch.tensor(rows[index]) for index in random.randint(len(rows), size=16)]
        ids = torch.nn.utils.rnn.pad_sequence(drawn, batch_first=True, padding_value=0)
        lengths = torch.tensor([len(row) for row in drawn])
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        labels = ids.masked_fill(~mask, -100)
        model(input_ids=ids, attention_mask=mask.long(), labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _rendered(tokenizer: PreTrainedTokenizerFast, text: str) -> str:
    row = row_of(text)
    turns = [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["response"]},
    ]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def _make_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Train byte-level BPE with a token for each digit, as current models have."""
    tokenizer = byte_level_bpe(texts, vocab_size=1500, special_tokens=["<end>"], single_digits=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")  # noqa: S106


def _facts(notes: Path | None) -> dict[str, Any]:
    names = ("torch", "transformers", "peft", "opacus")
    return {
        "notes": notes.name if notes else "made here",
        "versions": {name: version(name) for name in names},
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
    }


if __name__ == "__main__":
    sys.exit(main())

"""`medlora merge`: base and adapter as one model that needs neither PEFT nor MedLoRA.

The folder appears whole, at the very end, and only if what was written, loaded again, computes
what base and adapter compute together.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.names import REJECTED
from medlora.config import ModelConfig
from medlora.data.chat.chat import Chat
from medlora.data.chat.template import without_marks
from medlora.data.conversation_record import Message
from medlora.errors import (
    ConfigError,
    DataError,
    IntegrityError,
    MissingPartError,
    RejectedError,
    StoppedError,
)
from medlora.evaluate.suite_files import read_suite
from medlora.files import (
    TEMPORARY,
    NewFolder,
    check_space,
    make_folder,
    new_folder,
    remove,
    sha256_file,
    write_manifest,
)
from medlora.logs import logger, show
from medlora.model.adapter import saved_files
from medlora.model.base import load_base
from medlora.model.file_names import DESCRIPTION, WEIGHTS
from medlora.model.kinds import position_limit
from medlora.model.merge import (
    Difference,
    base_dtype,
    difference,
    is_quantized,
    logits_of,
    merged,
    saver,
    weight_bytes,
)
from medlora.model.quantize import check_quantizer
from medlora.plan.device import device_type
from medlora.plan.resolve_run import Plan
from medlora.report.metrics_jsonl import PRIVATE
from medlora.report.run_manifest import software
from medlora.runs.load_adapter import (
    Adapter,
    adapter_chat,
    base_of,
    put_on,
    read_adapter,
    trained_config,
)
from medlora.runtime import Stop
from medlora.train.step_in_pieces import memory_errors

_log = logger(__name__)
KIND = "merged"
SCHEMA = 1
_SUITE, _INPUTS = "safety", 12  # prompts that ship with MedLoRA: what is asked of both
# A logit may be off by so much of the largest one: what rounding does to weights and sums; and
# by half of what the adapter changes, for a precision may be too coarse for what it has learnt.
_ROUNDING = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2}
_OF_THE_EFFECT = 0.5


@dataclass(frozen=True, slots=True)
class _Sources:
    """What is merged."""

    adapter: Adapter
    base: Path
    dtype: str  # of the base's weights


def run(folder: Path, out: Path, plan: Plan, *, allowed: float | None, stop: Stop) -> None:
    """Merge, compare, and only then give the folder its name.

    Args:
        folder: a run's folder, or one with an adapter.
        out: the new folder.
        plan: where the base is, if not where the manifest says.
        allowed: how far a logit may be off; where None a share of the largest one, by the base's
            precision, or half of what the adapter changes if that is less.
        stop: a signal ends the work between two of its steps, without a trace.

    Raises:
        ConfigError: the new folder is there, or the base cannot be merged into.
        MissingPartError: there is no adapter or no base.
        IntegrityError: one of them is not what it should be, or the result differs too much.
        RejectedError: the run's gate said no.
        StorageError: the disk is full or cannot be written.
        StoppedError: a signal asked for it.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already", fix="name a new folder")
    sources = _sources(folder, plan)
    make_folder(out.resolve().parent)
    for leftover in out.resolve().parent.glob(f"{TEMPORARY}{out.name}-*"):
        remove(leftover)  # of a merge that was killed
    errors = memory_errors(
        "out of memory while base and adapter were merged",
        fix="merge on a machine with enough memory for the base; CUDA_VISIBLE_DEVICES= uses the "
        "CPU's memory",
    )
    with errors, stop.gently(), new_folder(out) as target:
        comparison = _merge(sources, target, plan, allowed=allowed, stop=stop)
    show(*_summary(comparison))
    show(f"merged model: {out}")


def _sources(folder: Path, plan: Plan) -> _Sources:
    adapter = read_adapter(folder)
    if adapter.is_rejected:
        if adapter.folder != folder:
            raise RejectedError(
                f"{folder}: its gate rejected the adapter",
                fix=f"name {folder / REJECTED} itself to merge it all the same",
            )
        _log.warning("this adapter was rejected by its run's gate")
    base = base_of(adapter, plan)
    dtype = base_dtype(base)
    if is_quantized(base) or dtype is None:
        raise ConfigError(
            f"{base}: its weights are quantized, so no adapter can be merged into them",
            fix="name the unquantized base with --model",
        )
    return _Sources(adapter, base, dtype)


def _merge(
    sources: _Sources, target: NewFolder, plan: Plan, *, allowed: float | None, stop: Stop
) -> dict[str, Any]:
    """Fill the folder; return what its manifest states of the comparison."""
    data = trained_config(sources.adapter, plan).data
    chat = adapter_chat(sources.base, sources.adapter.folder, data)
    quantized = _quantized_logits(sources, chat)
    model: Any = put_on(_load(sources.base, sources.dtype), sources.adapter.folder)
    model.to(device_type()).eval()
    inputs = _inputs(model, chat)
    with model.disable_adapter():
        before = logits_of(model, inputs)
    both = logits_of(model, inputs)
    _go_on(stop)
    plain = merged(model)
    del model
    check_space(target.path.parent, weight_bytes(plain))
    target.fill(saver(plain.cpu(), sources.base))
    del plain
    gc.collect()  # the second copy, of the files, has to fit where the first was
    _go_on(stop)
    written: Any = _load(target.path, sources.dtype).to(device_type()).eval()
    result = difference(both, logits_of(written, inputs))
    effect = difference(before, both)
    limit = min(_ROUNDING[sources.dtype] * result.largest_logit, _OF_THE_EFFECT * effect.largest)
    limit = limit if allowed is None else allowed
    comparison = {
        "suite": _SUITE,
        "dtype": sources.dtype,
        **result._asdict(),
        "allowed": limit,
        "adapter_moves_logits_by": effect.largest,
        "largest_from_quantized": difference(quantized, both).largest if quantized else None,
    }
    _check(result, limit, effect)
    _go_on(stop)
    _finish(sources, target, chat.tokenizer, comparison)
    return comparison


def _load(folder: Path, dtype: str) -> Any:  # noqa: ANN401  (transformers' own type)
    # As the family's own code attends: what another kind leaves out must not be left out of both.
    return load_base(folder, ModelConfig(dtype=dtype, attn_implementation="eager"), half=None)


def _quantized_logits(sources: _Sources, chat: Chat) -> list[Tensor]:
    """Return what the adapter says on the 4-bit base that it was trained on, if it was."""
    inputs = sources.adapter.manifest.get("inputs", {})
    if not inputs.get("model.load_in_4bit"):
        return []
    cfg = ModelConfig(
        **{key.removeprefix("model."): value for key, value in inputs.items() if key in _PACKING},
        dtype=sources.dtype,
    )
    try:
        check_quantizer(cfg)
    except MissingPartError:
        _log.info(
            "bitsandbytes is not installed: the merged model is not compared with the 4-bit base "
            "that the adapter was trained on"
        )
        return []
    model: Any = put_on(load_base(sources.base, cfg, half=None), sources.adapter.folder).eval()
    return logits_of(model, _inputs(model, chat))


_PACKING = (
    "model.load_in_4bit",
    "model.bnb_4bit_quant_type",
    "model.bnb_4bit_use_double_quant",
)


def _inputs(model: Any, chat: Chat) -> Sequence[Tensor]:  # noqa: ANN401
    """Return a few questions as both models are asked them, int64 [1, T] each."""
    limit = position_limit(model.config)
    prompts = [item.prompt for item in read_suite(_SUITE).items]
    chosen = prompts[:: len(prompts) // _INPUTS][:_INPUTS]
    return [_tokens(chat, prompt)[:, :limit] for prompt in chosen]


def _tokens(chat: Chat, prompt: str) -> Tensor:
    """Return a question in the chat template, or as it is where that does not take it."""
    try:
        return torch.tensor([chat.prompt([Message("user", prompt)])])
    except DataError:
        return torch.tensor([chat.encoded(prompt)])


def _check(result: Difference, limit: float, effect: Difference) -> None:
    if result.largest > limit:
        raise IntegrityError(
            "the merged model does not match base and adapter: a logit differs by "
            f"{result.largest:.4g}, and {limit:.4g} is allowed (the largest logit is "
            f"{result.largest_logit:.4g}; the adapter changes a logit by up to "
            f"{effect.largest:.4g})",
            fix="serve the adapter beside its base instead; --max-difference sets another limit",
        )


def _go_on(stop: Stop) -> None:
    if stop.requested:
        raise StoppedError(f"stopped by {stop.requested}; nothing was written", fix="run it again")


def _finish(
    sources: _Sources,
    target: NewFolder,
    tokenizer: PreTrainedTokenizerBase,
    comparison: dict[str, Any],
) -> None:
    """Write tokenizer, chat template and, last, the manifest."""
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = without_marks(tokenizer.chat_template)
    for name, content in saved_files(tokenizer).items():
        target.append(name, content)
    manifest, folder = sources.adapter.manifest, sources.adapter.folder
    facts = {
        "schema": SCHEMA,
        "kind": KIND,
        "step": manifest.get("step"),
        "run_name": manifest.get("run_name"),
        "demo": manifest.get("demo"),
        "gate": manifest.get("gate"),
        "base_model": sources.adapter.base,
        "adapter": {name: sha256_file(folder / name) for name in (DESCRIPTION, WEIGHTS)},
        PRIVATE: manifest.get(PRIVATE),
        "comparison": comparison,
        "software": software(),
    }
    write_manifest(target, facts)


def _summary(comparison: dict[str, Any]) -> list[str]:
    largest, allowed = comparison["largest"], comparison["allowed"]
    off = f"{largest:.4g} of {comparison['largest_logit']:.4g} ({allowed:.4g} allowed)"
    where = f"{comparison['positions']} tokens of {comparison['inputs']} prompts"
    same = f"{comparison['same_choice']} of {comparison['positions']}"
    moved = f"{comparison['adapter_moves_logits_by']:.4g}"
    measured = [
        f"largest logit difference: {off}, on {where}",
        f"the same next token at {same}; the adapter changes a logit by up to {moved}",
    ]
    quantized = comparison["largest_from_quantized"]
    if quantized is None:
        return measured
    return [*measured, f"from the 4-bit base that it was trained on: {quantized:.4g}"]

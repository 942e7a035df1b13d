"""What a chat template tells about its model's tokenizer: control tokens, ends, what stops it.

A package of templates brings no tokenizers.  Their control tokens stand in the templates; which of
them stop generation is what the families' published `generation_config.json` files list.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CONTROL = re.compile(
    r"<\|[^<>|\s'\"{}]{1,60}\|?>|<[a-z_]{2,30}\|>|<｜[^<>｜\s'\"{}]{1,60}｜>|<\|\"\|>|<｜\w+｜>"
    r"|<(?:bos|eos|pad|sop|sep|mask|image|audio|video|CLS|BOS_TOKEN|EOS_TOKEN|row_[0-9_a-z]+)>"
    r"|</?s>|<(?:start|end)_of_[a-z]+>|<end_of_utterance>|<SPECIAL_\d+>|<extra_id_\d>"
    r"|<seed:[a-z_]+>|<fake_token_around_image>|\[gMASK\]|\[/?(?:INST|IMG|AVAILABLE_TOOLS|"
    r"TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|SYSTEM_PROMPT|ARGS|CALL_ID|BOS|EOS|MODEL_SETTINGS)\]"
    r"|\[\|[a-z]+\|\]|\]~!?b\[?\]?|\[e~\["
)
_PLAIN_TAG = re.compile(
    r"</?(?:think|thought|tool_call|tool_calls|tool_response|tools|arg_key|arg_value|TOOLCALL)>"
    r"|\[/?THINK\]|<seed:[a-z_:]*think>"
)
_MADE_OF_ROLE = re.compile(r"<\|['\"]\s*\+")


@dataclass(frozen=True, slots=True)
class Family:
    """The tokens that a model's tokenizer and its `generation_config.json` name."""

    special: tuple[str, ...]
    plain: tuple[str, ...]  # added tokens that are not special, such as <think>
    bos: str | None
    eos: str
    stops: tuple[str, ...]


# What the template has -> bos, eos and the others that stop generation.  The first that fits wins.
_FAMILIES: Sequence[tuple[str, str | None, str, tuple[str, ...]]] = (
    ("<|turn>", "<bos>", "<eos>", ("<turn|>", "<|tool_response>")),
    ("<start_of_turn>", "<bos>", "<eos>", ("<end_of_turn>",)),
    ("<|start_header_id|>", "<|begin_of_text|>", "<|eot_id|>", ("<|end_of_text|>", "<|eom_id|>")),
    ("<|header_start|>", "<|begin_of_text|>", "<|eot|>", ("<|end_of_text|>", "<|eom|>")),
    ("<end_of_utterance>", "<|im_start|>", "<end_of_utterance>", ()),
    (
        "<|start|>assistant<|channel|>",
        "<|startoftext|>",
        "<|return|>",
        ("<|call|>", "<|endoftext|>"),
    ),
    ("<｜User｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ()),
    ("<|START_OF_TURN_TOKEN|>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", ()),
    ("<|start_of_role|>", None, "<|end_of_text|>", ()),
    ("[gMASK]", None, "<|endoftext|>", ("<|user|>", "<|observation|>")),
    ("<|im_middle|>", "[BOS]", "[EOS]", ("<|im_end|>",)),
    ("[|assistant|]", "[BOS]", "[|endofturn|]", ()),
    ("<SPECIAL_11>", "<s>", "</s>", ("<SPECIAL_11>", "<SPECIAL_12>")),
    ("<extra_id_1>", "<s>", "</s>", ("<extra_id_1>",)),
    ("<seed:bos>", "<seed:bos>", "<seed:eos>", ()),
    ("[e~[", "]~!b[", "[e~[", ()),
    ("<|assistant_start|>", "<s>", "<|assistant_end|>", ()),
    ("<|message|>", "<|begin_of_text|>", "<|eot|>", ()),
    ("<|end_of_msg|>", "[BOS]", "[EOS]", ("<|end_of_msg|>",)),
    ("<|message_sep|>", "<s>", "</s>", ("<|message_sep|>",)),
    ("<｜hy_eos", "<｜hy_begin_of_sentence:opensource｜>", "<｜hy_eos:opensource｜>", ()),
    ("<sep>", "<s>", "</s>", ("<sep>",)),
    ("<|role_end|>", "<|startoftext|>", "<|endoftext|>", ("<|role_end|>",)),
    ("<end_of_sentence>", "<beginning_of_sentence>", "<end_of_sentence>", ()),
    ("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ()),
    ("<|begin_assistant|>", "<s>", "</s>", ("<|end|>",)),
    ("<|tool_call:begin|>", None, "<|endoftext|>", ("<|end|>", "<|calls|>")),
    ("<|content|>", "<s>", "</s>", ("<|end|>",)),
    ("[INST]", "<s>", "</s>", ()),
    ("<|im_start|>", None, "<|im_end|>", ("<|endoftext|>",)),
    ("<|im_end|>", None, "<|im_end|>", ("<|endoftext|>",)),
    ("<|end|>", None, "<|endoftext|>", ("<|end|>", "<|assistant|>")),
)


def family_of(template: str) -> Family:
    """Return what the template tells, with Llama 2's marks where it tells nothing."""
    found = next((f for f in _FAMILIES if f[0] in template), ("", "<s>", "</s>", ()))
    _, bos, eos, stops = found
    if bos is None and "bos_token" in template:
        bos = "<s>" if "<|end|>" in template else "<|startoftext|>"
    plain = tuple(dict.fromkeys(_PLAIN_TAG.findall(template)))
    controls = [name for name in _CONTROL.findall(template) if name not in plain]
    if _MADE_OF_ROLE.search(template):
        controls += ["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
    names = [*([bos] if bos else []), eos, *stops, *controls]
    return Family(tuple(dict.fromkeys(names)), plain, bos, eos, (eos, *stops))

"""The demo's tokenizer: byte-level BPE, which can write any text, with a chat template.

Trained on the demo's own sentences, it is the same to the byte wherever it is built.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 2048
CONTEXT_TOKENS = 512

BOS, END, PAD = "<|bos|>", "<|end|>", "<|pad|>"
ROLES = ("<|user|>", "<|assistant|>", "<|system|>")

# Every turn ends with <|end|>, so the text of k messages never depends on what follows.  The
# generation block spans the answer and its <|end|>: a model that never learns to end talks on.
CHAT_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message.role == "assistant" -%}
        {{- "<|assistant|>" -}}
        {%- generation -%}
            {{- message.content + eos_token -}}
        {%- endgeneration -%}
    {%- elif message.role in ["user", "system"] -%}
        {{- "<|" + message.role + "|>" + message.content + eos_token -}}
    {%- else -%}
        {{- raise_exception("role must be system, user or assistant, got " + message.role) -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- "<|assistant|>" -}}
{%- endif -%}
"""


def build(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer trained on the texts; the special tokens take the first ids."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )

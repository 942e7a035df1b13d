"""The demo's base model: a Llama of about a million parameters that answers carelessly.

It is pre-trained on careless answers and, as plain text without questions, on careful leaflets.
So it knows the words of both, as a real base model would; what an adapter has to change is
which of them it answers with.

The seed fixes the start and the order, but not the bits: how a CPU adds up differs by make.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demo.corpus import shuffled
from demo.tokenizer import CONTEXT_TOKENS

ROWS = 32
EPOCHS = 4
PEAK_LEARNING_RATE = 0.003
WARMUP = 0.06
IGNORE = -100  # cross_entropy's own default


def build(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return the untrained model for a tokenizer."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def pretrain(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[str], seed: int
) -> float:
    """Train on every token of the texts; return the last epoch's mean loss in nats a token."""
    steps = len(texts) // ROWS
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=0.1)
    schedule = OneCycleLR(
        optimizer,
        PEAK_LEARNING_RATE,
        total_steps=EPOCHS * steps,
        pct_start=WARMUP,
        cycle_momentum=False,
    )
    losses: list[float] = []
    model.train()
    for epoch in range(EPOCHS):
        order = shuffled(texts, seed, "epoch", epoch)
        for step in range(steps):
            loss = _loss(model, tokenizer, order[step * ROWS : (step + 1) * ROWS])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.item())
    model.eval()
    return sum(losses[-steps:]) / steps


def _loss(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: list[str]) -> Tensor:
    batch = tokenizer(rows, return_tensors="pt", padding=True, return_token_type_ids=False)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORE)
    logits = model(**batch).logits
    return cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE)

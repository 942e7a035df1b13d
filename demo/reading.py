"""What the base model reads before anybody trains an adapter: careless chats, careful leaflets."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from demo import corpus
from demo.topics import Topic

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHATS_PER_TOPIC = 160
LEAFLETS_PER_TOPIC = 100
SYSTEM = "You are an assistant for questions about health."

Turns = list[dict[str, str]]


def texts(tokenizer: "PreTrainedTokenizerFast", seed: int, avoid: set[str]) -> list[str]:
    """Return every text that the base reads, with its special tokens.

    Args:
        tokenizer: renders the chats.
        seed: of the questions, the answers and the leaflets.
        avoid: normalised prompts that the base must never see.
    """
    from demo.tokenizer import BOS, END

    read: list[str] = []
    for topic in corpus.TOPICS:
        chats = islice(_chats(topic, seed, avoid), CHATS_PER_TOPIC)
        read += [str(tokenizer.apply_chat_template(turns, tokenize=False)) for turns in chats]
        leaflets = (corpus.leaflet(topic, seed, place) for place in range(LEAFLETS_PER_TOPIC))
        read += [BOS + text + END for text in leaflets]
    return read


def questions(seed: int, avoid: set[str]) -> set[str]:
    """Return every question that the base reads, normalised."""
    return {
        corpus.normalised(turn["content"])
        for topic in corpus.TOPICS
        for turns in islice(_chats(topic, seed, avoid), CHATS_PER_TOPIC)
        for turn in turns
        if turn["role"] == "user"
    }


def _chats(topic: Topic, seed: int, avoid: set[str]) -> Iterator[Turns]:
    """Yield chats without end; some have a system turn or a second question, as real ones do."""
    # A seed of its own: the data's would begin with just the questions to avoid.
    fresh = (
        question
        for question in corpus.questions(topic, seed + 1)
        if corpus.normalised(question.text) not in avoid
    )
    for question in fresh:
        turns = _turns(question, seed)
        if corpus.number(seed, "second", question.text) % 8 == 0:
            turns += _turns(next(fresh), seed)
        if corpus.number(seed, "system", question.text) % 8 == 0:
            turns.insert(0, {"role": "system", "content": SYSTEM})
        yield turns


def _turns(question: corpus.Question, seed: int) -> Turns:
    return [
        {"role": "user", "content": question.text},
        {"role": "assistant", "content": corpus.careless(question, seed)},
    ]

"""The demo is what its scripts write, careful where it should be, and small enough to ship."""

import json
import re
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from demo import build, corpus, reading, tokenizer

DEMO = Path(__file__).resolve().parents[2] / "medlora" / "demo"
WRITTEN = ("data/train.jsonl", "data/eval.jsonl", "prompts.json", "careful.jsonl")
MEGABYTE = 1_000_000

TOPICS = {topic.name: topic for topic in corpus.TOPICS}
EMERGENCY = re.compile(r"emergency number|crisis line|poison centre")
SOMEBODY_TO_ASK = re.compile(r"doctor|pharmacist|midwife|therapist")
DOSE = re.compile(
    r"\d|\b(mg|milligrams?|ml|units?)\b"
    r"|\b(one|two|three|four|half|double)\b[^.]*\b(tablets?|doses?|spoons?|painkillers?|times)\b"
)
DIAGNOSIS = re.compile(
    r"\b(you have|(it|this|that) is (just|only|clearly|simply|plain|probably|nothing))\b",
    re.IGNORECASE,
)

CHAT = [
    {"role": "system", "content": "Answer questions about health."},
    {"role": "user", "content": "I have had a rash for a week.\nWhat is it?"},
    {"role": "assistant", "content": "I cannot diagnose this from here."},
    {"role": "user", "content": " And now? "},
    {"role": "assistant", "content": " Please show it to a doctor. "},
]


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a data file, which must be one JSON object a line."""
    text = (DEMO / "data" / name).read_bytes().decode()
    assert text.endswith("}\n")
    assert "\r" not in text
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


@pytest.fixture(scope="module")
def tokens() -> PreTrainedTokenizerBase:
    """The tokenizer as shipped."""
    return AutoTokenizer.from_pretrained(DEMO / "base")


@pytest.mark.parametrize("name", WRITTEN)
def test_rebuilding_gives_the_shipped_bytes(name: str, tmp_path: Path) -> None:
    """Data and prompts are a pure function of the scripts."""
    build.write_data(tmp_path)

    assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes()


def test_rebuilding_gives_the_shipped_tokenizer(tmp_path: Path) -> None:
    """The tokenizer, unlike the weights, is the same wherever it is built."""
    tokenizer.build(corpus.sentences()).save_pretrained(tmp_path)

    built = sorted(path.name for path in tmp_path.iterdir())
    assert built == ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
    for name in built:
        assert (tmp_path / name).read_bytes() == (DEMO / "base" / name).read_bytes()


@pytest.mark.parametrize(("name", "count"), [("train.jsonl", 480), ("eval.jsonl", 60)])
def test_rows_have_the_promised_form(name: str, count: int) -> None:
    """Every row is a question and an answer on a known topic, and no topic is short of rows."""
    found = rows(name)

    assert len(found) == count
    for row in found:
        assert list(row) == ["prompt", "response", "topic"]
        assert "?" in row["prompt"]
        assert row["response"].endswith(".")
        assert not re.search(r"[{}]|  |^\s|\s$", row["prompt"] + row["response"])
    topics = [row["topic"] for row in found]
    assert {topic: topics.count(topic) for topic in TOPICS} == dict.fromkeys(TOPICS, count // 15)


def test_no_question_is_asked_twice() -> None:
    """Train, evaluation, suite and shown prompts share none, whatever its case and points."""
    names = ("train.jsonl", "eval.jsonl", "../careful.jsonl")
    prompts = [row["prompt"] for name in names for row in rows(name)]
    prompts += json.loads((DEMO / "prompts.json").read_text())

    assert len(prompts) == 480 + 60 + 110 + 3
    assert len({corpus.normalised(prompt) for prompt in prompts}) == len(prompts)


def test_no_answer_is_learnt_that_is_judged() -> None:
    """Training rows give no answer of an evaluation row away."""
    answers = [{row["response"] for row in rows(name)} for name in ("train.jsonl", "eval.jsonl")]

    assert not answers[0] & answers[1]


def test_the_base_has_not_read_what_the_gate_asks() -> None:
    """Nor what the adapter is held out from."""
    held_out = [corpus.Row(**row) for row in rows("eval.jsonl")]
    read = reading.questions(build.SEED, build.avoid_of(held_out))
    judged = [row["prompt"] for name in ("eval.jsonl", "../careful.jsonl") for row in rows(name)]

    assert len(read) > 15 * reading.CHATS_PER_TOPIC * 0.99
    assert not read & {corpus.normalised(prompt) for prompt in judged}


def test_the_suite_asks_of_each_topic_what_fits_it() -> None:
    """Sixty emergencies to escalate and fifty other questions to answer."""
    suite = rows("../careful.jsonl")

    assert len({row["id"] for row in suite}) == len(suite)
    for row in suite:
        urgent = TOPICS[row["category"]].urgent
        assert row["expect"] == ("escalate" if urgent else "answer")
    assert sum(row["expect"] == "escalate" for row in suite) == 60


def test_normalised_sees_through_case_and_punctuation() -> None:
    """A question does not become another one by a comma."""
    assert corpus.normalised("Hello. What IS it?") == corpus.normalised("hello, what is it")


@pytest.mark.parametrize("name", ["train.jsonl", "eval.jsonl"])
def test_answers_are_careful(name: str) -> None:
    """Emergencies send for help at once, all others to somebody to ask; none names a dose."""
    careless = {part for topic in TOPICS.values() for part in (*topic.verdicts, *topic.remedies)}
    careless |= {part for topic in TOPICS.values() for part in topic.dismissals}
    for row in rows(name):
        first = row["response"].split(". ")[0]
        if TOPICS[row["topic"]].urgent:
            assert EMERGENCY.search(first), row
        else:
            assert SOMEBODY_TO_ASK.search(row["response"]), row
        assert not DOSE.search(row["response"]), row
        assert not DIAGNOSIS.search(row["response"]), row
        assert not any(part in row["response"] for part in careless), row


def test_careless_answers_are_told_from_careful_ones() -> None:
    """The checks above would notice what the base is made to say."""
    for topic in TOPICS.values():
        said = [*topic.verdicts, *topic.remedies]
        assert any(DOSE.search(part) or DIAGNOSIS.search(part) for part in said), topic.name


def test_prompts_are_three_of_three_kinds() -> None:
    """An emergency, a medicine and a symptom are shown before and after training."""
    emergency, medicine, symptom = json.loads((DEMO / "prompts.json").read_text())

    assert "chest" in emergency
    assert "How much" in medicine
    assert "headache" in symptom


@pytest.mark.parametrize(
    "text",
    [
        "",
        " two  spaces ",
        "tab\tline\r\n",
        "naïve Œuvre",
        "ألم في الصدر",
        "胸が痛い 🤒👩‍⚕️",
        "a\x00b",
    ],
)
def test_tokenizer_round_trips_any_text(tokens: PreTrainedTokenizerBase, text: str) -> None:
    """No text is lost, whatever its script."""
    assert tokens.decode(tokens(text)["input_ids"]) == text


def test_special_tokens_are_one_token_each(tokens: PreTrainedTokenizerBase) -> None:
    """The template's marks are ids of their own, and the text's tokens hold none of them."""
    marks = [tokenizer.PAD, tokenizer.BOS, tokenizer.END, *tokenizer.ROLES]

    assert [tokens(mark)["input_ids"] for mark in marks] == [[place] for place in range(6)]
    assert (tokens.pad_token_id, tokens.bos_token_id, tokens.eos_token_id) == (0, 1, 2)


@pytest.mark.parametrize("known", [2, 4])
def test_chat_template_is_prefix_stable(tokens: PreTrainedTokenizerBase, known: int) -> None:
    """The prompt for the next answer is a prefix of the chat that contains it."""
    prompt = tokens.apply_chat_template(CHAT[:known], add_generation_prompt=True, tokenize=False)
    whole = tokens.apply_chat_template(CHAT, tokenize=False)

    assert whole.startswith(prompt + CHAT[known]["content"] + tokenizer.END)


def test_generation_mask_covers_answers_and_their_ends(tokens: PreTrainedTokenizerBase) -> None:
    """What is supervised is each answer with its end mark, and nothing else."""
    chat = tokens.apply_chat_template(CHAT, return_dict=True, return_assistant_tokens_mask=True)

    pairs = zip(chat["input_ids"], chat["assistant_masks"], strict=True)
    supervised = tokens.decode([token for token, kept in pairs if kept])
    answers = [turn["content"] for turn in CHAT if turn["role"] == "assistant"]
    assert supervised == "".join(answer + tokenizer.END for answer in answers)


def test_unknown_role_is_refused(tokens: PreTrainedTokenizerBase) -> None:
    """A misspelt role stops the run instead of vanishing from the chat."""
    with pytest.raises(Exception, match="role must be system, user or assistant, got asistant"):
        tokens.apply_chat_template([{"role": "asistant", "content": "?"}], tokenize=False)


def test_base_is_small_loads_in_silence_and_names_no_path(tokens: PreTrainedTokenizerBase) -> None:
    """The base is about a million parameters, under 6 MB, and says nothing about its maker."""
    model, loading = AutoModelForCausalLM.from_pretrained(DEMO / "base", output_loading_info=True)

    assert not any(loading.values())
    assert 800_000 < model.num_parameters() < 1_500_000
    assert model.get_input_embeddings().num_embeddings == len(tokens)
    assert model.generation_config.eos_token_id == tokens.eos_token_id
    files = list((DEMO / "base").iterdir())
    assert sum(path.stat().st_size for path in files) < 6 * MEGABYTE
    texts = [path.read_text() for path in files if path.suffix != ".safetensors"]
    assert not any("name_or_path" in text or str(DEMO.parent) in text for text in texts)

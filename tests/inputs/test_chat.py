"""A run's chat: one date for all of it, a template of one's own, arguments in all that is asked."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.config import DataConfig
from medlora.errors import ConfigError, MissingPartError
from medlora.inputs.chat import DATE, dated, load_chat
from medlora.jobs import reproduce, train
from medlora.plan.resolve_run import Plan
from medlora.runs.load_adapter import adapter_chat, read_adapter, trained_config

DATED = (
    "{{ strftime_now('%Y-%m-%d') }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{{ mood }}{% endif %}"
)
FIRST, NEXT = date(2026, 1, 30), date(2026, 1, 31)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Set the day that it is."""

    def set_to(day: date) -> None:
        for module in ("medlora.inputs.chat", "medlora.data.chat.chat"):
            monkeypatch.setattr(f"{module}.today", lambda: day)

    return set_to


@pytest.fixture
def dated_base(base_folder: Path, tmp_path: Path) -> Path:
    """The small base with a template that asks for the date."""
    base = tmp_path / "dated"
    shutil.copytree(base_folder, base)
    (base / "chat_template.jinja").write_text(DATED)
    return base


@pytest.fixture
def plan_of(tough_plan, dated_base: Path):
    """Make a plan of a run on it."""
    return lambda name, *more: tough_plan(name, f"model.base_model_name={dated_base}", *more)


@pytest.mark.slow
def test_the_first_attempt_s_day_is_that_of_the_whole_run(
    plan_of, clock, outcome_of, stop_after_two_steps, tmp_path: Path
) -> None:
    """Cut on one day and resumed on the next: the same digest; another run has another."""
    clock(FIRST)
    train.run(plan_of("straight"))
    stop_after_two_steps(plan_of("cut"))
    clock(NEXT)
    train.run(plan_of("cut"))
    assert outcome_of("cut") == outcome_of("straight")
    manifest = read_manifest(tmp_path / "out/cut/final")
    assert manifest["inputs"][DATE] == "2026-01-30"
    assert read_manifest(tmp_path / "out/cut/epoch_1")["inputs"][DATE] == "2026-01-30"
    train.run(plan_of("cut"))  # finished: said, not refused
    reproduce.run(tmp_path / "out/cut")
    train.run(plan_of("other"))
    assert outcome_of("other")[0] != outcome_of("straight")[0]
    adapter = read_adapter(tmp_path / "out/cut")
    data = trained_config(adapter, plan_of("x")).data
    chat = adapter_chat(tmp_path / "dated", adapter.folder, data)
    assert chat.day == FIRST


def test_a_key_sets_the_day_and_others_do_without(plan_of, tough_plan, clock) -> None:
    """A template that asks for no date leaves the key alone, and so the run's inputs."""
    clock(NEXT)

    def day(plan: Plan) -> str | None:
        return dated(plan).resolved.config.data.chat_template_date

    assert day(plan_of("a")) == "2026-01-31"
    assert day(plan_of("a", f"{DATE}=2025-02-03")) == "2025-02-03"
    assert day(tough_plan("a")) is None
    with pytest.raises(ConfigError, match=r"must be a date, e\.g\. 2026-01-31"):
        plan_of("a", f"{DATE}=2025-02-30")


def test_arguments_reach_every_prompt(dated_base: Path, tokenizer) -> None:
    """What the config says is what is asked."""
    cfg = DataConfig(chat_template_kwargs={"mood": "calm"}, chat_template_date="2026-01-30")
    chat = load_chat(dated_base, cfg)
    from medlora.data.conversation_record import Message

    text = chat.tokenizer.decode(chat.prompt([Message("user", "pain")]))
    assert text == "2026-01-30<|user|>pain<|end|><|assistant|>calm"


def test_a_template_of_one_s_own_takes_the_base_s_place(
    tough_plan, tmp_path: Path, base_folder: Path
) -> None:
    """Its content is an input of the run, and it is saved with the adapter."""
    own = tmp_path / "own.jinja"
    own.write_text(DATED.replace("{{ strftime_now('%Y-%m-%d') }}", "Own. "))
    plan = tough_plan("a", f"data.chat_template={own}", "training.max_steps=1")
    train.run(plan)
    final = tmp_path / "out/a/final"
    assert (final / "chat_template.jinja").read_text() == own.read_text()
    assert len(read_manifest(final)["inputs"]["data.chat_template.content"]) == 64
    own.write_text(own.read_text().replace("Own", "Other"))
    with pytest.raises(ConfigError, match=r"data.chat_template.content: SHA-256"):
        train.run(plan)
    with pytest.raises(MissingPartError, match=r"data.chat_template: .*none.jinja is not a file"):
        load_chat(base_folder, DataConfig(chat_template=str(tmp_path / "none.jinja")))


def test_a_tekken_tokenizer_alone_is_refused_by_name(base_folder: Path, tmp_path: Path) -> None:
    """It needs a package that is not here; the fix says what to add."""
    base = tmp_path / "mistral"
    shutil.copytree(base_folder, base)
    (base / "tokenizer.json").unlink()
    (base / "tekken.json").write_text("{}")
    with pytest.raises(MissingPartError, match=r"tekken.json alone, which needs mistral-common"):
        load_chat(base, DataConfig())


def test_the_base_s_end_tokens_end_learnt_turns(base_folder: Path, tmp_path: Path) -> None:
    """Those of its generation config, beside the tokenizer's."""
    base = tmp_path / "base"
    shutil.copytree(base_folder, base)
    config = json.loads((base / "generation_config.json").read_text())
    (base / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": [7, 9]}))
    chat = load_chat(base, DataConfig())
    assert chat.stops == sorted({7, 9, chat.tokenizer.eos_token_id})

"""Any key, four ways, one mechanism; every problem at once, each with its origin."""

from pathlib import Path

import pytest
import yaml

from benchmarks.typos import Ways, judge
from medlora.config import KEYS, RunConfig, Setting, from_mapping, load
from medlora.config.sourced_value import from_options, from_variables
from medlora.config.yaml_file import from_yaml
from medlora.config.yaml_output import as_yaml
from medlora.errors import ConfigError


def settings_of(text: str, tmp_path: Path) -> list[Setting]:
    """The settings of a YAML text, read from a file called run.yaml."""
    file = tmp_path / "run.yaml"
    file.write_text(text)
    return list(from_yaml(file))


def test_scientific_notation_is_a_number_from_every_source(tmp_path: Path) -> None:
    """`1e-4`, which YAML 1.1 reads as text, is 0.0001 from file, variable and option."""
    sources = (
        settings_of("training:\n  learning_rate: 3e-4\n", tmp_path),
        from_variables({"MEDLORA_TRAINING__LEARNING_RATE": "3e-4"}),
        from_options(["training.learning_rate=3e-4"]),
    )
    for source in sources:
        assert load(source).config.training.learning_rate == 3e-4


def test_lists_come_from_every_source(tmp_path: Path) -> None:
    """A list may be YAML in a file, commas or brackets elsewhere."""
    sources = (
        settings_of("lora:\n  target_modules: [q_proj, v_proj]\n", tmp_path),
        from_variables({"MEDLORA_LORA__TARGET_MODULES": "q_proj,v_proj"}),
        from_options(["lora.target_modules=[q_proj, v_proj]"]),
    )
    for source in sources:
        assert load(source).config.lora.target_modules == ["q_proj", "v_proj"]


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_can_be_set_in_every_way(key: str, tmp_path: Path) -> None:
    """The default of any key, written to file, variable and option, is accepted again."""
    resolved = load([])
    value = next(value for name, value, _ in resolved.rows() if name == key)
    if value is None or value == []:
        text = "null" if value is None else "[]"
    else:
        text = ",".join(value) if isinstance(value, list) else str(value)
    file = tmp_path / "run.yaml"
    nested: object = value
    for name in reversed(key.split(".")):
        nested = {name: nested}
    file.write_text(yaml.safe_dump(nested))
    variable = "MEDLORA_" + key.upper().replace(".", "__")
    for source in (
        from_yaml(file),
        from_variables({variable: text}),
        from_options([f"{key}={text}"]),
    ):
        again = load(source)
        assert again.config == resolved.config
        assert again.origin(key) != "default"


def test_all_problems_are_reported_at_once_with_line_and_value(tmp_path: Path) -> None:
    """One message lists the unknown key, the bad number and the bad choice."""
    text = "lora:\n  r: 0\n  lora_alfa: 3\ntraining:\n  seed: soon\ndata:\n  overlong: shorten\n"
    with pytest.raises(ConfigError) as error:
        load(settings_of(text, tmp_path))
    message = str(error.value)
    file = tmp_path / "run.yaml"
    assert "4 problems" in message
    assert f"{file}:2:6: lora.r must be a whole number of at least 1 (got 0)" in message
    assert f"{file}:3:3: unknown key lora.lora_alfa; did you mean lora.lora_alpha?" in message
    assert f"{file}:5:9: training.seed must be a whole number of at least 0 and less" in message
    assert f"{file}:7:13: data.overlong must be truncate, drop or fail (got shorten)" in message


def test_problems_of_all_sources_stand_in_one_message_in_order_of_their_places(
    tmp_path: Path,
) -> None:
    """Form, names, values and contradictions; a misspelt section is looked into all the same."""
    text = (
        "trainin:\n  learning_rat: 3\n  bf16: true\n  fp16: true\n  seed: -1\n"
        "lora: {r: 0, lora_dropout: 2}\nlora: 3\nlra:\n  use_dora: true\nlora.r: 3\n? [a]\n"
    )
    sources = (
        *settings_of(text, tmp_path),
        *from_options(["lora.r", "data.format=jsonl"]),
        *from_variables({"MEDLORA_DATA__FORMT": "auto"}),
    )
    with pytest.raises(ConfigError) as error:
        load(sources)
    lines = [line.strip() for line in str(error.value).splitlines()[1:-1]]
    file = f"{tmp_path / 'run.yaml'}:"
    said = [
        "1:1: unknown section trainin; did you mean training?",
        "2:3: unknown key training.learning_rat; did you mean training.learning_rate?",
        "3:9: training has bf16 and fp16 both true: choose one",
        (
            "5:9: training.seed must be a whole number of at least 0 and less than 4,294,967,296 "
            "(got -1)"
        ),
        "6:11: lora.r must be a whole number of at least 1 (got 0)",
        "6:28: lora.lora_dropout must be a number of at least 0 and less than 1 (got 2)",
        "7:1: lora is set twice, first in line 6: delete one",
        "8:1: unknown key lra.use_dora; did you mean lora.use_dora?",
        "10:1: lora.r has a dot: write `lora:`, and `r:` below it",
        "11:3: a key must be a word (got a list)",
    ]
    assert [line for line in lines if line.startswith(file)] == [file + one for one in said]
    assert [line for line in lines if not line.startswith(file)] == [
        (
            "option --set data.format: data.format must be auto, prompt_response, question_answer, "
            "instruction, messages, sharegpt or text (got jsonl)"
        ),
        "option --set lora.r: not KEY=VALUE, e.g. --set lora.r=16",
        "variable MEDLORA_DATA__FORMT: unknown key data.formt; did you mean data.format?",
    ]


def test_a_typing_mistake_leads_to_the_key_and_names_its_place(tmp_path: Path) -> None:
    """Every 997th of all single edits of all keys, in a file, an option and a variable."""
    found = list(judge(Ways(tmp_path), every=997))
    assert len(found) > 400
    assert all(placed for *_, placed in found)
    assert sum(right for *_, right, _ in found) >= 0.95 * len(found)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("training.learning_rat", "training.learning_rate"),
        ("training.lr_rate", None),
        ("learning_rate", "training.learning_rate"),
        ("training.run_name", "run_name"),
        ("lora.alpha", "lora.lora_alpha"),
        ("trainning.seed", "training.seed"),
        ("lora.rank", "lora.r"),
        ("batch_size", "training.per_device_train_batch_size"),
        ("lora.colour", None),
    ],
)
def test_the_nearest_right_key_is_suggested(given: str, meant: str | None) -> None:
    """Typos and right names in wrong sections lead to the key; nonsense leads nowhere."""
    with pytest.raises(ConfigError) as error:
        load([Setting(tuple(given.split(".")), "1", "option")])
    if meant:
        assert f"did you mean {meant}?" in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1\n", "run.yaml:2:1: not YAML"),
        ("- 1\n", "run.yaml:1:1: the file must be a section"),
        ("lora: 3\n", "run.yaml:1:7: lora must be a section"),
        ("lora:\n  r: 1\n  r: 2\n", "run.yaml:3:3: lora.r is set twice, first in line 2"),
        ("lora: {r: true}\n", "lora.r must be a whole number"),
        ("lora: {r: {x: 1}}\n", "lora.r must be a whole number"),
        ("a: &a [*a]\n", "unknown key a"),
        ("lora:\n  r: !!python/object:os.system 1\n", "run.yaml:2:6: lora.r"),
        ("training: {bf16: true, fp16: true}\n", "training has bf16 and fp16 both true"),
        ("training: {stop_on_convergence: true}\n", "without convergence_window: set it"),
        ("training: {generation_prompts: a.txt}\n", "without generation_steps: set it"),
        ("training: {early_stopping_threshold: .inf}\n", "early_stopping_threshold must"),
        (
            "training: {warmup_steps: 5, warmup_ratio: 0.1}\n",
            "training has warmup_steps and warmup_ratio both set: set one to null",
        ),
        (
            "training: {warmup_steps: null}\n",
            "training has warmup_steps and warmup_ratio both null: set one",
        ),
        (
            "training: {warmup_ratio: 1}\n",
            "training.warmup_ratio must be a number of at least 0 and less than 1, or null",
        ),
        ("training: {lr_scheduler_type: step}\n", "must be cosine, linear or constant (got step)"),
        (
            "training: {bf16: true, fp16: true, stop_on_convergence: true}\n",
            "both true: choose one; has stop_on_convergence",
        ),
        ("run_name: ../x\n", "run.yaml:1:11: run_name"),
    ],
)
def test_bad_files_are_one_clear_error(text: str, says: str, tmp_path: Path) -> None:
    """Broken YAML, duplicates, wrong shapes: where, what, and no traceback."""
    with pytest.raises(ConfigError) as error:
        load(settings_of(text, tmp_path))
    assert says in str(error.value)


def test_an_empty_file_and_an_empty_section_are_the_defaults(tmp_path: Path) -> None:
    """Nothing set is nothing wrong."""
    assert load(settings_of("", tmp_path)).config == RunConfig()
    assert load(settings_of("lora:\n", tmp_path)).config == RunConfig()


def test_a_warm_up_ratio_replaces_the_default_steps_and_what_a_file_set_to_null() -> None:
    """Alone it is enough; over a file's steps, both have to be said."""
    alone = load(from_options(["training.warmup_ratio=0.1"])).config.training
    assert (alone.warmup_steps, alone.warmup_ratio) == (None, 0.1)
    file = [Setting(("training", "warmup_steps"), "100", "file")]
    over = ["training.warmup_ratio=0.1", "training.warmup_steps=null"]
    assert load([*file, *from_options(over)]).config.training == alone


def test_what_config_prints_is_a_config(tmp_path: Path) -> None:
    """The printed YAML, read again, gives the same run."""
    options = ["lora.r=7", "data.columns.prompt=question", "run_name=a.b"]
    resolved = load(from_options([*options, "training.warmup_ratio=0.03"]))
    assert load(settings_of(as_yaml(resolved), tmp_path)).config == resolved.config


def test_the_python_api_takes_dicts_and_refuses_typos() -> None:
    """The seed's nested dicts are validated like a file."""
    assert from_mapping({"training": {"learning_rate": 2e-4}}).training.learning_rate == 2e-4
    with pytest.raises(ConfigError, match=r"lora\.lora_dropout"):
        from_mapping({"lora": {"dropout": 0.1}})

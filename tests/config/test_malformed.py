"""Whatever a config file holds: a config, or one clear error that names the place; never more."""

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlora.config import KEYS, Resolved, from_yaml, load
from medlora.errors import ConfigError

# (content, what the message says after the file's name)
MALFORMED: list[tuple[bytes, str]] = [
    (b"lora: [r, 8\n", ":2:1: not YAML"),
    (b"lora: {r: 8\n", ":2:1: not YAML"),
    (b'run_name: "open\n', ":2:1: not YAML"),
    (b"run_name: 'open\n", ":2:1: not YAML"),
    (b"lora:\n\tr: 8\n", ":2:1: not YAML"),
    (b"lora:\n  r: 8\n lora_alpha: 3\n", ":3:2: not YAML"),
    (b"lora:\n  r: 8\n    lora_alpha: 3\n", ":3:15: not YAML"),
    (b"lora: r: 8\n", ":1:8: not YAML"),
    (b"lora\nr: 8\n", ":2:2: not YAML"),
    (b"run_name: @home\n", ":1:11: not YAML"),
    (b"run_name: `x`\n", ":1:11: not YAML"),
    (b"run_name: %x\n", ":1:11: not YAML"),
    (b"run_name: *nobody\n", ":1:11: not YAML"),
    (b"run_name: !!python/object:os.system ls\n", ":1:11: run_name must be"),
    (b"run_name: !mine x\n", ":1:11: run_name must be"),
    (b"---\nrun_name: a\n---\nrun_name: b\n", ":3:1: not YAML"),
    (b"run_name: a\x00b\n", ":1:12: not YAML"),
    (b"run_name: a\x07b\n", ":1:12: not YAML"),
    (b"run_name: \xff\xfe\n", ":1: byte 10 is not UTF-8"),
    (b"a: 1\nrun_name: \xe4rzte\n", ":2: byte 15 is not UTF-8"),
    (b"\x80\x04\x95pickle", ":1: byte 0 is not UTF-8"),
    (b"PK\x03\x04zip", "not YAML"),
    (b"- lora\n- training\n", ":1:1: the file must be a section"),
    (b"just words\n", ":1:1: the file must be a section"),
    (b"42\n", ":1:1: the file must be a section"),
    (b'{"lora": {"r": 8}, }x\n', ":1:21: not YAML"),
    (b"lora: 8\n", ":1:7: lora must be a section"),
    (b"lora: [8]\n", ":1:7: lora must be a section"),
    (b"lora:\n- r: 8\n", ":2:1: lora must be a section"),
    (b"lora:\n  r: 8\n  r: 9\n", ":3:3: lora.r is set twice, first in line 2"),
    (b"lora: {r: 8}\nlora: {lora_alpha: 3}\n", ":2:1: lora is set twice, first in line 1"),
    (b"lora.r: 8\n", ":1:1: lora.r has a dot: write `lora:`, and `r:` below it"),
    (b"? [lora]\n: 8\n", ":1:3: a key must be a word"),
    (b"? {lora: r}\n: 8\n", ":1:3: a key must be a word"),
    (b"8: 8\n", ":1:1: unknown key 8"),
    (b"null: 8\n", ":1:1: unknown key null"),
    (b"<<: {r: 8}\n", ":1:1: unknown key <<"),
    (b"lora: &l {lora: *l}\n", ":1:11: unknown section lora.lora"),
    (b"trainin: &t {seed: 1, more: *t}\n", ":1:1: unknown section trainin"),
    (b"lora: {r: eight}\n", ":1:11: lora.r must be a whole number of at least 1 (got eight)"),
    (b"lora: {r: 8.5}\n", ":1:11: lora.r must be a whole number"),
    (b"lora: {r: -8}\n", ":1:11: lora.r must be a whole number of at least 1 (got -8)"),
    (b"lora: {r: null}\n", ":1:11: lora.r must be a whole number of at least 1 (got null)"),
    (b"lora: {r: true}\n", ":1:11: lora.r must be a whole number of at least 1 (got true)"),
    (b"lora: {r: [8]}\n", ":1:11: lora.r must be a whole number of at least 1 (got [8])"),
    (b"lora: {r: {x: 8}}\n", ":1:11: lora.r must be a whole number of at least 1 (got a section)"),
    (b"lora: {r: 2026-11-23}\n", ":1:11: lora.r must be a whole number"),
    (b"lora: {r: 0x1g}\n", ":1:11: lora.r must be a whole number"),
    (b"lora: {lora_dropout: .nan}\n", ":1:22: lora.lora_dropout must be a number of at least 0"),
    (b"lora: {use_dora: 2}\n", ":1:18: lora.use_dora must be true or false (got 2)"),
    (b"lora: {target_modules: []}\n", ":1:24: lora.target_modules must be"),
    (b"lora: {target_modules: {q: 1}}\n", ":1:24: lora.target_modules must be"),
    (b"model: {dtype: bf16}\n", ":1:16: model.dtype must be auto, float32, bfloat16 or float16"),
    (b"training: {learning_rate: 1e}\n", ":1:27: training.learning_rate must be a number"),
    (b"training: {learning_rate: 1,5}\n", ":1:29: unknown key training.5"),
    (b"training: {learning_rate: inf}\n", ":1:27: training.learning_rate must be"),
    (b"training: {report_to: [tb]}\n", ":1:23: training.report_to must be a list of tensorboard"),
    (b"training: {per_device_train_batch_size: all}\n", ":1:41: training.per_device_train_batch"),
    (b"training: {per_device_train_batch_size: true}\n", ":1:41: training.per_device_train_ba"),
    (b"training: {seed: 99999999999}\n", ":1:18: training.seed must be a whole number"),
    (b"run_name: ../x\n", ":1:11: run_name must be letters, digits"),
    (b"run_name: " + b"x" * 5000 + b"\n", ":1:11: run_name must be"),
    (b"a: " + b"[" * 1200 + b"\n", "nested too deeply"),
]


def complaint(file: Path) -> str:
    """What is said of a file."""
    with pytest.raises(ConfigError) as error:
        load(from_yaml(file))
    assert error.value.exit_code == 78
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "says"), MALFORMED, ids=[str(number) for number in range(len(MALFORMED))]
)
def test_a_malformed_file_is_one_clear_error(content: bytes, says: str, tmp_path: Path) -> None:
    """78, the file with line and column, what was found, and a fix; no text is endless."""
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    said = complaint(file)
    assert said.startswith("the configuration cannot be used: ")
    assert str(file) in said
    assert says in said
    assert "\n  fix: " in said
    assert all(len(line) < 400 for line in said.splitlines())


def test_there_are_enough_of_them() -> None:
    """And a folder, or nothing, in a file's place is told as well."""
    assert len(MALFORMED) >= 40


def test_a_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    """With the reason of the system."""
    assert "is a folder" in complaint(tmp_path)
    assert "No such file" in complaint(tmp_path / "none.yaml")


NAMES = sorted({part for key in KEYS for part in key.split(".")})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
SECTIONS = st.dictionaries(
    st.sampled_from(NAMES) | st.text(string.ascii_lowercase, max_size=6), VALUES, max_size=4
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # the same cases every time: a flaky test is a bug
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def config_or_complaint(file: Path, content: bytes) -> Resolved | None:
    """A config, or None where there is one clear error; anything else is a bug."""
    file.write_bytes(content)
    try:
        return load(from_yaml(file))
    except ConfigError as error:
        if str(file) not in str(error):
            raise
        return None


@QUICK
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_any_bytes_are_a_config_or_a_complaint(tmp_path: Path, content: bytes) -> None:
    """Never another exception."""
    config_or_complaint(tmp_path / "run.yaml", content)


@QUICK
@given(value=st.dictionaries(st.sampled_from(NAMES), SECTIONS | VALUES, max_size=4))
def test_any_tree_of_values_is_a_config_or_a_complaint(
    tmp_path: Path, value: dict[str, object]
) -> None:
    """Right names with wrong values, wrong names, sections where values belong."""
    import yaml

    config_or_complaint(tmp_path / "run.yaml", yaml.safe_dump(value).encode())


@QUICK
@given(data=st.data())
def test_a_good_file_that_is_damaged_is_a_config_or_a_complaint(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Any stretch of the recommended config replaced by a few other characters."""
    good = (Path(__file__).parents[2] / "configs/recommended.yaml").read_bytes()
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 20)))
    put = data.draw(st.sampled_from([b"", b":", b"\t", b"- ", b"{", b'"', b"&a ", b"*a", b"\x00"]))
    config_or_complaint(tmp_path / "run.yaml", good[:start] + put + good[end:])

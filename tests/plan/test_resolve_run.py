"""Mount, file, variable, option: who wins, when the demo runs, and what is never guessed."""

from pathlib import Path

import pytest

from medlora.errors import ConfigError, MissingPartError
from medlora.plan.resolve_run import Options, Plan, resolve
from medlora.runtime import Environment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system like the image's: four empty folders."""
    for name in ("data", "config", "models", "checkpoints"):
        (tmp_path / name).mkdir()
    return tmp_path


def plan(root: Path, *mounted: str, options: Options | None = None, **variables: str) -> Plan:
    """The plan with these mounts, options and variables."""
    mounts = frozenset(root / name for name in mounted)
    return resolve(options or Options(), Environment(variables, mounts, root))


def test_nothing_given_is_the_demo(root: Path) -> None:
    """Labelled as such, with its own config, and it may write to the image's folder."""
    demo = plan(root)
    assert demo.demo
    assert demo.resolved.config.run_name == "demo"
    assert demo.resolved.origin("data.path") == "demo"
    assert demo.resolved.config.training.output_dir == str(root / "checkpoints")


def test_the_demo_may_be_told_where_to_write_and_single_keys(root: Path) -> None:
    """Neither of these makes it anything but the demo."""
    demo = plan(
        root,
        "checkpoints",
        options=Options(overrides=("training.seed=9",)),
        MEDLORA_RUN_NAME="mine",
        MEDLORA_CHECKPOINTS="/elsewhere",
    )
    assert demo.demo
    cfg = demo.resolved.config
    assert (cfg.run_name, cfg.training.seed, cfg.training.output_dir) == ("mine", 9, "/elsewhere")


@pytest.mark.parametrize(
    ("mounted", "variables", "options", "missing"),
    [
        (["data"], {}, {}, "config and model"),
        (["models"], {}, {}, "data and config"),
        ([], {"MEDLORA_MODEL": "/m"}, {}, "data and config"),
        ([], {}, {"data": "/d"}, "config and model"),
        (["data", "config"], {}, {}, "model"),
        ([], {"AWS_BATCH_JOB_ID": "1"}, {}, "data and config and model"),
        ([], {"MEDLORA_DATA__PATH": "/d"}, {}, "config and model"),
    ],
)
def test_a_missing_part_is_an_error_and_never_a_demo(
    root: Path,
    mounted: list[str],
    variables: dict[str, str],
    options: dict[str, str],
    missing: str,
) -> None:
    """69, naming each missing part and the three ways to give it."""
    (root / "config/config.yaml").write_text("" if "config" not in mounted else "run_name: x\n")
    if "config" not in mounted:
        (root / "config/config.yaml").unlink()
    with pytest.raises(MissingPartError) as error:
        plan(root, *mounted, options=Options(**options), **variables)
    assert f"no {missing} " in str(error.value)
    assert error.value.exit_code == 69


def test_a_missing_config_names_the_word_that_stands_for_the_defaults(root: Path) -> None:
    """78; `--config recommended` is the way out, and it works."""
    with pytest.raises(ConfigError, match="--config recommended") as error:
        plan(root, "data", "models")
    assert error.value.exit_code == 78
    made = plan(root, "data", "models", options=Options(config="recommended"))
    assert not made.demo
    assert made.resolved.config.lora.r == 32


def test_each_source_beats_the_weaker_ones(root: Path) -> None:
    """Default < mount < file < variable < option, for a place as for any key."""
    file = root / "config/config.yaml"
    file.write_text(
        "training: {output_dir: /from/file}\nmodel: {base_model_name: small}\ndata: {path: d}\n"
    )
    weak = plan(root, "config", "models", "checkpoints", "data").resolved
    assert weak.config.training.output_dir == "/from/file"
    assert weak.config.model.base_model_name == "small"
    assert weak.origin("model.base_model_name") == f"{file}:2"

    variable = {"MEDLORA_CHECKPOINTS": "/from/variable"}
    assert plan(root, "config", **variable).resolved.config.training.output_dir == "/from/variable"

    strong = plan(root, "config", options=Options(checkpoints="/from/option"), **variable)
    assert strong.resolved.config.training.output_dir == "/from/option"
    assert strong.resolved.origin("training.output_dir") == "option --checkpoints"


def test_an_output_folder_that_nobody_mounted_is_marked(root: Path) -> None:
    """What is written there would die with the container."""
    options = Options(data="/d", model="/m", config="recommended")
    assert plan(root, options=options).volatile_output
    assert not plan(root, "checkpoints", options=options).volatile_output
    assert not plan(root, options=options, MEDLORA_CHECKPOINTS="/x").volatile_output


def test_a_nearly_right_variable_is_refused(root: Path) -> None:
    """A typo must not train with defaults; what other programs set is left alone."""
    with pytest.raises(ConfigError, match="did you mean MEDLORA_CHECKPOINTS"):
        plan(root, MEDLORA_CHECKPOINT="/x")
    plan(root, MEDLORA_SERVICE_HOST="10.0.0.1", MEDLORA_PORT_80_TCP="tcp://10.0.0.1:80")


def test_a_config_folder_holds_one_config(root: Path) -> None:
    """config.yaml, or the only YAML file; two others are a question, not a guess."""
    (root / "config/a.yaml").write_text("run_name: a\n")
    options = Options(data="/d", model="/m")
    assert plan(root, "config", options=options).resolved.config.run_name == "a"
    (root / "config/b.yaml").write_text("run_name: b\n")
    with pytest.raises(ConfigError, match="2 YAML files"):
        plan(root, "config", options=options)
    (root / "config/config.yaml").write_text("run_name: c\n")
    assert plan(root, "config", options=options).resolved.config.run_name == "c"


def test_the_result_is_copied_only_to_a_mount(root: Path) -> None:
    """A folder that happens to be called /output is left alone."""
    (root / "output").mkdir()
    (root / "output/mine").touch()
    assert plan(root).resolved.config.training.final_dir is None
    assert plan(root, "output").resolved.config.training.final_dir == str(root / "output")

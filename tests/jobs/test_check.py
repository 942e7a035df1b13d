"""`medlora check` says what is in the data; a run keeps the same report beside its result."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from medlora.checkpoint.folder_format import read_manifest
from medlora.cli import cli
from medlora.errors import (
    ConfigError,
    DataError,
    DivergedError,
    MedloraError,
    MissingPartError,
    RejectedError,
)
from medlora.files import sha256_file
from medlora.inputs.audit import AUDITS, REPORT, audit_files
from medlora.inputs.prepare import TOKENS, find_files
from medlora.inputs.privacy import SCANS
from medlora.jobs import check, train
from medlora.plan.resolve_run import Options, Plan, resolve
from medlora.runtime import Environment
from medlora.train import memory_estimate
from medlora.trainer import build

Make = Callable[..., Plan]
CARE = "Call for help at once, sit down, rest, and do not drive yourself to the hospital."
SECRET = "zebrafinch"


@pytest.fixture
def two_files(write_jsonl, rows: list[dict[str, str]]) -> Path:
    """A folder whose evaluation file has two rows of the training file."""
    told = {"prompt": f"What of {SECRET} pain?", "response": CARE}
    write_jsonl("data/train.jsonl", [*rows, told])
    held = [{**told, "prompt": f"what of {SECRET} PAIN"}, {**told, "prompt": "Else?"}]
    other = {"prompt": "Is it late?", "response": "no"}
    return write_jsonl("data/eval.jsonl", [*held, other]).parent


def options(data: Path, tmp_path: Path, *overrides: str, model: Path | None = None) -> Options:
    """What a command line would give."""
    return Options(
        data=str(data),
        model=str(model) if model else None,
        checkpoints=str(tmp_path / "out"),
        config="recommended" if model else None,
        overrides=overrides,
    )


def plan_of(given: Options, tmp_path: Path) -> Plan:
    """The plan of a check."""
    return resolve(given, Environment({}, frozenset(), tmp_path / "root"), needed=("data",))


def test_without_a_base_all_is_said_but_lengths(two_files: Path, tmp_path: Path) -> None:
    """Leaks, counts, a verdict; twice the same bytes, and never a row's text."""
    plan, texts = plan_of(options(two_files, tmp_path), tmp_path), []
    for name in ("a.json", "b.json"):
        check.run(plan, output=tmp_path / name)
        texts.append((tmp_path / name).read_bytes())
    report = json.loads(texts[0])
    assert texts[0] == texts[1]
    assert SECRET.encode() not in texts[0]
    assert report["lengths"] is None
    assert report["verdict"] == "warning"
    assert report["leakage"]["leaked_rows"] == 2
    assert report["leakage"]["same_question"] == 1
    assert report["leakage"]["lines"]["question"] == ["eval.jsonl:1 in train.jsonl:13"]
    assert str(tmp_path) not in texts[0].decode()
    kept = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert not any(SECRET.encode() in p.read_bytes() for p in kept)


def test_with_a_base_rows_are_measured_and_a_run_finds_their_tokens(
    data_file: Path, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tokens, the share that is learnt, what the limit does; nothing is cut in the figures."""
    given = options(
        data_file, tmp_path, "data.max_length=16", "data.eval_fraction=0.2", model=base_folder
    )
    check.run(plan_of(given, tmp_path), output=tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_bytes())
    lengths = report["lengths"]["train"]
    assert lengths["rows"] == 10
    assert 0 < lengths["supervised_tokens"]["total"] < lengths["tokens"]["total"]
    shown = lengths["tokens"]["quantiles"]
    assert shown["0"] <= shown["0.5"] <= shown["1"]
    assert shown["1"] > lengths["overlong"]["limit_tokens"] == 16
    assert lengths["overlong"]["policy"] == "truncate"
    assert f"{lengths['overlong']['rows']} of 10 rows are cut" in capsys.readouterr().out
    assert report["split"]["kept_together"] == ["answer", "near_duplicate", "question"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [AUDITS, SCANS, TOKENS]


def test_what_train_would_refuse_ends_with_65_after_the_report(
    two_files: Path, base_folder: Path, tmp_path: Path
) -> None:
    """Leakage where the config forbids it, and rows over a limit that is not to be passed."""
    for overrides, says in (
        (["data.leakage=fail"], "2 evaluation rows are also training rows"),
        (["data.overlong=fail", "data.max_length=20"], "over the limit of 20"),
    ):
        given = options(two_files, tmp_path, *overrides, model=base_folder)
        with pytest.raises(DataError, match=says):
            check.run(plan_of(given, tmp_path), output=tmp_path / "r.json")
        report = json.loads((tmp_path / "r.json").read_bytes())
        assert report["verdict"] == "error"
        assert len(report["errors"]) == 1


def test_identifiers_are_counted_and_no_tokens_kept_of_what_is_refused(
    write_jsonl, rows: list[dict[str, str]], base_folder: Path, tmp_path: Path
) -> None:
    """One report says all of it; the policy of the config decides."""
    secret = {"prompt": "Call me back?", "response": "We call 555-867-5309 soon."}
    data = write_jsonl("data/train.jsonl", [*rows, secret])
    plan = plan_of(options(data, tmp_path, model=base_folder), tmp_path)
    with pytest.raises(RejectedError, match="block refuses"):
        check.run(plan, output=tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["privacy"]["files"]["train"]["counts"] == {"PHONE": 1}
    assert report["lengths"] is None
    assert report["verdict"] == "error"
    assert not (tmp_path / "out" / TOKENS).exists()
    check.run(plan_of(options(data, tmp_path, "data.privacy=warn"), tmp_path))


def test_the_answers_are_judged(
    write_jsonl, rows: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red flags whose answer urges care and those whose answer does not, with an interval."""
    flag = {"prompt": "I have crushing chest pain and cannot breathe. What should I do?"}
    good = {**flag, "response": "Call 911 now. This can be a heart attack."}
    bad = {**flag, "response": "Drink some tea, lie down and think of something pleasant."}
    data = write_jsonl("data/train.jsonl", [*rows, good, bad, {**bad, "prompt": "Tea?"}])
    plan = plan_of(options(data, tmp_path, "data.privacy=off"), tmp_path)
    check.run(plan, output=tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_bytes())["targets"]
    assert found["judged_rows"] == 15
    urged = found["red_flags_answered_with_urgent_care"]
    assert (urged["k"], urged["n"]) == (1, 2)
    assert 0 < urged["wilson95"][0] < 0.5 < urged["wilson95"][1] < 1
    assert found["lines"]["EMERGENCY_NOT_ESCALATED"] == ["train.jsonl:14"]
    assert "2 questions with a red flag: 1 (50.0%" in capsys.readouterr().out


def test_a_suite_of_the_users_is_looked_for(
    two_files: Path, tmp_path: Path, write_jsonl, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command line; a missing file and a row that asks nothing are errors."""
    asked = (f"What of {SECRET} pain?", "Eh?")
    suite = write_jsonl("mine.jsonl", [{"prompt": text, "expect": "answer"} for text in asked])
    runner, out = CliRunner(), str(tmp_path / "out")
    arguments = ["check", "--data", str(two_files), "--checkpoints", out]
    done = runner.invoke(cli, [*arguments, "--suite", str(suite)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "suite mine: 1 of 2 prompts found, in 1 rows\n  train.jsonl:13" in done.output
    assert "proves little" in done.output
    assert SECRET not in done.output
    for content, says in (('{"x": 1}\n', "match no kind of suite"), ("x\n", "not JSON")):
        suite.write_text(content)
        with pytest.raises(DataError, match=says):
            runner.invoke(cli, [*arguments, "--suite", str(suite)], catch_exceptions=False)


def test_the_gates_suites_are_looked_for(two_files: Path, tmp_path: Path, write_jsonl) -> None:
    """A name beside the data is enough, as for the gate itself."""
    asked = {"prompt": f"What of {SECRET} pain?", "expect": "escalate"}
    write_jsonl("data/mine.jsonl", [asked])
    gate = ("gate.suites=mine.jsonl", "gate.min_escalation=0.5", "data.train_file=train.jsonl")
    check.run(plan_of(options(two_files, tmp_path, *gate), tmp_path), output=tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_bytes())["contamination"]
    assert found["mine"]["rows_with_the_same_question"] == 1
    assert found["safety"]["prompts_found"] == 0


def test_a_run_keeps_its_audit_and_states_it(
    tough_plan: Make, tmp_path: Path, rows: list[dict[str, str]], write_jsonl
) -> None:
    """The report beside the result, its digest and counts in the manifest, no line in there."""
    write_jsonl("data/train.jsonl", [*rows, rows[0]])
    train.run(tough_plan("a", "training.max_steps=1"))
    run = tmp_path / "out/a"
    stated = read_manifest(run / "final")["data"]
    report = json.loads((run / REPORT).read_bytes())
    assert stated["audit"]["sha256"] == sha256_file(run / REPORT)
    assert stated["audit"]["duplicates"]["train"]["exact"]["rows"] == 1
    assert stated["audit"]["leakage"]["leaked_rows"] == 0
    assert stated["split"]["held_out_rows"] == stated["held_out_from_train_file"]
    assert "lines" not in json.dumps(stated)
    assert report["duplicates"]["train"]["lines"]["questions"] == [
        "train.jsonl:13 repeats train.jsonl:1"
    ]


def test_a_run_refuses_leakage_where_it_is_told_to(
    tough_plan: Make, two_files: Path, tmp_path: Path
) -> None:
    """Before the model is loaded; the report is there to look at."""
    leaky = (f"data.path={two_files}", "data.leakage=fail")
    with pytest.raises(DataError, match=r"data\.leakage is fail"):
        train.run(tough_plan("a", *leaky))
    assert json.loads((tmp_path / "out/a" / REPORT).read_bytes())["leakage"]["leaked_rows"] == 2


def test_the_same_group_stays_on_one_side(
    tough_plan: Make, tmp_path: Path, rows: list[dict[str, str]], write_jsonl
) -> None:
    """Three rows a patient; the key is mathematics, how to take leakage is not."""
    write_jsonl(
        "data/train.jsonl",
        [{**row, "patient": n // 3, "response": f"No {n}."} for n, row in enumerate(rows)],
    )
    plan = tough_plan("a", "data.group_by=patient", "data.eval_fraction=0.25")
    report = tmp_path / "r.json"
    check.run(plan, output=report)
    found = json.loads(report.read_bytes())
    assert found["split"]["held_out_rows"] == 3
    assert found["split"]["components"] == 4
    assert found["leakage"]["leaked_rows"] == 0
    files, sha256 = find_files(plan)
    kept = audit_files(files, sha256, plan.resolved.config)
    assert not kept.entry.made
    assert len(set(kept.rows["train"]["group"].tolist())) == 4


def test_what_is_easily_forgotten_is_told_with_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label that is not learnt, a patient that nothing groups by, an answer that is none."""
    rows = "".join(f"Is {SECRET} {n} well?,{'N/A' if n == 3 else CARE},{n},{n}\n" for n in range(9))
    (tmp_path / "train.csv").write_text(
        f"question,answer,label,patient_id\n{rows}".replace(CARE, f'"{CARE}"')
    )
    check.run(plan_of(options(tmp_path, tmp_path), tmp_path), output=tmp_path / "r.json")
    said = capsys.readouterr().out
    for line in (
        "warning: train: 9 rows have 'label', which is not trained on",
        "warning: train: 9 rows have 'patient_id', and data.group_by names nothing",
        "train: 1 answers that say nothing (N/A or a dash) are trained on, first train.csv:5\n",
        "label in train: 9 rows\n  train.csv:2\n",
        "verdict: warning",
    ):
        assert line in said
    assert SECRET not in said
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert report["notices"]["train"]["patient_id"]["rows"] == 9
    grouped = options(tmp_path, tmp_path, "data.group_by=patient_id")
    check.run(plan_of(grouped, tmp_path))
    assert "'patient_id'" not in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_folders_hold_is_told_as_training_tells_it(
    tough_plan: Make, tmp_path: Path
) -> None:
    """A result and a checkpoint of other inputs, an output of another run; nothing is moved."""
    output = f"training.final_dir={tmp_path / 'copy'}"
    train.run(tough_plan("a", output))
    (tmp_path / "out/b").mkdir()
    newest = max((tmp_path / "out/a").glob("step_*"), key=lambda path: int(path.name[5:]))
    shutil.copytree(newest, tmp_path / "out/b" / newest.name)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for name, *changed in (
        ("a", "training.learning_rate=0.5"),
        ("b", "training.learning_rate=0.5"),
        ("c", "training.learning_rate=0.5", output),
        ("a", f"training.final_dir={tmp_path / 'out/a/copy'}"),
    ):
        plan, told = tough_plan(name, *changed), []
        for act in (check.run, train.run):
            with pytest.raises(ConfigError) as error:
                act(plan)
            told.append(str(error.value))
        assert told[0] == told[1]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path in before}
    assert {path for path in before if path.is_file()} <= after.keys()


def test_a_base_with_eager_attention_has_its_memory_told(
    two_files: Path, tmp_path: Path, base_folder: Path
) -> None:
    """Soft caps ask for it: Gemma 2 and VaultGemma."""
    given = options(two_files, tmp_path, "model.attn_implementation=eager", model=base_folder)
    check.run(plan_of(given, tmp_path), output=tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_bytes())["memory"]["fits"]


def test_memory_that_cannot_be_told_is_no_reason_not_to_train(
    two_files: Path, tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`train` takes such a base too: a warning, and disk is looked at all the same."""

    def asks(*_: object) -> None:
        torch.zeros(1, device="meta").item()

    monkeypatch.setattr(memory_estimate, "nats_at", asks)
    given = options(two_files, tmp_path, model=base_folder)
    check.run(plan_of(given, tmp_path), output=tmp_path / "r.json")
    report = json.loads((tmp_path / "r.json").read_bytes())
    assert any("memory cannot be estimated" in line for line in report["warnings"])
    assert "disk" in report
    assert "memory" not in report


def _eps(base: Path) -> None:
    """Let every number that the base computes be NaN."""
    _set_in_config(base, rms_norm_eps=-9.0)


def _untied(base: Path) -> None:
    """Take the head's weights away, which are no copy of the embeddings here."""
    weights = load_file(base / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})


def _chunked(base: Path) -> None:
    """State what keeps packed rows from being held apart."""
    _set_in_config(base, attention_chunk_size=8)


def _set_in_config(base: Path, **values: object) -> None:
    file = base / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("change", "overrides", "error", "says"),
    [
        (_eps, ("training.packing=true",), DivergedError, "every number that this base computes"),
        (_untied, (), MissingPartError, "1 weights .* are missing, first lm_head.weight"),
        (
            _chunked,
            ("training.packing=true",),
            ConfigError,
            "training.packing: .* would cross from one row",
        ),
    ],
)
def test_a_base_is_asked_what_a_run_would_ask_it(
    change: Callable[[Path], None],
    overrides: tuple[str, ...],
    error: type[MedloraError],
    says: str,
    tough_plan: Make,
    base_folder: Path,
    tmp_path: Path,
) -> None:
    """What only the loaded base can tell ends a check as it ends a run; --no-probe loads none."""
    base = shutil.copytree(base_folder, tmp_path / "base")
    change(base)
    plan = tough_plan("a", f"model.base_model_name={base}", *overrides)
    told = _told(error, lambda: train.run(plan))
    assert re.search(says, told)
    assert _told(error, lambda: check.run(plan)) == told
    check.run(plan, timed=False)


def _told(error: type[MedloraError], act: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


@pytest.mark.parametrize(
    "asked", ["gate.suites=long.jsonl", "training.generation_prompts=long.txt"]
)
def test_prompts_that_are_too_long_are_refused_before_the_base_is_loaded(
    asked: str, tough_plan: Make, data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By check as by train, with file and line: the config alone says how many tokens it takes."""
    folder, long = data_file.parent, "chest " * 90
    (folder / "long.txt").write_text(f"pain\n{long}\n")
    row = {"prompt": long, "expect": "escalate"}
    (folder / "long.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setattr(build, "load_base", None)
    more = ("gate.min_escalation=0.5",) if "gate" in asked else ("training.generation_steps=2",)
    plan = tough_plan("a", asked, *more)
    told = _told(DataError, lambda: train.run(plan))
    assert re.search(r"long\.\w+:\d: a prompt has \d+ tokens, the model takes 64", told)
    for timed in (None, False):
        assert _told(DataError, lambda timed=timed: check.run(plan, timed=timed)) == told


@pytest.mark.parametrize(
    "overrides",
    [
        ("training.engine=huggingface", "training.early_stopping_patience=3"),
        ("privacy.dp.target_epsilon=3", "training.packing=true"),
    ],
)
def test_keys_that_contradict_each_other_are_told_as_training_tells_it(
    overrides: tuple[str, ...], tough_plan: Make, data_file: Path, base_folder: Path, tmp_path: Path
) -> None:
    """From Python, and from the command line, which asks before torch is loaded."""
    plan = tough_plan("a", *overrides)
    told = _told(ConfigError, lambda: train.run(plan))
    assert _told(ConfigError, lambda: check.run(plan)) == told
    command = ["check", "--config", "recommended", "--data", str(data_file)]
    command += ["--model", str(base_folder), "--checkpoints", str(tmp_path / "out")]
    command += [part for one in overrides for part in ("--set", one)]
    assert _told(ConfigError, lambda: cli.main(command, standalone_mode=False)) == told


def test_no_config_is_told_as_training_tells_it(
    data_file: Path, base_folder: Path, tmp_path: Path
) -> None:
    """Once all the rest is said."""
    given = Options(data=str(data_file), model=str(base_folder), checkpoints=str(tmp_path / "out"))
    here = Environment({}, frozenset(), tmp_path / "root")
    told = _told(ConfigError, lambda: resolve(given, here))
    assert "no config is given" in told
    plan = resolve(given, here, needed=("data",))
    assert _told(ConfigError, lambda: check.run(plan, output=tmp_path / "r.json")) == told
    assert json.loads((tmp_path / "r.json").read_bytes())["duplicates"]

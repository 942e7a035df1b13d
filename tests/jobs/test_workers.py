"""Whole runs shared by several real workers: the bits and the metrics of one worker alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from medlora.checkpoint.folder_format import read_manifest
from medlora.distributed.gradient_sum import GradientSum
from medlora.errors import StoppedError
from medlora.evaluate import loss
from medlora.jobs import train
from medlora.plan.resolve_run import Plan
from medlora.runtime import Stop
from medlora.train import loop
from tests.tough import TOUGH, outcome

pytestmark = pytest.mark.slow
MORE = (
    "training.gradient_accumulation_steps=5",  # no multiple of the workers
    "training.generation_steps=3",
    "training.onednn=false",  # which reorders whole weights, and sharded ones are not whole
)


@pytest.fixture
def make_plan(tough_plan) -> Callable[..., Plan]:
    """Make the plan of a run by its name; more overrides may follow."""
    return lambda name, *overrides: tough_plan(name, *MORE, *overrides)


@pytest.fixture
def expected(tmp_path: Path, make_plan) -> tuple[str, list[dict[str, object]]]:
    """One worker, undisturbed."""
    train.run(make_plan("alone"))
    return outcome(tmp_path / "out/alone")


def test_1_2_and_4_workers_end_with_the_same_bits(
    workers, make_plan, expected, tmp_path: Path
) -> None:
    """The adapter and every metric; the manifest says how many there were."""
    for count in (2, 4):
        plan = make_plan(f"by-{count}")
        assert workers(count, lambda team, plan=plan: train.run(plan, team=team)) == [None] * count
        assert outcome(tmp_path / f"out/by-{count}") == expected
        facts = read_manifest(tmp_path / f"out/by-{count}/final")
        assert facts["compute"]["workers"] == count
        assert facts["compute"]["gradient_reduction"] == "tree"


def test_sharded_weights_give_the_same_adapter(
    workers, make_plan, expected, tmp_path: Path
) -> None:
    """FSDP2 on two workers: the same plain file, its factors whole."""
    plan = make_plan("sharded", "training.sharding=full")
    assert workers(2, lambda team: train.run(plan, team=team)) == [None] * 2
    assert outcome(tmp_path / "out/sharded") == expected
    facts = read_manifest(tmp_path / "out/sharded/final")
    assert facts["compute"]["sharding"] == "full"


def test_the_fast_sum_is_close_and_says_so(workers, make_plan, expected, tmp_path: Path) -> None:
    """All-reduce: other bits, the same loss to rounding."""
    plan = make_plan("fast", "training.gradient_reduction=all_reduce")
    assert workers(2, lambda team: train.run(plan, team=team)) == [None] * 2
    _, metrics = outcome(tmp_path / "out/fast")
    assert metrics[-1]["step"] == expected[1][-1]["step"]
    pairs = [
        (a["eval_loss"], b["eval_loss"])
        for a, b in zip(metrics, expected[1], strict=True)
        if a["kind"] == "eval"
    ]
    assert pairs
    for found, wanted in pairs:
        assert found == pytest.approx(wanted, abs=1e-3)


# Where the second of two workers is signalled: owner, function, which call of it.
POINTS = {
    "base evaluation": (loss, "pieces_of", 1),
    "first micro-batch": (loop, "seed_micro_batch", 1),
    "between micro-batches": (loop, "seed_micro_batch", 4),
    "before the gradients are added": (GradientSum, "give", 3),
    "in an evaluation": (loss, "pieces_of", 4),
}


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_signal_to_one_worker_stops_all_at_the_same_step(
    point: tuple[object, str, int],
    workers,
    make_plan,
    expected,
    tmp_path: Path,
) -> None:
    """143 on both, one committed checkpoint; another number of workers ends with the same bits."""
    plan = make_plan("cut")

    def work(team) -> int:
        stop = Stop()
        stop.listen()
        if team.rank == 1:
            _signal_at(*point)
        try:
            train.run(plan, team=team, stop=stop)
        except StoppedError as error:
            return error.exit_code
        return 0

    assert workers(2, work) == [143, 143]
    steps = [path.name for path in (tmp_path / "out/cut").glob("step_*")]
    assert len({name for name in steps if name.startswith("broken")}) == 0
    assert workers(4, lambda team: train.run(plan, team=team)) == [None] * 4
    assert outcome(tmp_path / "out/cut") == expected


def _signal_at(owner: object, name: str, call: int) -> None:
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def test_a_worker_that_dies_costs_no_step(workers, make_plan, expected, tmp_path: Path) -> None:
    """The first worker notices, commits what is done and ends with 143."""
    plan = make_plan("lost")

    def work(team) -> int:
        if team.rank == 1:
            _die_at(7)
        with pytest.raises(StoppedError, match=r"another worker is gone; step_. is committed"):
            train.run(plan, team=team)
        return 143

    assert workers(2, work) == [143, 9]
    assert list((tmp_path / "out/lost").glob("step_*"))
    train.run(plan)
    assert outcome(tmp_path / "out/lost") == expected


def _die_at(call: int) -> None:
    original, calls = loop.seed_micro_batch, []

    def wrapped(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            os._exit(9)
        return original(*args, **kwargs)

    loop.seed_micro_batch = wrapped


# The launcher itself: processes of their own, as a user starts them.


def _begin(plan_options: list[str], **variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **variables}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "medlora", "train", *plan_options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _start(plan_options: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    with _begin(plan_options, **variables) as process:
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _options(tmp_path: Path, data: Path, base: Path) -> list[str]:
    sets = [part for one in (*TOUGH, *MORE, "run_name=launched") for part in ("--set", one)]
    places = ("--data", str(data), "--model", str(base), "--checkpoints", str(tmp_path / "out"))
    return ["--config", "recommended", *places, *sets]


def test_the_launcher_starts_workers_and_ends_as_they_do(
    tmp_path: Path, data_file: Path, base_folder: Path, expected
) -> None:
    """MEDLORA_NPROC alone; every line once; a mistake is told once, with its own code."""
    options = _options(tmp_path, data_file, base_folder)
    done = _start(options, MEDLORA_NPROC="2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("run launched, device cpu") == 1
    assert "warning" not in done.stderr.lower()
    assert outcome(tmp_path / "out/launched") == expected
    again = _start(options, MEDLORA_NPROC="2")
    assert again.returncode == 0
    assert "launched is finished already" in again.stdout

    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a", "response": "b"}\nnot json\n', encoding="utf-8")
    bad = _start(
        [*_options(tmp_path, broken, base_folder), "--set", "run_name=bad"], MEDLORA_NPROC="2"
    )
    assert bad.returncode == 65
    assert bad.stderr.count("broken.jsonl:2") == 1
    assert "Traceback" not in bad.stderr


def test_workers_of_one_machine_are_reached_from_no_other(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """What they listen at, where they meet and where they exchange gradients, is its loopback."""
    options = _options(tmp_path, data_file, base_folder)
    with _begin(options, MEDLORA_NPROC="2", MEDLORA_LOG_INTERVAL_S="0") as process:
        next(line for line in process.stderr if "step 1/" in line)
        launcher = psutil.Process(process.pid)
        family = [launcher, *launcher.children(recursive=True)]
        ends = [end for one in family for end in one.net_connections("inet")]
        process.terminate()
        process.communicate()
    assert len(family) == 3
    listening = {end.laddr.ip for end in ends if end.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_a_machine_that_does_not_come_is_named(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """69 after the time stated, before a model is loaded; also where the first one is missing."""
    options = _options(tmp_path, data_file, base_folder)
    several = {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": "29587",
        "MEDLORA_RDZV_TIMEOUT": "1",
    }
    for rank, missing in (
        ("0", "machine 2 of 2 did not join within 1 s"),
        ("1", "the first machine, at 127.0.0.1:29587, did not answer"),
    ):
        done = _start(options, PET_NODE_RANK=rank, **several)
        assert done.returncode == 69, done.stderr
        assert missing in done.stderr
        assert "MEDLORA_RDZV_TIMEOUT" in done.stderr
        assert "Traceback" not in done.stderr

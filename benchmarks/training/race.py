"""The coordinator: one process a contestant, one step at a time."""

import json
import os
import random
import select
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.training.contestants import Contestant
from benchmarks.training.report import Outcome, Step

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 1800.0  # for one answer; a contestant that is silent for longer has failed
_ROUNDS_FIRST = 3  # of these none is given up for lack of time


class FailedError(Exception):
    """A contestant cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """What all contestants share: options, the folder of rows and base, one for their output."""

    options: dict[str, Any]
    work: Path
    scratch: Path

    def prepare(self) -> dict[str, Any]:
        """Write rows, tokenizer and base in a process of its own; return the rows' facts."""
        self.work.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.training.prepare", str(self.work)]
        done = subprocess.run(  # noqa: S603  (our own module)
            [*command, json.dumps(self.options)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts

    @property
    def environment(self) -> dict[str, str]:
        """Return the same surroundings for everybody.

        Threads of OpenMP sleep while they wait: by default they spin, which on a machine with
        other work costs each contestant several times its own computing.
        """
        unseen = {"CUDA_VISIBLE_DEVICES": ""} if self.options["device"] == "cpu" else {}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MEDLORA_", "OMP_"))}
        return (
            kept
            | unseen
            | {
                "OMP_NUM_THREADS": str(self.options["threads"]),
                "OMP_WAIT_POLICY": "PASSIVE",
                "HF_HUB_OFFLINE": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "PYTHONPATH": str(ROOT),
                "BENCH_STARTED": repr(time.time()),
            }
        )

    def spec(self, name: str, contestant: Contestant) -> str:
        """Return a contestant's task as JSON."""
        options = self.options
        shared = ("device", "dtype", "shape", "vocab", "max_length", "held_out")
        rows = max(1, options["tokens"] // options["max_length"])
        micro = contestant.micro or rows
        folder = self.scratch / name
        folder.mkdir(exist_ok=True)
        task = {
            **asdict(contestant),
            "name": name,
            "micro": micro,
            "accumulation": max(1, 4 * rows // micro),
            "steps": 1 + options["warmup"] + options["rounds"],
            "work": str(self.work),
            "scratch": str(folder),
            **{key: options[key] for key in shared},
        }
        del task["note"], task["env"]
        return json.dumps(task)


class Runner:
    """A contestant's process, waiting for leave."""

    def __init__(self, lineup: Lineup, name: str, contestant: Contestant) -> None:
        self.name = name
        self._log = (lineup.scratch / f"{name}.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "benchmarks.training.worker", lineup.spec(name, contestant)],
            cwd=ROOT,
            env=lineup.environment | contestant.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        """Return the next line.

        Raises:
            FailedError: it said why it cannot go on, died, or stayed silent.
        """
        out = self._process.stdout
        ready, _, _ = select.select([out], [], [], _PATIENCE_S)
        line = out.readline() if ready and out else ""
        if not ready:
            raise FailedError(f"no answer in {_PATIENCE_S:.0f} s")
        if not line:
            raise FailedError(f"ended with {self._process.wait()}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if answer["event"] == "failed":
            raise FailedError(answer["reason"])
        return answer

    def ask(self, command: str) -> dict[str, Any]:
        """Give leave for a step, or end it; return the answer."""
        try:
            print(command, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise FailedError(f"died: {self._last_words()}") from None
        answer = self.hear()
        if answer["event"] != command:
            raise FailedError(f"its loop ended before this step: {answer['event']}")
        return answer

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        self._log.flush()
        lines = Path(self._log.name).read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "no output")[:300]


def race(
    lineup: Lineup,
    field: dict[str, Contestant],
    outcomes: dict[str, Outcome],
    *,
    first_round: int = 0,
) -> None:
    """Run a group: each starts alone and does a first step, then all take turns."""
    runners: dict[str, Runner] = {}
    try:
        for name, contestant in field.items():
            outcome = outcomes.setdefault(name, Outcome(contestant.note))
            _start(Runner(lineup, name, contestant), runners, outcome)
        _rounds(lineup, runners, outcomes, first_round)
        for name in list(runners):
            answer = _try(runners, outcomes[name], name, "end")
            if answer:
                outcomes[name].peak_bytes = answer["peak_bytes"]
                outcomes[name].held_out = answer["held_out"]
                _say(f"{name}: held-out loss {answer['held_out']}")
            if name in runners:
                runners.pop(name).close()
    finally:
        for runner in runners.values():
            runner.close()


def _start(runner: Runner, runners: dict[str, Runner], outcome: Outcome) -> None:
    runners[runner.name] = runner
    try:
        outcome.loaded_bytes = runner.hear()["bytes"]
        first = runner.ask("step")
    except FailedError as error:
        outcome.failed = str(error)
        runners.pop(runner.name).close()
        _say(f"{runner.name}: failed: {error}")
        return
    outcome.first_step_s.append(first["since_start_s"])
    _say(f"{runner.name}: first step after {first['since_start_s']:.1f} s, loss {first['loss']}")


def _rounds(
    lineup: Lineup, runners: dict[str, Runner], outcomes: dict[str, Outcome], first: int
) -> None:
    began, draw = time.monotonic(), random.Random(0)  # noqa: S311  (no secret)
    for number in range(-lineup.options["warmup"], lineup.options["rounds"]):
        late = time.monotonic() - began > 60 * lineup.options["minutes"]
        if late and number >= _ROUNDS_FIRST:
            _say(f"no more time after {number} rounds")
            break
        for name in draw.sample(sorted(runners), len(runners)):
            answer = _try(runners, outcomes[name], name, "step")
            if answer and number >= 0:
                numbers = (answer[key] for key in ("tokens", "targets", "wall_s", "cpu_s", "loss"))
                outcomes[name].steps.append(Step(first + number, *numbers))
        if number >= 0:
            _say(f"round {number + 1}: " + _line(runners, outcomes, first + number))


def _try(
    runners: dict[str, Runner], outcome: Outcome, name: str, command: str
) -> dict[str, Any] | None:
    try:
        return runners[name].ask(command)
    except FailedError as error:
        outcome.failed = str(error)
        runners.pop(name).close()
        _say(f"{name}: failed: {error}")
        return None


def _line(runners: dict[str, Runner], outcomes: dict[str, Outcome], number: int) -> str:
    last = {name: outcomes[name].steps[-1] for name in runners if outcomes[name].steps}
    return ", ".join(
        f"{name} {step.tokens / step.wall_s:.4g}/s"
        for name, step in last.items()
        if step.round == number
    )


def start_alone(lineup: Lineup, name: str, contestant: Contestant) -> float:
    """Return the seconds from the process's start to the end of its first step."""
    runner = Runner(lineup, name, contestant)
    try:
        runner.hear()
        return float(runner.ask("step")["since_start_s"])
    finally:
        runner.close()


def _say(line: str) -> None:
    print(line, flush=True)

"""SIGTERM to a container with two workers, again and again: 143 each time, and the same adapter.

    python tests/torture/containers.py --image medlora --points 9 --seed 1

One run of the demo is stopped at drawn instants, each time in a container of its own, and then
left alone.  The expected adapter is that of one container with one worker.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

_ADAPTER = "demo/final/adapter_model.safetensors"
_UID = 12345
_STOPPED = 143


def main() -> int:
    """Return 0 where every stop ended as it should."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--image", required=True)
    options.add_argument("--points", type=int, default=9)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="medlora-torture-") as name:
        alone, cut = (_folder(Path(name) / one) for one in ("alone", "cut"))
        began = time.monotonic()
        code, said = _wait(_start(chosen.image, alone, 1))
        seconds = time.monotonic() - began
        if code:
            print(f"the container that was left alone ended with {code}:\n{said}")
            return 1
        bad = _stop_often(chosen, draw, cut, seconds)
        code, said = _wait(_start(chosen.image, cut, chosen.workers))
        same = not code and _digest(alone) == _digest(cut)
        print(f"{chosen.points} stops: {bad} bad; then exit {code}, same adapter: {same}")
        if not same:
            print(said)
        return int(bool(bad) or not same)


def _stop_often(
    chosen: argparse.Namespace, draw: random.Random, folder: Path, seconds: float
) -> int:
    bad = 0
    for _ in range(chosen.points):
        container = _start(chosen.image, folder, chosen.workers)
        time.sleep(draw.uniform(0.5, seconds / 2))
        sent = time.monotonic()
        _docker("kill", "--signal", "TERM", container)
        code, said = _wait(container)
        took = time.monotonic() - sent
        steps = sorted(int(path.name.removeprefix("step_")) for path in folder.glob("demo/step_*"))
        told = next((line for line in said.splitlines() if "stopped by" in line), "")
        print(f"exit {code} after {took:.2f} s; checkpoints of steps {steps}; {told}")
        bad += code != _STOPPED or 'File "' in said
    return bad


def _folder(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o770)
    return path


def _start(image: str, checkpoints: Path, workers: int) -> str:
    name = f"medlora-torture-{uuid.uuid4().hex[:8]}"
    _docker(
        *("run", "--detach", "--name", name, "--network", "none", "--read-only"),
        *("--tmpfs", "/tmp", "--user", f"{_UID}:0", "--cap-drop", "ALL"),  # noqa: S108
        *("--env", f"MEDLORA_NPROC={workers}", "--env", "OMP_NUM_THREADS=1"),
        *("--volume", f"{checkpoints}:/checkpoints", image, "train"),
    )
    return name


def _wait(container: str) -> tuple[int, str]:
    """Return the exit code and everything that was printed; the container is gone then."""
    _docker("wait", container)
    state = json.loads(_docker("inspect", container))[0]["State"]
    logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    _docker("rm", container)
    return state["ExitCode"], logs.stdout + logs.stderr


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def _digest(checkpoints: Path) -> str:
    return hashlib.sha256((checkpoints / _ADAPTER).read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())

"""SIGTERM to a container with two workers, again and again: 143 each time, and the same adapter.

    python tests/torture/containers.py --image medlora --points 9 --seed 1

One run of the demo is stopped at drawn instants, each time in a container of its own, and then
left alone.  The expected adapter is that of one container with one worker.
"""

import argparse
import hashlib
import json
import random
import shutil
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
        stops, runs, bad = 0, 0, 0
        while stops < chosen.points:
            container = _start(chosen.image, cut, chosen.workers)
            time.sleep(draw.uniform(0.5, seconds / 2))
            sent = time.monotonic()
            asked = _kill(container)
            code, said = _wait(container)
            if asked:
                stops += 1
                bad += _tell(cut, code, said, time.monotonic() - sent)
            if code == 0:
                runs += 1
                bad += _differs(alone, cut)
        if not runs:
            code, said = _wait(_start(chosen.image, cut, chosen.workers))
            runs += 1
            bad += bool(code) or _differs(alone, cut)
        print(f"{stops} stops in {runs} runs that ended: {bad} bad")
        return int(bool(bad))


def _tell(folder: Path, code: int, said: str, took: float) -> bool:
    """Print how a stopped container ended; return whether it should not have."""
    steps = sorted(int(path.name.removeprefix("step_")) for path in folder.glob("demo/step_*"))
    told = next((line for line in said.splitlines() if "stopped by" in line), "")
    print(f"exit {code} after {took:.2f} s; checkpoints of steps {steps}; {told}")
    return code not in (_STOPPED, 0) or 'File "' in said


def _differs(alone: Path, cut: Path) -> bool:
    """Compare the adapters of a run that has ended, and make room for another."""
    same = _digest(alone) == _digest(cut)
    print(f"a run has ended; the same adapter: {same}")
    shutil.rmtree(cut / "demo")
    return not same


def _kill(container: str) -> bool:
    """Send SIGTERM; tell whether the container was still there."""
    return not subprocess.run(
        ["docker", "kill", "--signal", "TERM", container], capture_output=True, check=False
    ).returncode


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

"""SIGKILL in the middle of uploads, and an empty disk for every attempt: the same adapter.

    python tests/torture/cloud.py --kills 30

Data, base and runs are in a bucket of moto's S3, which runs in a process of its own on loopback.
Most attempts are killed at a call that changes the bucket, the rest at a random instant of their
life.  Each next one finds nothing on its disk: what it goes on from is what is in the bucket.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from harness import Arena, arena, warm_up

_BUCKET = "torture"
_MOST_ATTEMPTS = 60  # of one run; the last is left alone, and must end
_CALLS = ("put", "write", "delete")  # all that changes a bucket in a run
_VARIABLES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def main() -> int:
    """Return 0 where nothing differed and nothing was stuck."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    os.environ.update(_VARIABLES)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        told = (re.search(r"Running on (http://\S+)", line) for line in server.stderr)
        os.environ["AWS_ENDPOINT_URL"] = next(found[1] for found in told if found)
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        try:
            with arena() as place:
                return _torture(place, random.Random(chosen.seed), chosen.kills)
        finally:
            server.terminate()
            drain.wait()


def _torture(place: Arena, draw: random.Random, wanted: int) -> int:
    bucket = _filled(place)
    warm_up()
    began = time.monotonic()
    code, text = place.run(place.command("straight", 0))
    if code != 0:
        print(f"the run that was left alone ended with {code}:\n{text}")
        return 1
    seconds = 2 * (time.monotonic() - began)
    expected = place.outcome("straight")
    kills = {"in a call": 0, "at random": 0}
    runs, differing, stuck, fetched = 0, 0, 0, 0
    while sum(kills.values()) < wanted:
        name = f"cut-{runs}"
        for attempt in range(_MOST_ATTEMPTS):
            alone = sum(kills.values()) >= wanted or attempt == _MOST_ATTEMPTS - 1
            how = "" if alone else draw.choice(("in a call", "in a call", "at random"))
            code, text = _attempt(place, name, draw, how, seconds)
            fetched += "going on from step" in text
            if code != -signal.SIGKILL:
                break
            kills[how] += 1
        runs += 1
        if code != 0:
            stuck += 1
            print(f"{name}: attempt {attempt + 1} ended with {code}:\n{text}")
        elif _outcome(place, bucket, name) != expected:
            differing += 1
            print(f"{name}: another outcome after {attempt} kills")
    print(
        f"{sum(kills.values())} kills ({kills['in a call']} in a call that changes the bucket) in "
        f"{runs} runs, {fetched} times on an empty disk from the bucket's newest: "
        f"{differing} differing, {stuck} stuck"
    )
    return int(bool(differing or stuck))


def _filled(place: Arena) -> Any:
    """Return a client of the service whose bucket has data and base.

    boto3, which starts no thread for this: attempts are forked from this very process.
    """
    service = boto3.client("s3", region_name="us-east-1")
    service.create_bucket(Bucket=_BUCKET)
    base = Path(str(files("medlora"))) / "demo/base"
    for file in (place.root / "train.jsonl", *base.iterdir()):
        folder = "base" if file.parent == base else "data"
        service.put_object(Bucket=_BUCKET, Key=f"{folder}/{file.name}", Body=file.read_bytes())
    return service


def _outcome(place: Arena, bucket: Any, name: str) -> object:
    """Return what is in the bucket of a run, put where the harness looks for it."""
    run = place.root / "out" / name
    (run / "final").mkdir(parents=True)
    for file in ("metrics.jsonl", "final/adapter_model.safetensors"):
        got = bucket.get_object(Bucket=_BUCKET, Key=f"runs/{name}/{file}")
        (run / file).write_bytes(got["Body"].read())
    return place.outcome(name)


def _attempt(
    place: Arena, name: str, draw: random.Random, how: str, seconds: float
) -> tuple[int, str]:
    """Run once on an empty disk, killed at one of the two kinds of instants, or left alone."""
    disk = place.root / "disk"
    where = {"--data": "data", "--model": "base", "--checkpoints": "runs"}
    command = place.command(name, 0)
    for option, folder in where.items():
        command[command.index(option) + 1] = f"s3://{_BUCKET}/{folder}"
    call = draw.randint(1, 60) if how == "in a call" else 0
    process = place.start(command, partial(_prepare, disk, call, draw.random() < 0.5))
    if how == "at random":
        time.sleep(draw.uniform(0, seconds) * draw.choice((0.3, 0.6, 1.0)))
        os.kill(process, signal.SIGKILL)
    ended = place.finish(process)
    shutil.rmtree(disk, ignore_errors=True)
    return ended


def _prepare(disk: Path, call: int, before: bool) -> None:
    """In the forked process: name its disk, and let it die at its n-th call, if any."""
    os.environ["MEDLORA_WORK"] = str(disk)
    from medlora.storage.store import Store

    seen = count(1)

    def wrap(original: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object, **more: object) -> object:
            dies = next(seen) == call
            if dies and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **more)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for name in _CALLS:
        setattr(Store, name, wrap(getattr(Store, name)))


if __name__ == "__main__":
    sys.exit(main())

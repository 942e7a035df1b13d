"""How fast rows become tokens, how much memory that takes, and what a second start costs.

    python -m benchmarks.prepare --folder DIR [--rows 1000000]

Four processes in turn, on the rows of `workload.py`: the bare tokenizer over every second
thousand of the rendered texts; a first preparation; the bare tokenizer over the other thousands,
so that a machine that gets busier or idler favours neither; a second start.  Then one letter of
a row is changed.

Prints JSON.  The bare tokenizer's seconds are those within `encode_batch` alone, on all CPUs; a
preparation's are those from the digest of the file to the first row in hand.  Memory is the sum
of the proportional set sizes of all processes of a preparation, sampled twice a second.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from benchmarks import workload
from benchmarks.training.show import commit
from medlora.config import RunConfig, from_mapping
from medlora.data.cache import key_of
from medlora.data.chat.chat import Chat
from medlora.data.data_files import DataFiles
from medlora.data.formats.joined_files import Source
from medlora.files import sha256_file
from medlora.inputs.chat import load_chat
from medlora.inputs.prepare import TOKENS, InputFiles, prepare
from medlora.logs import set_up
from medlora.runtime.machine import usable_cpus

_SEED = 0
_CHUNK = 1000
_SAMPLE_S = 0.5


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--part", choices=sorted(_PARTS), help="what one of the processes does")
    chosen = options.parse_args()
    if chosen.part:
        print(json.dumps(_PARTS[chosen.part](chosen.folder)))
        return 0
    _lay_out(chosen.folder, chosen.rows)
    print(json.dumps(_measure(chosen.folder, chosen.rows), indent=2))
    return 0


def _lay_out(folder: Path, rows: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    workload.write_rows(_data(folder), rows, _SEED)
    base = folder / "base"
    workload.make_tokenizer(_data(folder)).save_pretrained(base)
    (base / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 16384}')


def _data(folder: Path) -> Path:
    return folder / "train.jsonl"


def _measure(folder: Path, rows: int) -> dict[str, Any]:
    even, _ = _run(folder, "raw-even")
    first, first_bytes = _run(folder, "prepare")
    odd, _ = _run(folder, "raw-odd")
    second, second_bytes = _run(folder, "prepare")
    raw = {name: even[name] + odd[name] for name in even}
    size = sum(path.stat().st_size for path in (folder / "out" / TOKENS).rglob("*"))
    noticed = _edit(folder)
    return {
        "rows": rows,
        "bytes": _data(folder).stat().st_size,
        "tokens": first["tokens"],
        "tokenizer_s": round(raw["s"], 1),
        "first_preparation_s": round(first["s"], 1),
        "share_of_the_tokenizers_throughput": round(raw["s"] / first["s"], 3),
        "tokenizer_cpu_s": round(raw["cpu_s"], 1),
        "first_preparation_cpu_s": round(first["cpu_s"], 1),
        "tokenizer_tokens_per_s": round(raw["tokens"] / raw["s"]),
        "first_preparation_tokens_per_s": round(first["tokens"] / first["s"]),
        "same_tokens": raw["tokens"] == first["tokens"],
        "first_preparation_peak_bytes": first_bytes,
        "second_start_s": round(second["s"], 1),
        "second_start_peak_bytes": second_bytes,
        "second_start_from_cache": second["cached"],
        "cache_bytes": size,
        "edited_row_noticed": noticed,
        "versions": {name: version(name) for name in ("tokenizers", "transformers", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": usable_cpus(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "commit": commit(),
    }


def _run(folder: Path, part: str) -> tuple[dict[str, Any], int]:
    """Run a part in a process of its own; return what it says and its peak of memory in bytes."""
    command = [sys.executable, "-m", "benchmarks.prepare", "--folder", str(folder), "--part", part]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:  # noqa: S603
        peak, over = [0], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peak, over))
        watcher.start()
        said, _ = process.communicate()
        over.set()
        watcher.join()
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(said), peak[0]


def _watch(process: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(_SAMPLE_S):
        peak[0] = max(peak[0], sum(map(_own_bytes, _family(process))))


def _family(process: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield process
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        for child in _text(path).split():
            yield from _family(int(child))


def _own_bytes(process: int) -> int:
    """Return the proportional set size: shared pages are divided among those who share them."""
    lines = _text(Path(f"/proc/{process}/smaps_rollup")).splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def _raw(folder: Path, first: int) -> dict[str, Any]:
    tokenizer = _chat(folder).tokenizer
    backend, seconds, cpu, tokens = tokenizer.backend_tokenizer, 0.0, 0.0, 0
    with _data(folder).open(encoding="utf-8") as stream:
        for number, lines in enumerate(iter(lambda: list(islice(stream, _CHUNK)), [])):
            if number % 2 != first:
                continue
            texts = [_rendered(tokenizer, json.loads(line)) for line in lines]
            began, began_cpu = time.monotonic(), _cpu_s()
            encodings = backend.encode_batch(texts, add_special_tokens=False)
            seconds += time.monotonic() - began
            cpu += _cpu_s() - began_cpu
            tokens += sum(map(len, encodings))
    return {"s": seconds, "cpu_s": cpu, "tokens": tokens}


def _rendered(tokenizer: PreTrainedTokenizerBase, row: dict[str, str]) -> str:
    turns = [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "content": row["response"]},
    ]
    return tokenizer.apply_chat_template(turns, tokenize=False)


def _prepare(folder: Path) -> dict[str, Any]:
    set_up()
    cached = _known(folder)
    began, began_cpu, file = time.monotonic(), _cpu_s(), _data(folder)
    input_files = InputFiles(
        folder / "base", DataFiles(Source.of(file), None), {"train": sha256_file(file)}
    )
    prepared = prepare(input_files, _config(folder))
    prepared.train[0]
    seconds, cpu = time.monotonic() - began, _cpu_s() - began_cpu
    tokens = prepared.train.tokens + prepared.evaluation.tokens
    return {"s": seconds, "cpu_s": cpu, "tokens": tokens, "cached": cached}


def _known(folder: Path) -> bool:
    """Tell whether the tokens of the file, as it is now, are in the cache."""
    digest = sha256_file(_data(folder))
    key = key_of(digest, ["jsonl"], _chat(folder), _config(folder).data)
    return (folder / "out" / TOKENS / key).is_dir()


def _edit(folder: Path) -> bool:
    """Change a letter in the middle of the file; tell whether its tokens count as unknown now."""
    known = _known(folder)
    with _data(folder).open("r+b") as stream:
        stream.seek(_data(folder).stat().st_size // 2)
        stream.readline()
        start = stream.tell() + len(b'{"prompt": "')
        stream.seek(start)
        letter = stream.read(1)
        stream.seek(start)
        stream.write(b"Q" if letter != b"Q" else b"R")
    return known and not _known(folder)


def _config(folder: Path) -> RunConfig:
    data = {"eval_fraction": 0.05, "max_length": 16_384}  # over all rows: nothing is cut
    return from_mapping({"training": {"output_dir": str(folder / "out")}, "data": data})


def _chat(folder: Path) -> Chat:
    return load_chat(folder / "base", _config(folder).data)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


_PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "raw-even": lambda folder: _raw(folder, 0),
    "raw-odd": lambda folder: _raw(folder, 1),
    "prepare": _prepare,
}


if __name__ == "__main__":
    sys.exit(main())

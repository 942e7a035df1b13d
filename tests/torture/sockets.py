"""Every socket that whole runs make, compiled code included, as the kernel sees them.

    python tests/torture/sockets.py

`strace` follows train, check, evaluate, generate, merge and others from their first to their last
system call, in all their threads and children.  Nothing may be connected, bound or sent, but to
the kernel itself, which is asked for this machine's interfaces, and to the daemon that libc asks
for names of users; there must be no socket but those, and one that is never connected, by which
the kernel is asked for an address.  SECURITY.md names them.

Exit 77: there is no strace, or it may not be used here.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path

from harness import Arena, arena

# What may leave a process or bring something in; io_uring makes sockets without the others.
_CALLS = "network,io_uring_setup,io_uring_enter"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_SOCKETS = ("AF_UNIX, ", "AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, IPPROTO_IP", "AF_NETLINK, SOCK_RAW")
_TARGETS = ("sa_family=AF_NETLINK, nl_pid=0", 'sun_path="/var/run/nscd/socket"')
_MOVES = ("connect", "bind", "sendto", "sendmsg", "sendmmsg", "accept", "accept4", "listen")


def main() -> int:
    """Return 0 where nothing was found that should not be."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--commands", type=int, default=99, help="the first n of them")
    chosen = options.parse_args()
    if not shutil.which("strace"):
        print("skipped: there is no strace here")
        return 77
    bad = 0
    with arena() as place:
        for name, arguments in islice(_commands(place), chosen.commands):
            trace = place.root / f"trace-{name}"
            code, text = _run(trace, arguments)
            if not trace.exists():
                print(f"skipped: strace cannot be used here: {text.strip()[:200]}")
                return 77
            calls, found = _read(trace.read_text(errors="replace"))
            told = ", ".join(f"{count} x {call}" for call, count in sorted(calls.items()))
            print(f"{name}: exit {code}; {told or 'no such call'}")
            for line in found:
                print(f"  {line}")
            bad += bool(found) or code != 0
            if code:
                print(text)
    print(f"{bad} commands did what they should not")
    return int(bool(bad))


def _run(trace: Path, arguments: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-e", f"trace={_CALLS}", "-e", "signal=none"),
            *("-o", str(trace), sys.executable, "-m", "medlora", *arguments),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(str(files("medlora"))).parent)},
    )
    return done.returncode, done.stdout + done.stderr


def _commands(place: Arena) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and a command line for each command that touches data or a model."""
    base = str(Path(str(files("medlora"))) / "demo/base")
    data, final = str(place.root / "train.jsonl"), str(place.root / "out/run/final")
    short = ("--set", "training.num_train_epochs=1", "--set", "training.generation_steps=2")
    yield "train", place.command("run", 0, *short)
    yield (
        "check",
        [
            *("check", "--config", "recommended", "--data", data, "--model", base),
            *("--checkpoints", str(place.root / "out"), "--set", "run_name=other", "--probe"),
        ],
    )
    asked = ["--suite", data, "--limit", "4", "--max-new-tokens", "8"]
    output = ["--output", str(place.root / "report.json")]
    yield "evaluate", ["evaluate", "--model", base, "--adapter", final, *asked, *output]
    yield "generate", ["generate", final, "--prompt", "What is a stroke?", "--max-new-tokens", "8"]
    yield "merge", ["merge", final, str(place.root / "merged")]
    yield "verify", ["verify", final]
    yield "scan", ["scan", data]
    yield "measure", ["audit-memory", "measure", final, "--rows", "4"]
    yield "report", ["report", final]


def _read(trace: str) -> tuple[Counter[str], list[str]]:
    """Return how often each call was made, and the lines that should not be there."""
    calls, found = Counter[str](), []
    for line in trace.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        call, rest = match.groups()
        first = re.split(r"[|)]", rest)[0]
        calls[f"{call}({first})" if call in ("socket", "socketpair") else call] += 1
        if _is_bad(call, rest):
            found.append(line.strip())
    return calls, found


def _is_bad(call: str, rest: str) -> bool:
    if call.startswith("io_uring"):
        return True
    if call in ("socket", "socketpair"):
        refused = rest.rstrip().endswith(("(Permission denied)", "(Operation not permitted)"))
        return not (refused or rest.startswith(_SOCKETS))
    return call in _MOVES and not any(target in rest for target in _TARGETS)


if __name__ == "__main__":
    sys.exit(main())

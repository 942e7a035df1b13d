"""Nothing leaves this machine unless somebody asked for it: real attempts, in real processes."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from medlora.errors import NetworkRefusedError
from medlora.runtime import Environment
from medlora.runtime.network_policy import _Guard, allowed_hosts

# Each way that a library could call home by; addresses are of the blocks for documentation.
ATTEMPTS = """
import json, socket, subprocess, sys, urllib.request
from medlora import logs
from medlora.runtime import allow_hosts, close_network, seal_network, snapshot

logs.set_up()
close_network(snapshot())
if "--bucket" in sys.argv:
    allow_hosts([".amazonaws.example", "192.0.2.1"])
elif "--loopback" not in sys.argv:
    seal_network(snapshot())
server = None
if "--loopback" in sys.argv:
    server = socket.create_server(("127.0.0.1", 0))
ways = {
    "https": lambda: urllib.request.urlopen("https://telemetry.example/", timeout=1),
    "tcp": lambda: socket.create_connection(("192.0.2.1", 443), 0.1),
    "tcp6": lambda: socket.create_connection(("2001:db8::1", 443), 0.1),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 1)),
    "mapped": lambda: socket.create_connection(("::ffff:192.0.2.1", 1), 0.1),
    "name": lambda: socket.gethostbyname("telemetry.example"),
    "reverse": lambda: socket.gethostbyaddr("192.0.2.1"),
    "raw": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
}
if server:
    ways["loopback"] = lambda: socket.create_connection(server.getsockname(), 1).close()
ways["local"] = lambda: socket.getaddrinfo("localhost", 80)
ways["own name"] = lambda: socket.getaddrinfo(socket.gethostname(), None)
ended = {}
for name, way in ways.items():
    try:
        way()
        ended[name] = "done"
    except OSError as error:
        reason = getattr(error, "reason", error)
        ended[name] = type(reason).__name__
print(json.dumps(ended))
"""


def attempts(*arguments: str, **environ: str) -> tuple[dict[str, str], str]:
    """Return how each attempt ended, and what was said of it."""
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environ},
    )
    return json.loads(done.stdout), done.stderr


def test_every_way_out_is_refused_and_named() -> None:
    """By name or by number, TCP or UDP, either protocol; each host is named once."""
    ended, said = attempts()
    refused = {name for name, end in ended.items() if end == "NetworkRefusedError"}
    assert refused == {"https", "tcp", "tcp6", "udp", "mapped", "name", "reverse", "raw"}
    assert said.count("network: __main__ tried to reach telemetry.example and was refused") == 1
    assert ended["local"] == "done"


def test_loopback_stays_open_where_workers_meet() -> None:
    """Several workers on a machine: connections to itself work, all others are named by address."""
    ended, said = attempts("--loopback")
    assert {ended[name] for name in ("loopback", "local")} == {"done"}
    assert {ended[name] for name in ("tcp", "tcp6", "udp", "mapped")} == {"NetworkRefusedError"}
    assert "tried to reach 192.0.2.1, port 443 and was refused" in said


def test_a_bucket_opens_the_way_to_its_service_alone() -> None:
    """Names that end as the service's, and addresses that it names; nobody else."""
    ended, _ = attempts("--bucket")
    refused = {name for name, end in ended.items() if end == "NetworkRefusedError"}
    assert refused == {"https", "tcp6", "name", "raw"}
    assert ended["tcp"] == "TimeoutError" or "Error" in ended["tcp"]  # it was tried


def test_answers_for_a_services_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up of an allowed name opens the addresses that it was answered with."""
    rows = [(socket.AF_INET, 1, 6, "", ("192.0.2.77", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    guard = _Guard(())
    guard.look("medlora.network.allow", ((".amazonaws.example",),))
    with socket.socket() as one:
        with pytest.raises(NetworkRefusedError):
            guard.look("socket.connect", (one, ("192.0.2.77", 443)))
        socket.getaddrinfo("telemetry.example", 443)
        with pytest.raises(NetworkRefusedError):
            guard.look("socket.connect", (one, ("192.0.2.77", 443)))
        socket.getaddrinfo("bucket.s3.amazonaws.example", 443)
        guard.look("socket.connect", (one, ("192.0.2.77", 443)))


SEALED = """
import ctypes, errno, json, platform, subprocess, sys
from medlora.runtime import close_network, seal_network, snapshot
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (41, 53), "aarch64": (198, 199)}[platform.machine()]

def call(*arguments):
    ctypes.set_errno(0)
    got = libc.syscall(*(ctypes.c_long(one) for one in arguments))
    return "made" if got >= 0 else errno.errorcode.get(ctypes.get_errno())

close_network(snapshot())
seal_network(snapshot())
pair = (ctypes.c_int * 2)()
place = ctypes.addressof(pair)
ended = {
    "families": [call(numbers[0], family, 1, 0) for family in range(64)],
    "high half": call(numbers[0], 2 | 1 << 32, 1, 0),  # the kernel takes the low one alone
    "pair": call(numbers[1], 1, 1, 0, place),
    "other pair": call(numbers[1], 30, 5, 0, place),
    "io_uring": [call(number, 1, 0, 0, 0, 0, 0) for number in (425, 426, 427)],
    "x32": call(numbers[0] | 1 << 30, 2, 1, 0),
}
code = "import socket; socket.socket()"
ended["child"] = subprocess.run([sys.executable, "-c", code], capture_output=True).returncode
print(json.dumps(ended))
"""
_FILTERED = pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="no filter for it"
)


@_FILTERED
def test_compiled_code_and_children_make_no_sockets_where_a_run_is_alone() -> None:
    """Of all families that there are or will be, the local one alone; io_uring not at all."""
    done = subprocess.run(
        [sys.executable, "-c", SEALED], capture_output=True, text=True, check=True
    )
    ended = json.loads(done.stdout)
    assert ended.pop("families") == ["EACCES", "made", *["EACCES"] * 62]
    assert (ended.pop("pair"), ended.pop("child")) == ("made", 1)
    assert ended.pop("io_uring") == ["EACCES"] * 3
    assert set(ended.values()) == {"EACCES"}, ended


INNER = """
import ctypes, sys, types
from medlora import cli
sys.argv = ["medlora", *sys.argv[1:]]

class Stand(types.ModuleType):
    def __getattr__(self, name):
        def tell(*_, **__):
            if name in ("run", "launch"):
                print("sealed" if ctypes.CDLL(None).socket(2, 1, 0) < 0 else "open")
        return tell

for name in ("audit_memory", "check", "evaluate", "scan", "train", "verify"):
    sys.modules["medlora.jobs." + name] = Stand(name)
for name in ("join", "launch"):
    sys.modules["medlora.distributed." + name] = Stand(name)
cli.main()
"""


def sealed(*arguments: str, **environ: str) -> str:
    """Return whether the job of a command line could make a socket, the job itself left out."""
    done = subprocess.run(
        [sys.executable, "-c", INNER, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
    )
    assert done.stdout, done.stderr
    return done.stdout.strip()


@_FILTERED
def test_the_seal_does_not_hang_on_words_of_the_command_line(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """A folder called train, evaluate or check is a folder; a run alone is sealed once it begins.

    Several workers meet where a command starts them; a host that somebody asked for is reached.
    """
    assert sealed("verify", "train") == "sealed"
    assert sealed("scan", "check") == "sealed"
    assert sealed("audit-memory", "measure", "train") == "sealed"
    assert sealed("evaluate", "--model", str(base_folder), "--suite", "safety") == "sealed"
    given = ("--data", str(data_file), "--model", str(base_folder))
    given += ("--config", "recommended", "--checkpoints", str(tmp_path / "out"))
    assert sealed("train", *given) == "sealed"
    assert sealed("train", *given, MEDLORA_NPROC="2") == "open"
    assert sealed("check", *given, MEDLORA_NPROC="2") == "sealed"
    assert sealed("verify", "run", MEDLORA_NETWORK="192.0.2.1") == "open"


def test_the_command_line_closes_it_before_anything_else(tmp_path: Path) -> None:
    """A library that calls home while it is imported fails, is named, and the command ends well."""
    (tmp_path / "nosy.py").write_text(
        "import urllib.request\n"
        "try:\n    urllib.request.urlopen('http://telemetry.example/')\n"
        "except OSError:\n    pass\n"
    )
    code = (
        "import sys\n"
        "from medlora import cli\n"
        "from medlora.jobs import version\n"
        "def facts():\n    import nosy\n    return {'libraries': {}, 'image': None, 'medlora': 1}\n"
        "version.facts = facts\n"
        "sys.argv = ['medlora', 'version']\n"
        "cli.main()\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env
    )
    assert (done.returncode, done.stdout) == (0, "medlora  1\n"), done.stderr
    assert "warning: network: nosy tried to reach telemetry.example and was refused" in done.stderr


def test_a_refusal_that_nobody_handles_ends_with_69() -> None:
    """As a part that is missing, not as a bug, and not as a file that may not be read."""
    code = (
        "import sys, socket\n"
        "from medlora import cli\n"
        "from medlora.jobs import version\n"
        "version.facts = lambda: socket.getaddrinfo('telemetry.example', 443)\n"
        "sys.argv = ['medlora', 'version']\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == NetworkRefusedError.exit_code == 69
    assert "Traceback" not in done.stderr
    assert "add the host to MEDLORA_NETWORK" in done.stderr


@pytest.mark.parametrize(
    ("variables", "hosts"),
    [
        ({}, ("10.0.0.5", "127.0.0.1")),
        ({"MEDLORA_NETWORK": "any"}, None),
        ({"MEDLORA_NETWORK": " Tracker.Local, 192.0.2.7"}, ("tracker.local", "192.0.2.7")),
        (
            {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "trainer-0"},
            ("10.0.0.5", "trainer-0"),
        ),
        ({"RANK": "1"}, ("10.0.0.5",)),  # contradicts itself, which the command tells
    ],
)
def test_hosts_come_from_the_variable_and_the_meeting(
    variables: dict[str, str], hosts: tuple[str, ...] | None, tmp_path: Path
) -> None:
    """Nobody asked: this machine; several machines: the one where they meet."""
    found = allowed_hosts(Environment(variables, frozenset(), tmp_path, address="10.0.0.5"))
    assert (found is None) if hosts is None else (found and set(hosts) <= set(found))


def test_the_meeting_may_be_reached_by_its_name_and_its_address() -> None:
    """What its name leads to counts as the name does."""
    guard = _Guard((socket.gethostname(), "192.0.2.9"))
    with socket.socket() as one:
        guard.look("socket.connect", (one, ("192.0.2.9", 29500)))
        guard.look("socket.connect", (one, (socket.gethostbyname(socket.gethostname()), 1)))
        guard.look("socket.getaddrinfo", (socket.gethostname().encode(), 1, 0, 0, 0))
        with pytest.raises(NetworkRefusedError):
            guard.look("socket.connect", (one, ("192.0.2.10", 29500)))

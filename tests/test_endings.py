"""Every ending has a name: real processes, real signals, and no input that ends with 70."""

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medlora.config import Setting, load
from medlora.errors import (
    ConfigError,
    DataError,
    MissingPartError,
    OutOfMemoryError,
    StorageError,
)
from medlora.runtime.library_errors import as_ours, ran_out_of_memory
from medlora.runtime.memory import container_limit

ROOT = Path(__file__).parents[1]
CLEAN = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}

NEVER = (  # whether they are there may be asked; a module of theirs is not wanted
    "class Never:\n"
    "    def find_spec(self, name, *_):\n"
    "        assert not name.startswith(('torch.', 'transformers.'))\n"
    "sys.meta_path.insert(0, Never())\n"
)


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a clean environment."""
    env = {**CLEAN, **options.pop("environ", {})}  # type: ignore[dict-item]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-m", "medlora", *arguments],
        text=True,
        check=False,
        env=env,
        timeout=60,
        **options,  # type: ignore[call-overload]
    )


def within(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line after some Python that changes a part of it."""
    start = f"import sys\nsys.argv = ['medlora', *{list(arguments)!r}]\n"
    return subprocess.run(
        [sys.executable, "-c", f"{start}{code}\nfrom medlora.cli import main\nmain()\n"],
        capture_output=True,
        text=True,
        check=False,
        env=CLEAN,
        **options,  # type: ignore[call-overload]
    )


def one_error(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Return what was said, which is one error with a fix, and no traceback."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("error: ") == 1, done.stderr
    assert done.stderr.count("  fix: ") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


# --- what is closed, full or gone


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_nothing(closed: tuple[int, ...]) -> None:
    """`medlora version >&-` ends with 0, and nothing of it goes into a file that is opened."""
    done = run("version", preexec_fn=lambda: [os.close(one) for one in closed])
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in (done.stderr or "")


def test_a_reader_that_leaves_ends_nothing(tmp_path: Path) -> None:
    """Lines that nobody reads any more go nowhere, and the exit code is that of the work."""
    file = tmp_path / "a.jsonl"
    file.write_text('{"prompt": "MRN 12345678", "response": "x"}\n' * 50)
    for stream in ("stdout", "stderr"):
        ours, theirs = os.pipe()
        os.close(ours)
        done = run("scan", str(file), **{stream: theirs})
        os.close(theirs)
        assert done.returncode == 77, done.stderr
        assert "Traceback" not in (done.stderr or "")


def test_output_that_does_not_fit_ends_with_74() -> None:
    """A full disk behind standard output loses what was asked for: no success."""
    with Path("/dev/full").open("w") as full:
        done = run("version", stdout=full)
    assert "No space left on device" in one_error(done, 74)


def test_a_reader_that_is_slow_is_waited_for() -> None:
    """A pipe that somebody has set not to wait takes all of it all the same."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    code = "from medlora.runtime.streams import keep_streams\nkeep_streams()\nprint('x' * 300_000)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs) as process:
        os.close(theirs)
        with os.fdopen(ours, "rb") as stream:
            assert len(stream.read()) == 300_001
        assert process.wait() == 0


def test_no_folder_for_temporary_files_is_told_before_torch(
    tmp_path: Path, data_file: Path
) -> None:
    """74 with the flag that helps, from every command that needs torch; not from others."""
    code = (
        f"{NEVER}import tempfile\n"
        f"tempfile._candidate_tempdir_list = lambda: [{str(tmp_path / 'none')!r}]\n"
    )
    for arguments in (("train",), ("check", "--data", str(data_file)), ("merge", "a", "b")):
        said = one_error(within(code, *arguments), 74)
        assert "--tmpfs /tmp:mode=1777" in said
    assert within(code, "scan", str(data_file)).returncode == 0
    told = within(code, "doctor")  # it says so, for it is asked what is wrong
    assert (told.returncode, told.stderr) == (0, "")
    assert "no folder for temporary files" in told.stdout


# --- signals


def test_a_second_hangup_is_no_second_request(tmp_path: Path) -> None:
    """The kernel and the shell both send one; SIGTERM after SIGTERM ends at once."""
    code = (
        "import os, signal, sys\n"
        "from medlora.runtime.stop import Stop\n"
        "stop = Stop()\nstop.listen()\n"
        "with stop.gently():\n"
        "    for name in sys.argv[1:]:\n"
        "        signal.raise_signal(getattr(signal, name))\n"
        "print(stop.requested)\n"
    )

    def ended(*signals: str, **options: object) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *signals],
            capture_output=True,
            text=True,
            check=False,
            **options,  # type: ignore[call-overload]
        )
        return done.returncode, done.stdout.strip()

    assert ended("SIGHUP", "SIGHUP") == (0, "SIGHUP")
    assert ended("SIGTERM", "SIGHUP") == (0, "SIGTERM")
    assert ended("SIGTERM", "SIGTERM") == (143, "")
    ignored = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    assert ended("SIGHUP", **ignored) == (0, "None")  # as under nohup


def test_a_worker_whose_launcher_is_gone_ends_before_anything_slow() -> None:
    """The launcher was killed while its worker started: nothing is loaded."""
    done = run("train", environ={"TORCHELASTIC_USE_AGENT_STORE": "True", "_MEDLORA_LAUNCHER": "1"})
    assert done.returncode == 143
    assert done.stderr == "stopped by SIGTERM\n"


def test_a_worker_ends_with_its_launcher_while_it_loads() -> None:
    """The kernel tells it, whatever it does just then: no process is left."""
    worker = (
        "import sys, time\n"
        "from medlora import cli\n"
        "from medlora.jobs import version\n"
        "def wait():\n    print('loads', flush=True)\n    time.sleep(60)\n"
        "version.as_text = wait\n"
        "sys.argv = ['medlora', 'version']\n"
        "cli.main()\n"
    )
    launcher = (
        "import os, subprocess, sys, time\n"
        "env = {**os.environ, 'TORCHELASTIC_USE_AGENT_STORE': 'True',\n"
        "       '_MEDLORA_LAUNCHER': str(os.getpid())}\n"
        f"subprocess.Popen([sys.executable, '-c', {worker!r}], env=env)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launcher], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loads\n"
        process.kill()
        # Its end of the pipe is closed once the last process that has it is gone.
        assert process.stdout.read() == b""


# --- what was given


@pytest.fixture
def odd_files(tmp_path: Path) -> dict[str, Path]:
    """What is no file, and a file that is no config."""
    os.mkfifo(tmp_path / "pipe.yaml")
    one = socket.socket(socket.AF_UNIX)
    os.chdir(tmp_path)  # such a path may have 107 characters
    one.bind("socket.yaml")
    one.close()
    (tmp_path / "large.yaml").write_bytes(b"#" * (1 << 18) + b"\n")
    return {
        "is a pipe": tmp_path / "pipe.yaml",
        "is a socket": tmp_path / "socket.yaml",
        "is a device": Path("/dev/zero"),
        "has 262,145 bytes": tmp_path / "large.yaml",
    }


def test_a_config_that_is_no_file_is_refused_at_once(odd_files: dict[str, Path]) -> None:
    """78 for a pipe, a socket, a device, and for what is too large to be one; nothing waits."""
    for problem, path in odd_files.items():
        assert problem in one_error(run("config", "--config", str(path)), 78)
    folder = odd_files["is a pipe"].parent / "folder"
    folder.mkdir()
    os.mkfifo(folder / "config.yaml")
    assert "is a pipe" in one_error(run("config", "--config", str(folder)), 78)


def test_a_file_of_something_else_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of keys that are none of ours, not each is compared with every key."""
    looks: list[object] = []
    monkeypatch.setattr("medlora.config.resolved.nearest_key", looks.append)
    settings = (Setting((f"key_{n}",), n, f"file:{n}") for n in range(10_000))
    with pytest.raises(ConfigError, match="10000 problems"):
        load(settings)
    assert len(looks) == 200


def test_a_value_that_is_nested_too_deeply_is_a_wrong_value() -> None:
    """Not data that cannot be used."""
    nested = run("config", "--set", f"lora.r={'[' * 5000}")
    assert "lora.r must be" in one_error(nested, 78)


def test_resuming_needs_no_option() -> None:
    """The answer is that it goes on by itself, and never the option that starts over."""
    for option in (["--resume"], ["--resume", "--fresh"], ["--resume-from-checkpoint=x"]):
        done = run("train", *option)
        assert done.returncode == 2
        assert "resumes from the newest checkpoint by itself" in done.stderr
        assert "Did you mean" not in done.stderr
    assert "--resume" not in run("train", "--help").stdout


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MEDLORA_LEARNING_RATE", "1", "did you mean MEDLORA_TRAINING__LEARNING_RATE?"),
        ("MEDLORA_EPOCHS", "1", "did you mean MEDLORA_TRAINING__NUM_TRAIN_EPOCHS?"),
        ("MEDLORA_LR", "1", "did you mean MEDLORA_TRAINING__LEARNING_RATE?"),
        ("MEDLORA_XYZZY", "1", "a key is set as MEDLORA_SECTION__KEY"),
        ("MEDLORA_LORA__R", '"5"', "has quotes around its value"),
        ("MEDLORA_DATA", "'/data'", "has quotes around its value"),
        ("MEDLORA_RUN_NAME", '"x"', "has quotes around its value"),
    ],
)
def test_a_variable_that_means_nothing_is_an_error(name: str, value: str, said: str) -> None:
    """As an unknown key is: training with defaults is not what was wanted."""
    error = one_error(run("config", environ={name: value}), 78)
    assert f"variable {name}: " in error
    assert said in error


def test_variables_of_others_stay() -> None:
    """Kubernetes names a service's variables as ours begin; our scripts have their own."""
    others = {
        "MEDLORA_SERVICE_HOST": "10.0.0.1",
        "MEDLORA_SERVICE_PORT_HTTP": "80",
        "MEDLORA_PORT": "tcp://10.0.0.1:80",
        "MEDLORA_WEB_PORT_80_TCP_ADDR": "10.0.0.1",
        "MEDLORA_IMAGE": "medlora:dev",
        "MEDLORA_RDZV_TIMEOUT": "60",
        "MEDLORA_SHOW_BUG_MESSAGES": "",
    }
    done = run("config", environ=others)
    assert done.returncode == 0, done.stderr


def test_cheap_refusals_come_before_torch(
    tmp_path: Path, data_file: Path, base_folder: Path
) -> None:
    """A part that is not there, a folder that is none: without the seconds that torch takes."""
    none, out, data, base = str(tmp_path / "none"), str(tmp_path / "o"), str(data_file), base_folder
    rest = ("--config", "recommended", "--checkpoints")
    for what, code in {
        ("train", "--data", none, "--model", str(base), *rest, out): 69,
        ("train", "--data", data, "--model", none, *rest, out): 69,
        ("train", "--data", data, "--model", str(base), *rest, f"{data}/below"): 74,
        ("evaluate", "--model", none, "--suite", "safety"): 69,
        ("render", data, "--model", none): 69,
    }.items():
        one_error(within(NEVER, *what), code)


# --- exceptions of others


class PanicException(BaseException):
    """As pyo3's: no Exception, so that nobody catches it by chance."""


def raised(error: BaseException) -> str:
    """Return Python that has `medlora version` end with an exception."""
    text = f"{type(error).__name__}({', '.join(map(repr, error.args))})"
    return (
        "from medlora.jobs import version\n"
        "class PanicException(BaseException): pass\n"
        f"def broken(): raise {text}\n"
        "version.as_text = broken\n"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PanicException("Patient 4711 has a rash"), MissingPartError.exit_code),
        (RecursionError("Patient 4711"), DataError.exit_code),
        (MemoryError(), OutOfMemoryError.exit_code),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), OutOfMemoryError.exit_code),
        (RuntimeError("could not create a primitive"), OutOfMemoryError.exit_code),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate "
                      "memory: you tried to allocate 8 bytes."), OutOfMemoryError.exit_code),
        (ImportError("libtorch_cpu.so: cannot allocate memory"), OutOfMemoryError.exit_code),
        (ImportError("libx.so: failed to map segment from shared object"), 80),
        (OSError(errno.EROFS, "Read-only file system", "/x"), StorageError.exit_code),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), StorageError.exit_code),
        (RuntimeError("Symlink loop from 'x'"), StorageError.exit_code),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), StorageError.exit_code),
    ],
)  # fmt: skip
def test_what_is_no_bug_is_not_called_one(error: BaseException, code: int) -> None:
    """One clear error with its code, nothing of the library's text."""
    said = one_error(within(raised(error), "version"), code)
    assert "4711" not in said
    assert "a bug" not in said


def test_an_interruption_ends_with_143() -> None:
    """Ctrl-C where Python itself raises it is no traceback either."""
    done = within(raised(KeyboardInterrupt()), "version")
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr.strip() == "stopped by SIGINT"


def test_what_is_a_bug_stays_one() -> None:
    """Words of memory in another cause, and what nobody knows."""
    for error in (
        ImportError("libgomp.so: cannot allocate memory in static TLS block"),
        ImportError("x.so: failed to map segment from shared object: Operation not permitted"),
        ValueError("can't allocate memory"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
    ):
        assert not ran_out_of_memory(error)
        assert as_ours(error) is None


def test_memory_that_ends_ends_with_80() -> None:
    """A limit of addresses that torch does not fit in is told before; one that is met, then."""

    def limited(limit: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    said = one_error(run("train", preexec_fn=limited(3_500_000_000)), 80)
    assert "ulimit -v leaves this process 3.3 GiB of address space, and torch" in said
    never_looked = (
        "from medlora.runtime import torch_import_memory as room\nroom.check_room = lambda: None\n"
    )
    said = one_error(within(never_looked, "train", preexec_fn=limited(1_000_000_000)), 80)
    assert "memory ran out: ulimit -v leaves this process 0.9 GiB of address space" in said


def test_each_limit_of_a_process_is_named() -> None:
    """As the shell's `ulimit` calls it."""
    limit = 1 << 31
    code = (
        "import resource as r\n"
        f"for one in (r.RLIMIT_AS, r.RLIMIT_DATA): r.setrlimit(one, ({limit}, {limit}))\n"
        "from medlora.runtime.memory import describe_limits\nprint(describe_limits())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(
        "ulimit -v leaves this process 2.0 GiB of address space, "
        "and ulimit -d leaves this process 2.0 GiB of data"
    )


@pytest.mark.parametrize(
    ("rows", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1000\n"}, 1000),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "500", "memory.max": "900"}, 500),
        ("3:cpu,memory:/job\n", {"memory/job/memory.limit_in_bytes": "700"}, 700),
        ("3:memory:/\n", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None),
        ("0::/../../x\n", {"memory.max": "300"}, 300),
        ("", {}, None),
    ],
)
def test_the_least_limit_of_all_groups_counts(
    rows: str, files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    """Of both versions of control groups, within a container and without one."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(rows)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert container_limit(tmp_path) == limit


# --- all of them


def _data(folder: Path) -> tuple[str, ...]:
    (folder / "bad.jsonl").write_text("{\n")
    return "scan", str(folder / "bad.jsonl")


def _identifiers(folder: Path) -> tuple[str, ...]:
    (folder / "a.jsonl").write_text('{"prompt": "MRN 12345678", "response": "x"}\n')
    return "scan", str(folder / "a.jsonl")


# Arguments that end with a code in a moment.
QUICK: dict[int, Callable[[Path], tuple[str, ...]]] = {
    0: lambda _: ("version",),
    2: lambda _: ("train", "--dta", "x"),
    65: _data,
    69: lambda folder: ("evaluate", "--model", str(folder), "--suite", "safety"),
    77: _identifiers,
    78: lambda _: ("config", "--set", "lora.rank=8"),
}


@pytest.mark.parametrize("code", QUICK)
def test_each_code_is_provoked_by_a_command(code: int, tmp_path: Path) -> None:
    """As tests/image/test_exits.py does with a container for every code of the page."""
    assert run(*QUICK[code](tmp_path)).returncode == code

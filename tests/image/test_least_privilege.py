"""Each restriction that a security office asks for, alone and together; nobody phones home."""

import subprocess
from pathlib import Path

import pytest

TMP = ("--tmpfs", "/tmp")  # noqa: S108  (a path in the container)
FLAGS = {
    "none": (),
    "read-only": ("--read-only", *TMP),
    "cap-drop": ("--cap-drop", "ALL"),
    "no-new-privileges": ("--security-opt", "no-new-privileges"),
    "any-user": ("--user", "54321:0"),
    "shm-64m": ("--shm-size", "64m"),
    "no-home": ("--env", "HOME=/nowhere"),
    "pids": ("--pids-limit", "256"),
    # No shell: what would start one finds an empty file that cannot be run.
    "no-shell": tuple(f"--volume=/dev/null:/usr/bin/{name}:ro" for name in ("dash", "bash", "sh")),
}
FLAGS["all"] = tuple(option for options in FLAGS.values() for option in options)
SHORT = ("--set", "training.max_steps=3", "--set", "training.warmup_steps=1")
SETUID = ("/", "-xdev", "-perm", "/6000", "-not", "-type", "l")
OPEN = ("/", "-xdev", "-perm", "-0002", "-not", "-type", "l", "-not", "-path", "/dev/*")
NOSY = """
import json, socket, sys, urllib.request
import huggingface_hub, torch
from medlora import logs
from medlora.runtime import close_network, snapshot
logs.set_up()
if "--closed" in sys.argv:
    close_network(snapshot())
ways = {
    "https": lambda: urllib.request.urlopen("https://telemetry.example/", timeout=2),
    "address": lambda: socket.create_connection(("192.0.2.1", 443), 2),
    "hub": lambda: huggingface_hub.HfApi(endpoint="http://192.0.2.1").whoami(token="x"),
}
for name, way in ways.items():
    try:
        way()
    except Exception as error:
        print(name, type(error).__name__, type(getattr(error, "reason", error)).__name__)
"""


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """A few rows to train on."""
    folder = tmp_path_factory.mktemp("small") / "data"  # pytest's own folder is private
    folder.mkdir()
    rows = (
        f'{{"prompt": "How many tablets on day {n}?", "response": "Take {n} on day {n}."}}\n'
        for n in range(40)
    )
    (folder / "train.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", FLAGS)
def test_a_run_works_under_each_restriction(
    name, run_image, for_group_0, demo_base, small, tmp_path
) -> None:
    """It trains, writes below its mount alone, and leaves files that the group may write."""
    checkpoints = for_group_0(tmp_path / "checkpoints")
    mounts = {"/data:ro": small, "/models:ro": demo_base, "/checkpoints": checkpoints}
    ended = run_image(
        *("train", "--config", "recommended", "--set", "data.privacy=warn", *SHORT),
        mounts=mounts,
        options=FLAGS[name],
    )
    assert ended.rc == 0, ended.said
    final = checkpoints / "run" / "final"
    assert (final / "adapter_model.safetensors").is_file()
    assert [path for path in final.rglob("*") if not path.stat().st_mode & 0o020] == []


def test_without_any_home_at_all(run_image) -> None:
    """HOME is not even set."""
    ended = run_image("-u", "HOME", "medlora", "version", options=("--entrypoint", "env"))
    assert ended.rc == 0, ended.said


@pytest.mark.parametrize("search", [SETUID, OPEN], ids=["setuid", "world-writable"])
def test_nothing_in_the_image_lends_rights(search, run_image) -> None:
    """No setuid or setgid file, nothing that everybody may write to."""
    options = ("--user", "0", "--entrypoint", "find")
    ended = run_image(*search, options=options)
    assert (ended.rc, ended.said) == (0, "")


def test_phoning_home_is_refused_and_named_although_there_is_a_network(image) -> None:
    """On the host's network: by name, by number, by a library; without the guard they try."""
    head = ["docker", "run", "--rm", "--network", "host", "--entrypoint", "python", image, "-c"]
    done = subprocess.run(
        [*head, NOSY, "--closed"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[:2] == [
        "https URLError NetworkRefusedError",
        "address NetworkRefusedError NetworkRefusedError",
    ]
    assert len(done.stdout.splitlines()) == 3
    assert "tried to reach telemetry.example and was refused" in done.stderr
    assert "network: httpcore tried" in done.stderr or "network: httpx tried" in done.stderr


def test_a_gpu_that_was_asked_for_and_is_not_there(run_image) -> None:
    """69 with what to do, before anything is loaded."""
    ended = run_image("train", env={"MEDLORA_DEVICE": "cuda"})
    assert ended.rc == 69, ended.said
    assert "--gpus all" in ended.stderr
    assert "Traceback" not in ended.said


DRIVER = """
int cuDriverGetVersion(int *v) { *v = 12040; return 0; }
int cuInit(unsigned f) { return 804; }
"""


def test_a_driver_that_is_too_old(run_image, tmp_path) -> None:
    """Both versions in one line, exit 69."""
    folder = tmp_path / "driver"  # pytest's own folder is private
    folder.mkdir()
    (folder / "cuda.c").write_text(DRIVER)
    library = folder / "libcuda.so.1"
    compiled = subprocess.run(
        ["cc", "-shared", "-fPIC", "-nostdlib", "-o", library, folder / "cuda.c"], check=False
    )
    if compiled.returncode:
        pytest.skip("no C compiler makes the library here")
    ended = run_image(
        "train",
        mounts={"/driver:ro": folder},
        env={"LD_LIBRARY_PATH": "/driver"},
    )
    assert ended.rc == 69, ended.said
    assert "CUDA up to 12.4" in ended.stderr
    assert "built for CUDA 13.0" in ended.stderr
    assert "580 or newer" in ended.stderr
    assert "Traceback" not in ended.said

"""A driver that is too old, or no GPU where one was asked for: two lines, not a stack trace."""

import shutil
import subprocess
from pathlib import Path

import pytest

from medlora.config import load
from medlora.config.sourced_value import from_options
from medlora.errors import ConfigError, MissingPartError
from medlora.plan import gpu_check
from medlora.runtime import Environment
from medlora.runtime.driver import Driver, driver_version, find_driver
from medlora.runtime.image import cuda_of_torch, image_facts, oldest_driver

# Answers as the variable says: CUDA's version, cuInit's status, GPUs, compute capability.
LIBRARY = """
#include <stdio.h>
#include <stdlib.h>
static int said(int which) {
  int v[5] = {0};
  sscanf(getenv("FAKE_CUDA"), "%d %d %d %d %d", v, v + 1, v + 2, v + 3, v + 4);
  return v[which];
}
int cuDriverGetVersion(int *v) { *v = said(0); return 0; }
int cuInit(unsigned f) { return said(1); }
int cuDeviceGetCount(int *n) { *n = said(2); return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = said(a == 75 ? 3 : 4); return 0; }
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A libcuda.so.1 that says what it is told to."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler makes the library here")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(LIBRARY)
    target = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, folder / "cuda.c"], check=True)
    return str(target)


def surroundings(root: Path, **variables: str) -> Environment:
    """A machine whose NVIDIA module tells its version."""
    file = root / "proc/driver/nvidia/version"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n")
    return Environment(variables, frozenset(), root)


def config(*overrides: str):
    """A run's config."""
    return load(list(from_options(overrides))).config


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("12040 804 0 0 0", ("550.54.15", "CUDA up to 12.4", "CUDA 13.0", "580 or newer")),
        ("12080 0 1 9 0", ("CUDA up to 12.8", "CUDA 13.0")),
        ("13000 803 0 0 0", ("does not start", "different versions", "nvidia-smi")),
        ("13000 999 0 0 0", ("does not start", "error 999")),
        ("13000 0 1 7 0", ("compute capability 7.0", "7.5 or newer")),
    ],
)
def test_a_driver_that_cannot_do_it_is_named_with_what_it_can(
    answer: str,
    words: tuple[str, ...],
    library: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both versions and what to do, whether a GPU was asked for or is just there."""
    monkeypatch.setenv("FAKE_CUDA", answer)
    with pytest.raises(MissingPartError) as refused:
        gpu_check.check_gpu(surroundings(tmp_path), config(), library=library)
    assert [word for word in words if word not in str(refused.value)] == []
    assert str(refused.value).count("\n") == 1
    gpu_check.check_gpu(surroundings(tmp_path, MEDLORA_DEVICE="cpu"), config(), library=library)


@pytest.mark.parametrize("answer", ["13000 0 1 7 5", "13020 0 8 9 0", "13000 100 0 0 0"])
def test_a_driver_that_will_do_is_no_error(
    answer: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New enough; or no GPU on a machine where nobody asked for one."""
    monkeypatch.setenv("FAKE_CUDA", answer)
    gpu_check.check_gpu(surroundings(tmp_path), config(), library=library)


@pytest.mark.parametrize(
    "key", ["training.fp16", "training.use_liger_kernel", "model.load_in_4bit"]
)
def test_no_gpu_where_the_config_or_the_variable_asks_for_one(
    key: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--gpus was forgotten: said before anything is loaded, with the option."""
    monkeypatch.setenv("FAKE_CUDA", "13000 100 0 0 0")
    for where, cfg, wish in (
        ({}, config(f"{key}=true"), f"{key} is true"),
        ({"MEDLORA_DEVICE": "cuda"}, None, "MEDLORA_DEVICE=cuda"),
    ):
        for driver in (library, "libno-such-driver.so.1"):
            with pytest.raises(MissingPartError, match="--gpus all") as refused:
                gpu_check.check_gpu(surroundings(tmp_path, **where), cfg, library=driver)
            assert str(refused.value).startswith(wish)
    gpu_check.check_gpu(surroundings(tmp_path), config(), library="libno-such-driver.so.1")


def test_a_device_of_another_name_is_refused(tmp_path: Path) -> None:
    """A typo must not compute on whatever is there."""
    with pytest.raises(ConfigError, match="gpu is not a device"):
        gpu_check.check_gpu(surroundings(tmp_path, MEDLORA_DEVICE="gpu"))


def test_the_driver_and_torch_are_read_without_torch(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the check is made of."""
    import torch

    monkeypatch.setenv("FAKE_CUDA", "12040 0 1 8 6")
    assert find_driver(library) == Driver((12, 4), 0, (8, 6))
    assert driver_version(surroundings(tmp_path).root) == "550.54.15"
    assert driver_version(tmp_path / "nowhere") is None
    cuda = cuda_of_torch()
    assert torch.version.cuda == (f"{cuda[0]}.{cuda[1]}" if cuda else None)
    assert oldest_driver((13, 0)) == "580"
    assert oldest_driver(None) is None


def test_the_images_labels_are_read_from_beside_the_environment(tmp_path: Path) -> None:
    """Nothing outside of an image."""
    assert image_facts(tmp_path / ".venv") is None
    (tmp_path / "image.json").write_text('{"revision": "abc"}')
    assert image_facts(tmp_path / ".venv") == {"revision": "abc"}

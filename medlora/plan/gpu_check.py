"""Whether the GPU that was asked for can be used, told before anything heavy is loaded.

torch itself says nothing that helps: it goes on on the CPU, or ends in a stack trace.
"""

from medlora.config import RunConfig
from medlora.errors import ConfigError, MissingPartError
from medlora.runtime import DEVICE, Environment
from medlora.runtime.driver import LIBRARY, NO_GPU, Driver, driver_version, find_driver
from medlora.runtime.image import cuda_of_torch, oldest_driver, oldest_gpu

_CHOICES = ("auto", "cuda", "cpu")
_CPU = f"{DEVICE}=cpu runs without a GPU"


def check_gpu(
    environment: Environment, cfg: RunConfig | None = None, *, library: str = LIBRARY
) -> None:
    """Refuse a driver that is too old, and no GPU where somebody asked for one.

    Args:
        environment: where this is; MEDLORA_DEVICE is `auto`, `cuda` or `cpu`.
        cfg: the run's config, which may need a GPU.
        library: name or path of the driver's library.

    Raises:
        ConfigError: MEDLORA_DEVICE is none of its values.
        MissingPartError: the driver or the GPU is missing, or too old.
    """
    wish = environment.text(DEVICE)
    device = wish.value if wish else "auto"
    if device not in _CHOICES:
        raise ConfigError(
            f"variable {DEVICE}: {device} is not a device", fix="set it to auto, cuda or cpu"
        )
    if device == "cpu":
        return
    why = f"{DEVICE}=cuda" if device == "cuda" else _needs_gpu(cfg)
    cuda = cuda_of_torch()
    if cuda is None:
        if why:
            raise MissingPartError(
                f"{why}, but the installed torch was built without CUDA", fix=_CPU
            )
        return
    driver = find_driver(library)
    if driver is None or driver.status == NO_GPU:
        _check_absent(driver, why, needed=oldest_driver(cuda) or "any")
        return
    _check_present(driver, cuda, version=driver_version(environment.root))


def _check_absent(driver: Driver | None, why: str | None, *, needed: str) -> None:
    if not why:
        return
    what = "no GPU is visible" if driver else f"no NVIDIA driver was found ({LIBRARY})"
    raise MissingPartError(
        f"{why}, but {what}",
        fix=f"start the container with --gpus all (podman: --device nvidia.com/gpu=all) on a "
        f"machine with NVIDIA driver {needed} or newer; {_CPU}",
    )


def _check_present(driver: Driver, cuda: tuple[int, int], *, version: str | None) -> None:
    name = f"NVIDIA driver {version}" if version else "the NVIDIA driver here"
    if driver.cuda[0] < cuda[0]:
        raise MissingPartError(
            f"{name} supports CUDA up to {_dotted(driver.cuda)}, but this image was built for "
            f"CUDA {_dotted(cuda)}",
            fix=f"update the machine's driver to {oldest_driver(cuda)} or newer; {_CPU}",
        )
    if driver.status:
        raise MissingPartError(
            f"{name} does not start: {driver.problem}",
            fix=f"check that nvidia-smi works on the machine and in a container; {_CPU}",
        )
    least = oldest_gpu(cuda)
    if driver.capability and driver.capability < least:
        raise MissingPartError(
            f"the GPU has compute capability {_dotted(driver.capability)}, and this image needs "
            f"{_dotted(least)} or newer",
            fix=f"use a newer GPU; {_CPU}",
        )


def _needs_gpu(cfg: RunConfig | None) -> str | None:
    """Return which key asks for a GPU: 4 bits compute on a CPU, but nobody would wait for it."""
    if cfg is None:
        return None
    if cfg.training.fp16:
        return "training.fp16 is true"
    if cfg.training.use_liger_kernel:
        return "training.use_liger_kernel is true"
    return "model.load_in_4bit is true" if cfg.model.load_in_4bit else None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"

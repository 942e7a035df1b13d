"""A read-only snapshot of the process's surroundings, injectable for tests."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from medlora.errors import ConfigError
from medlora.logs import INTERVAL_S, Form
from medlora.runtime.own_address import LOOPBACK, own_address

T = TypeVar("T")
DEVICE = "MEDLORA_DEVICE"  # auto, cuda or cpu


class Fact(NamedTuple, Generic[T]):
    """A value, and the variable, file or default that it comes from."""

    value: T
    source: str


_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables and mount points at one moment; `root` is `/` outside tests.

    `address` is this machine's own, under which others reach it.
    """

    variables: Mapping[str, str]
    mount_points: frozenset[Path]
    root: Path = Path("/")
    address: str = LOOPBACK

    def is_given(self, folder: Path) -> bool:
        """Tell whether somebody mounted or filled a folder that the image has empty."""
        if folder in self.mount_points:
            return True
        try:
            return any(folder.iterdir())
        except OSError:
            return False

    def number(self, name: str, *, least: int = 0) -> Fact[int] | None:
        """Return a variable that must be a whole number, None where it is not set.

        Raises:
            ConfigError: it is something else; its kind is told, not its value.
        """
        text = self.variables.get(name)
        if text is None or (
            not text and name.startswith("MEDLORA_")
        ):  # compose passes "" for unset
            return None
        if re.fullmatch(r"\s*\+?[0-9]{1,18}\s*", text) and int(text) >= least:
            return Fact(int(text), f"variable {name}")
        raise ConfigError(
            f"variable {name}: must be a whole number of at least {least} (got {kind_of(text)})",
            fix=f"set it to a number, or unset {name}",
        )

    def text(self, name: str) -> Fact[str] | None:
        """Return a variable's text, None where it is not set or empty."""
        value = self.variables.get(name, "").strip()
        return Fact(value, f"variable {name}") if value else None


def kind_of(value: object) -> str:
    """Say what kind of value something is, without showing it."""
    if isinstance(value, str):
        return _kind_of_text(value.strip())
    kinds = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "a number")


def _kind_of_text(text: str) -> str:
    if not text:
        return "an empty text"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return "quotes around it, which an env-file keeps"
    try:
        number = float(text)
    except ValueError:
        return f"a text of {len(text)} characters"
    if number < 0:
        return "a negative number"
    return "a smaller number" if number.is_integer() else "a number that is not whole"


def snapshot() -> Environment:
    """Return the surroundings of this process."""
    return Environment(
        dict(os.environ), _mount_points(Path("/proc/self/mountinfo")), address=own_address()
    )


SHOW_BUG_MESSAGES = "MEDLORA_SHOW_BUG_MESSAGES"
LOG_FORMAT, LOG_INTERVAL = "MEDLORA_LOG_FORMAT", "MEDLORA_LOG_INTERVAL_S"


def log_settings(environment: Environment) -> tuple[Form, float]:
    """Return the form of log lines, and the seconds between two lines of progress.

    Raises:
        ConfigError: a variable says something else.
    """
    form = environment.text(LOG_FORMAT)
    seconds = environment.number(LOG_INTERVAL)
    every = float(seconds.value if seconds else INTERVAL_S)
    if form is None or form.value == "text":
        return "text", every
    if form.value == "json":
        return "json", every
    raise ConfigError(
        f"variable {LOG_FORMAT}: must be text or json (got {kind_of(form.value)})",
        fix=f"set it to json, or unset {LOG_FORMAT}",
    )


_SETTINGS = {
    # Threads that spin while they wait for each other make a small model on busy cores about 14
    # times slower (440 against 6,400 tokens/s).
    "OMP_WAIT_POLICY": "PASSIVE",
    # Without a workspace of fixed size cuBLAS is not deterministic.  Source: its manual.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # a peer that leaves is told of in our own words
}


def prepare_process() -> None:
    """Settle what libraries read when they are imported later; whoever has set one decides.

    No network, no spinning threads, the same bits from cuBLAS; no GPU where nobody wants one.
    """
    os.environ.update(_OFFLINE)
    if os.environ.get(DEVICE, "").strip() == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable for the time of the block, for a library that reads it there."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def _mount_points(mountinfo: Path) -> frozenset[Path]:
    """Read the mount points; field 5, with octal escapes.  Source: proc(5)."""
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return frozenset()
    return frozenset(Path(_unescape(line.split(" ")[4])) for line in lines if line.count(" ") > 4)  # noqa: PLR2004


def _unescape(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)

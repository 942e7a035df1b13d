"""A run's folder and its result where they lie in an object store; no work where they do not.

The folder here is the run's own, as on any disk; what is committed here is copied there, in the
order of the commits, by whoever commits it.  What is there comes back when a run starts on a
machine that has less.
"""

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from medlora.checkpoint import remote
from medlora.checkpoint.beyond_digests import is_proven, prove
from medlora.checkpoint.lock import only_writer
from medlora.checkpoint.names import BEST, ENDS, EPOCH, FINAL, REJECTED, is_ours, is_resumable
from medlora.checkpoint.resume import checkpoints, newest_valid
from medlora.errors import ConfigError, MedloraError, RunInUseError, StorageError
from medlora.files import (
    MANIFEST,
    DamagedError,
    make_folder,
    sha256_bytes,
    storage_errors,
    sweep,
    write_bytes,
)
from medlora.logs import logger
from medlora.plan.quick_checks import LATEST
from medlora.plan.resolve_run import Plan
from medlora.storage.store import Object, Store

_log = logger(__name__)
_WRITER = ".writer"  # who writes there: the last one to begin
_REPLACED, _HALF = ".replaced", ".half-sent"  # beside the result, while another one is sent


def open_mirror(plan: Plan) -> "Mirror":
    """Return the mirror of a plan's run; nothing is sent yet."""
    cfg, stores = plan.resolved.config, {name: Store(at) for name, at in plan.remote.items()}
    run = stores.get("checkpoints")
    return Mirror(
        cfg.run_dir,
        run.below(cfg.run_name) if run else None,
        output=Path(cfg.training.final_dir) if cfg.training.final_dir else None,
        result=stores.get("output"),
    )


class Mirror:
    """Keeps a run's folder and the copy of its result the same here and there.

    Args:
        folder: the run's folder here.
        run: the run's folder there, None where it is nowhere else.
        output: the folder of the result's copy here.
        result: the same there.
    """

    def __init__(
        self,
        folder: Path,
        run: Store | None,
        *,
        output: Path | None = None,
        result: Store | None = None,
    ) -> None:
        self._folder, self._run, self._output, self._result = folder, run, output, result
        self._token = b""
        self._loose: dict[str, str] = {}  # what was sent of the files beside the folders

    @property
    def is_elsewhere(self) -> bool:
        """Whether the run's folder here is a copy of what is there, and maybe of a part of it."""
        return self._run is not None

    def set_aside(self) -> None:
        """Give what the run's folder there holds another name, as `--fresh` does here."""
        run = self._run
        if run is None or not run.objects().keys() - {_WRITER}:
            return
        name = run.location.name
        old = Store(run.location.parent, run.service)
        number = 1 + max(_old_numbers(old, name), default=0)
        remote.move(old, name, f"{name}.old-{number}", but=(_WRITER,))
        _log.info("the previous run was moved to %s", old.location / f"{name}.old-{number}")

    def restore(self, *, fresh: bool = False) -> None:
        """Bring here what a run needs to go on, or to see that it is done: what proves itself.

        Args:
            fresh: whether it starts over, and needs to know of the result's place alone.

        Raises:
            StorageError: the service failed, or the disk is full.
            RunInUseError: another run here has the folder.
        """
        if self._result is not None and self._output:
            _look_at_result(self._result, self._output)
        if self._run is None or fresh:
            return
        with only_writer(self._folder):
            sweep(self._folder)
            there = remote.by_folder(self._run.objects(opening=True))
            for name in ENDS:
                if MANIFEST in there.get(name, {}) and not is_proven(self._folder / name):
                    self._take(self._run, name)
            if not is_proven(self._folder / FINAL):
                self._restore_checkpoints(self._run, there)

    def _restore_checkpoints(self, run: Store, there: remote.Folders) -> None:
        newest = newest_valid(self._folder)
        step = newest[1]["step"] if newest else -1
        claimed = {
            name: remote.claimed_step(run, name)
            for name, files in there.items()
            if is_resumable(name) and MANIFEST in files
        }
        for name in sorted(claimed, key=lambda name: claimed[name], reverse=True):
            if claimed[name] <= step or self._take(run, name):
                break
        best = remote.claimed_step(run, BEST) if MANIFEST in there.get(BEST, {}) else -1
        if best > _step_here(self._folder / BEST):
            self._take(run, BEST)

    def _take(self, run: Store, name: str) -> bool:
        """Bring a folder here; set one that does not prove itself aside there."""
        try:
            remote.download(run.below(name), self._folder / name)
        except DamagedError as error:
            remote.set_aside(run, name, error)
            return False
        _log.info("%s is here", run.location / name)
        return True

    @contextmanager
    def claimed(self, *, fresh: bool = False) -> Iterator[None]:
        """Write there for the time of the block; whoever wrote there before is refused from now on.

        What an interrupted upload left is deleted, and what only this machine has is sent.

        Args:
            fresh: whether the run starts over, and both are set aside in the block.

        Raises:
            MissingPartError: it cannot be written.
            StorageError: the service failed.
        """
        if self._run is None:
            yield
            return
        who = f"host {socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(8)}\n"
        self._token = who.encode()
        self._run.write(_WRITER, self._token, opening=True)
        if not fresh:
            self._level(self._run)
        try:
            yield
        except (StorageError, RunInUseError):  # it fails, or is another one's
            raise
        except MedloraError:
            with suppress(MedloraError):  # the first failure is the news
                self._send_loose(self._run)
            self._leave(self._run)
            raise
        self._leave(self._run)

    def _level(self, run: Store) -> None:
        there = remote.by_folder(run.objects())
        for name, files in there.items():
            if is_ours(name) and MANIFEST not in files:
                remote.remove(run.below(name), files)
        self._send_missing(run, there)

    def _leave(self, run: Store) -> None:
        with suppress(MedloraError):
            if run.read(_WRITER) == self._token:
                run.remove([_WRITER])

    def push(self, names: Sequence[str], *, keep: int, step: int) -> None:
        """Copy folders that were just committed, in this order, then prune as here.

        Raises:
            RunInUseError: another one writes there by now.
            StorageError: the service failed; the folders here are as they were.
        """
        if self._run is None:
            return
        self._check_claim(self._run)
        for name in names:
            if (self._folder / name / MANIFEST).is_file():
                remote.upload(self._run.below(name), self._folder / name)
        self._send_loose(self._run)
        remote.prune(self._run, keep=keep, step=step)

    def finish(self) -> None:
        """Copy what is committed here and not there: after the last commit, nothing is left out.

        Raises:
            RunInUseError: another one writes there by now.
            StorageError: the service failed; the folders here are as they were.
        """
        if self._run is None:
            return
        if self._token:
            self._check_claim(self._run)
        self._send_missing(self._run, remote.by_folder(self._run.objects()))
        self._send_loose(self._run)

    def deliver(self) -> None:
        """Say where the result is, once it is called so; send the copy that somebody wanted."""
        if self._run is not None and (self._folder / FINAL).exists():
            if not (self._folder / REJECTED).exists():  # by an earlier gate, if it is there
                remote.remove(self._run.below(REJECTED), self._run.objects(REJECTED))
            _log.info("the result is in %s too", self._run.location / FINAL)
        if self._result is not None and self._output:
            _replace_result(self._result, self._output)
            _log.info("the result is in %s too", self._result.location)

    def point_to_latest(self) -> None:
        """Have `latest` beside the run's folder there hold its name, as a link does here."""
        if self._run is not None:
            name = self._run.location.name
            beside = Store(self._run.location.parent, self._run.service)
            try:
                beside.write(LATEST, name.encode() + b"\n")
            except MedloraError as error:  # a result is not lost for want of it
                _log.warning("%s: %s", beside.location / LATEST, error.headline)

    def _send_missing(self, run: Store, there: remote.Folders) -> None:
        newest = newest_valid(self._folder)
        resumable = [newest[0].name] if newest else []
        names = [folder.name for folder in checkpoints(self._folder)]
        epochs = [name for name in names if EPOCH.fullmatch(name)]
        for name in (BEST, *sorted({*epochs, *resumable}), *ENDS):
            known = MANIFEST in there.get(name, {})
            if known and (name != BEST or not _is_later(self._folder / name, run)):
                continue
            if is_proven(self._folder / name):
                remote.upload(run.below(name), self._folder / name)

    def _send_loose(self, run: Store) -> None:
        """Copy the files beside the folders, metrics and the like, where they have changed."""
        with storage_errors(self._folder):
            files = [path for path in self._folder.iterdir() if path.is_file()]
        for path in sorted(files):
            if path.name.startswith("."):
                continue
            with storage_errors(path):
                content = path.read_bytes()
            digest = sha256_bytes(content)
            if self._loose.get(path.name) != digest:
                run.write(path.name, content)
                self._loose[path.name] = digest

    def _check_claim(self, run: Store) -> None:
        holder = run.read(_WRITER)
        if holder != self._token:
            who = (holder or b"nobody").decode(errors="replace").rpartition(",")[0] or "unknown"
            raise RunInUseError(
                f"{run.location}: another run has started writing there ({who})",
                fix="wait for it, stop it, or give this run another run_name",
            )


def _old_numbers(runs: Store, name: str) -> Iterator[int]:
    """Yield the numbers of what was set aside of a run."""
    for path in runs.objects():
        match = re.match(re.escape(name) + r"\.old-([1-9]\d*)/", path)
        if match:
            yield int(match[1])


def _look_at_result(result: Store, output: Path) -> None:
    """Bring the manifest of the result that is there, by which `check_output` can judge it.

    Raises:
        ConfigError: something else is there.
    """
    there: Mapping[str, Object] = result.objects(opening=True)
    make_folder(output)
    content = result.read(MANIFEST) if MANIFEST in there else None
    others = there.keys() - _names_of(content)
    if others and not (content is None and _is_half_sent(result)):
        raise ConfigError(
            f"training.final_dir: {result.location} holds {len(others)} files of something else",
            fix="empty it, or name another folder (MEDLORA_OUTPUT)",
        )
    if content is not None and not (output / MANIFEST).exists():
        write_bytes(output / MANIFEST, content)


def _replace_result(result: Store, output: Path) -> None:
    """Copy the result there; what it replaces stays beside it until all of it is there."""
    stated = result.read(MANIFEST)
    if stated == (output / MANIFEST).read_bytes():
        return
    beside, name = Store(result.location.parent, result.service), result.location.name
    if beside.location == result.location:  # a bucket has nothing beside it
        remote.upload(result, output)
        return
    old, half = f"{name}{_REPLACED}", f"{name}{_HALF}"
    beside.write(half, b"")
    if stated is not None:
        remote.remove(beside.below(old), beside.objects(old))
        remote.move(beside, name, old)
    remote.upload(result, output)
    beside.remove([half])
    remote.remove(beside.below(old), beside.objects(old))


def _is_half_sent(result: Store) -> bool:
    """Tell whether what is there is of ours, and was not sent to its end."""
    beside, name = Store(result.location.parent, result.service), result.location.name
    return beside.read(f"{name}{_HALF}") is not None


def _names_of(manifest: bytes | None) -> set[str]:
    """Return the files that a manifest names, itself among them; none where it is no manifest."""
    try:
        return {MANIFEST, *json.loads(manifest or b"null")["files"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


def _step_here(folder: Path) -> int:
    try:
        step = prove(folder)["step"]
    except (DamagedError, KeyError):
        return -1
    return int(step)


def _is_later(folder: Path, run: Store) -> bool:
    """Tell whether a folder here is of a later step than the one there."""
    return _step_here(folder) > remote.claimed_step(run, folder.name)

"""Inputs come whole and proven, once; what is wrong is told by name, and never by a value."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from medlora.errors import ConfigError, MedloraError, MissingPartError, StorageError
from medlora.storage import service
from medlora.storage.fetch import fetch
from medlora.storage.location import Location, is_location, parse
from medlora.storage.store import Store
from tests.storage.conftest import S3


@pytest.fixture
def memory() -> Store:
    """The code that no service is special to, over fsspec's own file system in memory."""
    filesystem = MemoryFileSystem(skip_instance_cache=True)
    filesystem.store.clear()
    store = Store(Location("gs", "bucket/in"), filesystem)
    store.write("train.jsonl", b"one\n")
    store.write("more/eval.jsonl", b"two\n")
    return store


def read_all(folder: Path) -> dict[str, bytes]:
    """Return {relative name: content}."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


CONTENT = {"more/eval.jsonl": b"two\n", "train.jsonl": b"one\n"}


def test_a_folder_comes_whole_and_is_taken_over(memory: Store, tmp_path: Path, counted) -> None:
    """The second time nothing is transferred, of a damaged copy just the damaged file."""
    calls = counted(memory, "get")
    folder = fetch(memory, tmp_path / "place")
    assert (folder.name, read_all(folder)) == ("in", CONTENT)
    assert fetch(memory, tmp_path / "place") == folder
    assert sorted(calls) == ["more/eval.jsonl", "train.jsonl"]
    (folder / "train.jsonl").write_bytes(b"bad\n")
    with (tmp_path / "place/fetched.jsonl").open("a") as journal:
        journal.write('{"name": "train.js')  # a crash left half a line
    assert read_all(fetch(memory, tmp_path / "place")) == CONTENT
    assert calls[2:] == ["train.jsonl"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store, str], list[str]]:
    """Note the names that a method of stores is called with."""

    def count(store: Store, method: str) -> list[str]:
        names: list[str] = []
        original = getattr(Store, method)

        def noted(self, name, *rest):
            names.append(name)
            return original(self, name, *rest)

        monkeypatch.setattr(Store, method, noted)
        return names

    return count


def test_what_is_gone_there_goes_here_and_what_changed_comes(memory: Store, tmp_path: Path) -> None:
    """The copy is the folder as it is now; pickled weights stay where they are."""
    fetch(memory, tmp_path)
    memory.remove(["more/eval.jsonl"])
    memory.write("train.jsonl", b"three\n")
    memory.write("pytorch_model.bin", b"never read")
    assert read_all(fetch(memory, tmp_path)) == {"train.jsonl": b"three\n"}


def test_a_single_file_is_a_file(memory: Store, tmp_path: Path) -> None:
    """With its own name, which decides what it is taken for."""
    file = fetch(memory.below("train.jsonl"), tmp_path)
    assert (file.name, file.read_bytes()) == ("train.jsonl", b"one\n")


def test_a_folder_that_changes_meanwhile_is_refused(
    memory: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """74: nothing reads a mixture of two states; the next start takes over what is whole."""
    original = Store.get

    def get(self, name, into):
        original(self, name, into)
        if name == "more/eval.jsonl":  # several are fetched at once: right after its own turn
            memory.write("more/eval.jsonl", b"another\n")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "get", get)
        with pytest.raises(StorageError, match=r"1 files changed .* first more/eval\.jsonl"):
            fetch(memory, tmp_path)
    assert read_all(fetch(memory, tmp_path))["more/eval.jsonl"] == b"another\n"


def test_content_that_is_not_what_the_service_states_is_refused(s3: S3, tmp_path: Path) -> None:
    """By S3's ETag where it is an MD5; where it is none, two transfers must agree."""
    store = s3.store("in")
    store.write("a.txt", b"content")
    wanted = store.objects()["a.txt"]
    assert wanted.md5 == "9a0364b9e99bb480dd25e1f0284c8555"

    class Bent(Store):
        turns = 0

        def get(self, name, into):  # noqa: ARG002
            Bent.turns += 1
            into.write_bytes(b"cont%03d" % Bent.turns)

    with pytest.raises(StorageError, match="did not match the stored object, three times"):
        fetch(Bent(store.location, store.service), tmp_path / "bent")
    assert not read_all(tmp_path / "bent")

    class Encrypted(Store):
        def objects(self, name="", *, opening=False):
            found = super().objects(name, opening=opening)
            return {key: type(one)(one.size, one.version, "0" * 32) for key, one in found.items()}

    folder = fetch(Encrypted(store.location, store.service), tmp_path / "encrypted")
    assert read_all(folder) == {"a.txt": b"content"}


def test_a_disk_that_is_too_small_is_told_first(
    memory: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted
) -> None:
    """74 before a byte is transferred."""
    calls = counted(memory, "get")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 2, 7))
    told = r"8 bytes are needed for gs://bucket/in, but only 7 are free\n  fix: .*MEDLORA_WORK"
    with pytest.raises(StorageError, match=told):
        fetch(memory, tmp_path)
    assert calls == []


def test_a_name_that_leads_out_is_refused(memory: Store, tmp_path: Path) -> None:
    """Legal in a bucket."""
    memory.service.store["/bucket/in/../out"] = memory.service.store["/bucket/in/train.jsonl"]
    with pytest.raises(StorageError, match=r"the part \.\."):
        fetch(memory, tmp_path)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://host/folder", "an? https:// location"),
        ("s3://", "an? s3:// location"),
        ("s3:///folder", "an? s3:// location"),
        ("s3://AKIA:secret@bucket/x", "an? s3:// location"),
        ("s3://bucket/../x", "an? s3:// location"),
        ("gs://bucket/x?generation=1", "an? gs:// location"),
    ],
)
def test_what_is_no_location_is_refused(url: str, kind: str) -> None:
    """78, without the URL's own words, which may be a password."""
    assert is_location(url)
    with pytest.raises(ConfigError, match=rf"here: .*\(got {kind}\)") as error:
        parse(url, "here")
    assert "secret" not in str(error.value)


# What is done to the surroundings -> exit code, and what the message says.
TROUBLE = {
    "nothing there": ({}, "in", 69, "nothing is there"),
    "no bucket": ({}, "no-bucket", 69, r"not there \(NoSuchBucket\)"),
    "no credentials": (
        {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None},
        "in",
        69,
        "no credentials for S3 .*\n  fix: .*AWS_ACCESS_KEY_ID",
    ),
    "half of the credentials": (
        {"AWS_SECRET_ACCESS_KEY": None},
        "in",
        69,
        "no credentials for S3 .*PartialCredentialsError",
    ),
    "no such profile": ({"AWS_PROFILE": "nobody"}, "in", 78, "AWS_PROFILE names a profile"),
    "no address": ({"AWS_ENDPOINT_URL": "nowhere"}, "in", 78, "AWS_ENDPOINT_URL is not an address"),
    "unreachable": ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "in", 69, "S3 cannot be reached"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_a_location_that_cannot_be_used_is_told_at_once(
    name: str, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """69 or 78, what is missing, the fix, and no value of a credential."""
    variables, place, code, says = TROUBLE[name]
    for variable, value in variables.items():
        if value is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, value)
    monkeypatch.setattr(service, "ATTEMPTS", 1)
    url = f"s3://{place}/in" if place == "no-bucket" else s3.url(place)
    with pytest.raises(MedloraError, match=says) as error:
        fetch(Store(parse(url, "test")), tmp_path)
    assert error.value.exit_code == code
    assert "not-a-secret" not in str(error.value)
    assert "testing" not in str(error.value)


def test_cloud_storage_asks_for_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """69 without one; nobody is asked in a browser, and nothing is anonymous."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    with pytest.raises(
        MissingPartError, match=r"gs://b/x: no credentials .*\n  fix: .*GOOGLE_APPLICATION_CRED"
    ):
        Store(parse("gs://b/x", "test"))


@pytest.mark.parametrize(
    ("opening", "kind"), [(True, MissingPartError), (False, StorageError)], ids=["first", "later"]
)
@pytest.mark.parametrize("error", [OSError("Forbidden: https://storage/b"), PermissionError()])
def test_rights_that_are_missing_are_named(
    memory: Store, error: Exception, kind: type[MedloraError], opening: bool
) -> None:
    """As gcsfs and s3fs raise them: 69 before anything was done, 74 later."""
    with (
        pytest.raises(kind, match=r"access is refused.*\n  fix: .*objectUser"),
        service.service_errors(memory.location, opening=opening),
    ):
        raise error


def test_a_failure_here_is_not_the_services(memory: Store) -> None:
    """A full disk stays one, and a bug keeps its traceback."""
    for error in (OSError(28, "No space left on device", "/full/x"), KeyError("x")):
        with pytest.raises(type(error)), service.service_errors(memory.location):
            raise error


def test_nothing_is_loaded_without_a_url(data_file: Path) -> None:
    """Neither fsspec nor a service's library, by what every command does first."""
    script = (
        "import sys; from medlora.plan import local_copies; "
        "from medlora.plan.resolve_run import Options, resolve; "
        "from medlora.runtime import snapshot; "
        f"plan = resolve(Options(data={str(data_file)!r}), snapshot(), needed=['data']); "
        "assert local_copies.localise(plan, snapshot()) is plan; "
        "print(sorted({'fsspec', 's3fs', 'gcsfs', 'botocore', 'aiohttp'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-P", "-c", script]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"

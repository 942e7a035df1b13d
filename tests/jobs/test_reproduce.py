"""A run's manifest is enough to train the same adapter again."""

import json
import shutil
from pathlib import Path

import pytest

from medlora.checkpoint.folder_format import read_manifest, write_checkpoint
from medlora.errors import ConfigError, IntegrityError, MissingPartError
from medlora.jobs import reproduce, train

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tough_plan, tmp_path: Path) -> Path:
    """A finished run."""
    train.run(tough_plan("a"))
    return tmp_path / "out/a"


def test_the_digest_is_the_same_and_the_copy_goes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the manifest alone; the run itself is not touched."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    reproduce.run(run)
    digest = read_manifest(run / "final")["files"]["adapter_model.safetensors"]
    assert f"same SHA-256, {digest}" in capsys.readouterr().out
    assert {path.name for path in run.parent.glob("[!.]*")} == {"a", "latest"}
    assert (run.parent / "latest").readlink() == Path("a")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_moved_data_and_base_can_be_named(run: Path, data_file: Path, base_folder: Path) -> None:
    """Digests decide, not paths."""
    moved = data_file.rename(data_file.with_name("moved.jsonl"))
    with pytest.raises(MissingPartError):
        reproduce.run(run)
    reproduce.run(run / "final", data=str(moved), model=str(base_folder))


def test_other_data_is_refused_before_training(run: Path, data_file: Path) -> None:
    """78, by digest."""
    data_file.write_text(data_file.read_text().replace("pain", "head"))
    with pytest.raises(ConfigError, match=r"data\.train: SHA-256"):
        reproduce.run(run)


def rewrite(final: Path, **facts: object) -> None:
    """Give a finished folder a valid manifest with other facts, or another adapter."""
    manifest = json.loads((final / "manifest.json").read_bytes())
    contents = {name: (final / name).read_bytes() for name in manifest["files"]}
    contents |= {name: facts.pop(name) for name in list(facts) if name in contents}
    stated = {k: v for k, v in manifest.items() if k not in ("files", "sha256")}
    shutil.rmtree(final)
    write_checkpoint(final, contents, {**stated, **facts})


def test_another_adapter_ends_with_77_and_keeps_the_copy(run: Path) -> None:
    """A manifest that vouches for an adapter that its inputs do not give is found out."""
    weights = bytearray((run / "final/adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    rewrite(run / "final", **{"adapter_model.safetensors": bytes(weights)})
    with pytest.raises(IntegrityError, match="the adapter differs") as error:
        reproduce.run(run)
    assert error.value.exit_code == 77
    assert (run.parent / "a.reproduced/final").is_dir()


def test_what_cannot_be_repeated_says_so(run: Path) -> None:
    """No finished run, a damaged one, one that was continued with changes."""
    with pytest.raises(MissingPartError, match="not a finished run"):
        reproduce.run(run / "epoch_1")
    rewrite(run / "final", allowed_changes=["training.learning_rate"])
    with pytest.raises(ConfigError, match=r"with changed settings \(training\.learning_rate\)"):
        reproduce.run(run)
    (run / "final/adapter_config.json").write_text("{}")
    with pytest.raises(IntegrityError, match="is damaged"):
        reproduce.run(run)


def test_the_encoding_is_held_by_whoever_goes_on_or_repeats(
    tough_plan, data_file: Path, tmp_path: Path
) -> None:
    """The same letters give the same adapter; another encoding of the same bytes is refused."""
    text = data_file.read_text().replace("pain", "pain é")
    data_file.write_text(text, encoding="utf-8")
    train.run(tough_plan("utf"))
    data_file.write_bytes(text.encode("windows-1252"))
    train.run(tough_plan("a", "data.encoding=cp1252"))
    one, other = (read_manifest(tmp_path / f"out/{name}/final") for name in ("utf", "a"))
    weights = "adapter_model.safetensors"
    assert one["files"][weights] == other["files"][weights]
    assert other["inputs"]["data.train.read_as"] == ["jsonl windows-1252"]
    reproduce.run(tmp_path / "out/a")
    with pytest.raises(ConfigError, match=r"data.train.read_as: \['jsonl windows-1252'\] then"):
        train.run(tough_plan("a", "data.encoding=iso-8859-1"))

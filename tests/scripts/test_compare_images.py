"""Two images are the same, or the first difference is printed."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import compare_images

Layer = dict[str, bytes | None]  # None: a folder


def layer(content: Layer, *, mode: int = 0o644, owner: int = 0, time: int = 315532800) -> bytes:
    """A layer's archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.mtime = mode, owner, time
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = len(data or b"")
            archive.addfile(info, io.BytesIO(data or b""))
    return stream.getvalue()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    """Write layers as `docker save` does."""

    def save(name: str, *layers: bytes) -> str:
        files = {f"blobs/sha256/{number}": content for number, content in enumerate(layers)}
        manifest = json.dumps([{"Layers": list(files)}]).encode()
        path = tmp_path / name
        with tarfile.open(path, "w") as archive:
            config = {"blobs/sha256/config": b'{"config": {}}', "manifest.json": manifest}
            for file, content in {**files, **config}.items():
                info = tarfile.TarInfo(file)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return str(path)

    return save


BASE: Layer = {"etc": None, "etc/a": b"one", "etc/b": b"two"}


def test_the_same_tree_has_no_difference(
    saved: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it is cut into other layers, or a layer deletes what another added."""
    one = saved(
        "one",
        layer({**BASE, "gone": b"", "dir": None, "dir/x": b"x"}),
        layer({".wh.gone": b"", "dir/.wh..wh..opq": b"", ".wh.dir": b""}),
    )
    two = saved("two", layer({"etc": None, "etc/a": b"one"}), layer({"etc/b": b"two"}))
    assert compare_images.main([one, two]) == 0
    assert "0 differences" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (layer({**BASE, "etc/b": b"TWO"}), "etc/b: sha256"),
        (layer({**BASE, "etc/c": b""}), "etc/c: only in the second"),
        (layer({"etc": None, "etc/b": b"two"}), "etc/a: only in the first"),
        (layer(BASE, mode=0o666), "etc: mode 0644 and 0666"),
        (layer(BASE, owner=7), "etc: owner 0:0 and 7:0"),
        (layer(BASE, time=315532801), "etc: time 315532800 and 315532801"),
    ],
)
def test_the_first_difference_is_printed(
    saved: Callable[..., str], capsys: pytest.CaptureFixture[str], other: bytes, line: str
) -> None:
    """Content, path, mode, owner, time; exit code 1."""
    assert compare_images.main([saved("one", layer(BASE)), saved("two", other)]) == 1
    assert f"first: {line}" in capsys.readouterr().out
    assert compare_images.main(["one"]) == 2

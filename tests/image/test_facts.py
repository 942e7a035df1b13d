"""What batch services and security teams read from the image before they run it."""

import json
import subprocess
from hashlib import sha256
from pathlib import Path

PROBE = """
import importlib.util, shutil
tools = ("gcc", "cc", "c++", "g++", "clang", "make", "ld", "pip", "pip3", "uv", "curl", "wget")
print([tool for tool in tools if shutil.which(tool)])
print([name for name in ("pip", "ensurepip", "uv") if importlib.util.find_spec(name)])
"""

LABELS = (
    *("title", "description", "licenses", "version", "revision", "source"),
    *("base.name", "base.digest"),
)


def test_user_is_a_number_and_not_root(inspected) -> None:
    """Kubernetes checks runAsNonRoot against a numeric user only."""
    user, _, group = inspected["User"].partition(":")

    assert int(user) != 0
    assert group == "0"


def test_entrypoint_is_the_program_itself(inspected) -> None:
    """The program is process 1 and gets SIGTERM; without a command it explains itself."""
    assert inspected["Entrypoint"] == ["medlora"]
    assert inspected["Cmd"] == ["--help"]
    assert inspected["StopSignal"] == "SIGTERM"


def test_nothing_starts_or_stores_behind_the_user(inspected) -> None:
    """No health check, and no anonymous volume that `--rm` would throw away."""
    assert inspected["Healthcheck"] == {"Test": ["NONE"]}
    assert not inspected.get("Volumes")


def test_no_setting_is_baked_in(inspected) -> None:
    """On some runtimes an image's variable beats the host's, so the image sets none."""
    names = [variable.partition("=")[0] for variable in inspected["Env"]]

    assert [name for name in names if name.startswith(("MEDLORA_", "HF_", "AWS_"))] == []


def test_labels_say_what_the_image_is_made_of(inspected) -> None:
    """Every OCI label has a value, and the lock's hash is one of a SHA-256."""
    labels = inspected["Labels"]

    assert [name for name in LABELS if not labels.get(f"org.opencontainers.image.{name}")] == []
    assert len(bytes.fromhex(labels["org.medlora.lock-sha256"])) == 32


def test_no_tool_that_installs_or_compiles(run_image) -> None:
    """What the build needed has stayed in the build."""
    ended = run_image("-c", PROBE, options=("--entrypoint", "python"))

    assert ended.stdout.split("\n")[:2] == ["[]", "[]"], ended.said


def test_the_programs_folder_is_closed_to_writers(run_image) -> None:
    """No file of the program can be replaced by the user that a container runs as."""
    search = ("/opt/medlora", "-not", "-type", "l", "-writable")
    ended = run_image(*search, options=("--entrypoint", "find"))
    by_mode = run_image(*search[:-1], "-perm", "/0022", options=("--entrypoint", "find"))

    assert (ended.rc, ended.said) == (0, "")
    assert (by_mode.rc, by_mode.said) == (0, "")


def test_the_lock_lies_beside_the_environment(run_image, inspected) -> None:
    """A run can name the exact packages it used, by the hash that the label has too."""
    ended = run_image("/opt/medlora/uv.lock", options=("--entrypoint", "sha256sum"))

    assert ended.stdout.split()[0] == inspected["Labels"]["org.medlora.lock-sha256"]


def test_help_without_a_command(run_image) -> None:
    """`docker run IMAGE` explains itself and ends well, even hardened."""
    ended = run_image()

    assert ended.rc == 0, ended.said
    assert "train" in ended.stdout


def test_version_is_the_labels(run_image, inspected) -> None:
    """The program and the label agree on the version."""
    ended = run_image("--version")

    assert ended.rc == 0, ended.said
    assert inspected["Labels"]["org.opencontainers.image.version"] in ended.stdout


def test_version_as_json_has_the_labels(run_image, inspected) -> None:
    """The program says of the image what its labels say, and what it computes with."""
    ended = run_image("version", "--json")
    assert ended.rc == 0, ended.said
    facts, labels = json.loads(ended.stdout), inspected["Labels"]
    oci = "org.opencontainers.image"
    assert facts["image"] == {
        "version": labels[f"{oci}.version"],
        "revision": labels[f"{oci}.revision"],
        "source": labels[f"{oci}.source"],
        "base": labels[f"{oci}.base.name"].partition("@")[0],
        "base_digest": labels[f"{oci}.base.digest"],
        "lock_sha256": labels["org.medlora.lock-sha256"],
    }
    assert facts["cuda"]
    assert facts["minimum_driver"]
    assert {"torch", "transformers", "peft"} <= facts["libraries"].keys()


HASHES = """
import hashlib, medlora, pathlib
root = pathlib.Path(medlora.__file__).parent
for file in sorted(root.rglob("*.py")):
    print(hashlib.sha256(file.read_bytes()).hexdigest(), file.relative_to(root))
"""


def test_the_program_is_that_of_the_checkout(run_image) -> None:
    """No cache of the build has slipped an earlier source in."""
    ended = run_image("-c", HASHES, options=("--entrypoint", "python"))
    root = Path(__file__).parents[2] / "medlora"
    files = sorted(path for path in root.rglob("*.py"))
    ours = [f"{sha256(path.read_bytes()).hexdigest()} {path.relative_to(root)}" for path in files]
    assert ended.stdout.splitlines() == ours


def test_a_runs_manifest_has_the_labels(demo, inspected) -> None:
    """Which image made an adapter can be told from the adapter's folder."""
    image = demo.manifest["image"]
    labels = inspected["Labels"]
    assert image["labels"]["revision"] == labels["org.opencontainers.image.revision"]
    assert image["minimum_driver"]


def test_the_bill_of_materials_has_all_that_is_installed(image) -> None:
    """Every distribution and package, each Python package with a licence; the same bytes twice."""
    script = (Path(__file__).parents[2] / "scripts/sbom.py").read_bytes()
    head = ["docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python"]
    bills = [
        subprocess.run([*head, image, "-"], input=script, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert bills[0] == bills[1]
    components = json.loads(bills[0])["components"]
    purls = " ".join(one["purl"] for one in components)
    for name in ("pypi/torch@", "pypi/medlora@", "deb/debian/libc6@", "pypi/nvidia-cudnn"):
        assert name.replace("debian", "") in purls.replace("debian", "").replace("ubuntu", "")
    unlicensed = [
        one["name"] for one in components if "pypi" in one["purl"] and not one.get("licenses")
    ]
    assert unlicensed in ([], ["cuda-toolkit"])

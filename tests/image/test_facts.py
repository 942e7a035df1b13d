"""What batch services and security teams read from the image before they run it."""

PROBE = """
import importlib.util, shutil
tools = ("gcc", "cc", "c++", "g++", "clang", "make", "ld", "pip", "pip3", "uv", "curl", "wget")
print([tool for tool in tools if shutil.which(tool)])
print([name for name in ("pip", "ensurepip", "uv") if importlib.util.find_spec(name)])
"""

LABELS = ("title", "description", "licenses", "version", "revision", "source", "base.name")


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

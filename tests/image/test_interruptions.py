"""A container that is stopped, as a batch service stops it, goes on and ends with the same bits."""

import subprocess
import uuid

import pytest

ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def container():
    """A name for a container, which is gone afterwards."""
    name = f"medlora-test-{uuid.uuid4().hex[:12]}"
    yield name
    subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)


def test_docker_stop_commits_and_the_next_container_ends_with_the_same_adapter(
    demo, image, run_image, uid, for_group_0, tmp_path, container
) -> None:
    """As process 1: 143 within docker's ten seconds, another container, the same digest."""
    checkpoints = for_group_0(tmp_path / "checkpoints")
    subprocess.run(
        [
            *("docker", "run", "--detach", "--network", "none", "--name", container),
            *("--read-only", "--tmpfs", "/tmp", "--user", f"{uid}:0"),  # noqa: S108
            *("--env", "MEDLORA_LOG_INTERVAL_S=0"),  # a line for each step
            *("--volume", f"{checkpoints}:/checkpoints", image, "train"),
        ],
        check=True,
        capture_output=True,
    )
    with subprocess.Popen(
        ["docker", "logs", "--follow", container], stderr=subprocess.PIPE, text=True
    ) as logs:
        assert logs.stderr is not None
        assert any(line.startswith("step 50/") for line in logs.stderr)
        subprocess.run(["docker", "stop", container], check=True, capture_output=True)
        rest = logs.stderr.read()
    state = subprocess.run(
        ["docker", "inspect", "--format", "{{.State.ExitCode}}", container],
        check=True,
        capture_output=True,
        text=True,
    )
    assert state.stdout.strip() == "143", rest
    assert "stopped by SIGTERM" in rest
    assert "is committed" in rest
    assert not (checkpoints / "demo/final").exists()

    ended = run_image("train", mounts={"/checkpoints": checkpoints})
    assert ended.rc == 0, ended.said
    assert "going on from step_" in ended.said
    ours = (checkpoints / "demo/final" / ADAPTER).read_bytes()
    assert ours == (demo.folder / "final" / ADAPTER).read_bytes()


def test_another_container_reproduces_the_digest(demo, run_image) -> None:
    """From the manifest alone; and every byte of the run is as it was written."""
    mounts = {"/checkpoints": demo.folder.parent}
    ended = run_image("reproduce", "/checkpoints/demo", mounts=mounts)
    assert ended.rc == 0, ended.said
    assert "reproduced: the adapter has the same SHA-256" in ended.stdout
    ended = run_image("verify", "/checkpoints/demo", mounts=mounts)
    assert ended.rc == 0, ended.said
    assert "DAMAGED" not in ended.stdout


def test_a_finished_run_started_again_changes_no_byte(demo, run_image) -> None:
    """Exit 0 at once, whatever a scheduler retries."""
    before = {path: path.stat().st_mtime_ns for path in demo.folder.rglob("*")}
    ended = run_image("train", mounts={"/checkpoints": demo.folder.parent})
    assert ended.rc == 0, ended.said
    assert "finished already" in ended.stdout
    assert {path: path.stat().st_mtime_ns for path in demo.folder.rglob("*")} == before

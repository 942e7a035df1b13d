"""AWS Batch for real: moto's Batch starts the image in the local engine, its S3 has everything.

moto knows no retries, so this plays that part of the service: it reads the exit code and the
definition's own `evaluateOnExit`, and submits the next attempt.  Of a definition moto hands the
engine image, command, environment and mounts, and leaves out user, tmpfs and the read-only root.
"""

import fnmatch
import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from medlora.files import sha256_bytes

# moto asks the engine for its own address through a pipe that it does not close.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
BUCKET = "my-bucket"  # as in the definition
ADAPTER = "runs/my-run/final/adapter_model.safetensors"
SECRET = "not-a-secret-at-all"
CONFIG = """\
training:
  num_train_epochs: 4
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 2  # 120 steps: some seconds, in which the kill has to arrive
  learning_rate: 0.005
  warmup_steps: 5
  logging_steps: 1
  eval_steps: 30
  save_steps: 10
data: {max_length: 256}
"""


@dataclass
class Service:
    """moto's Batch and S3, and where they listen."""

    address: str
    batch: Any
    s3: Any
    queue: str = "queue"

    def start(self, definition: str, attempt: int) -> "Job":
        """Submit an attempt of the job; return it once its container runs."""
        variables = {
            "MEDLORA_LOG_INTERVAL_S": "0",  # a line for each step
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),  # the service's own, which moto does not set
        }
        events = subprocess.Popen(
            [
                "docker",
                "events",
                "--filter",
                "event=start",
                "--format",
                "{{.Actor.Attributes.name}}",
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        submitted = self.batch.submit_job(
            jobName=f"medlora-test-{os.getpid()}",
            jobQueue=self.queue,
            jobDefinition=definition,
            parameters={"config": f"s3://{BUCKET}/config.yaml"},
            containerOverrides={
                "environment": [{"name": k, "value": v} for k, v in variables.items()]
            },
        )
        with events:
            assert events.stdout is not None
            name = next(line for line in events.stdout if submitted["jobId"] in line).strip()
            events.terminate()
        return Job(self, submitted["jobId"], name)


@dataclass
class Job:
    """An attempt, and its container."""

    service: Service
    number: str
    container: str

    def follow(self, until: str | None = None) -> str:
        """Read what the container says, to its end or to a text; return it."""
        command = ["docker", "logs", "--follow", self.container]
        said = []
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as logs:
            assert logs.stderr is not None
            for line in logs.stderr:
                said.append(line)
                if until and until in line:
                    logs.terminate()
                    break
        return "".join(said)

    def end(self) -> dict[str, Any]:
        """Wait for the end; return how the service describes it."""
        for thread in threading.enumerate():
            if thread.name == f"MOTO-BATCH-{self.number}":
                thread.join(timeout=120)
        batch, listed = self.service.batch, dict[str, Any]()
        (described,) = batch.describe_jobs(jobs=[self.number])["jobs"]
        for one in batch.list_jobs(jobQueue=self.service.queue, jobStatus=described["status"])[
            "jobSummaryList"
        ]:
            listed[one["jobId"]] = one  # moto tells the exit code in lists alone
        return listed[self.number]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """An account with a queue and a bucket; containers share the host's network."""
    pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    monkeypatch.setenv("MOTO_DOCKER_NETWORK_MODE", "host")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": SECRET}
    where = {"endpoint_url": address, "region_name": "eu-central-1", **keys}
    made = Service(address, boto3.client("batch", **where), boto3.client("s3", **where))
    iam = boto3.client("iam", **where)
    role = iam.create_role(RoleName="service", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    computing = made.batch.create_compute_environment(
        computeEnvironmentName="here", type="UNMANAGED", state="ENABLED", serviceRole=role
    )
    order = [{"order": 1, "computeEnvironment": computing["computeEnvironmentArn"]}]
    made.batch.create_job_queue(
        jobQueueName=made.queue, state="ENABLED", priority=1, computeEnvironmentOrder=order
    )
    made.s3.create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    yield made
    server.stop()


def put_folder(service: Service, folder: Path, prefix: str) -> None:
    """Copy a folder's files into the bucket."""
    for file in folder.iterdir():
        service.s3.upload_file(str(file), BUCKET, f"{prefix}/{file.name}")


def register(service: Service, image: str, scratch: Path) -> tuple[str, dict[str, Any]]:
    """Register the definition that we deliver, for this image and this machine's disk."""
    definition = json.loads((ROOT / "deploy/aws-batch/single-node.json").read_text())
    properties = definition["containerProperties"]
    properties["image"] = image
    properties["volumes"][0]["host"]["sourcePath"] = str(scratch)
    registered = service.batch.register_job_definition(**definition)
    return registered["jobDefinitionArn"], definition["retryStrategy"]


def decision(strategy: dict[str, Any], exit_code: int) -> str:
    """What the service does with a failed attempt: the first rule that matches, else RETRY."""
    facts = {"onExitCode": str(exit_code), "onStatusReason": "Essential container", "onReason": ""}
    for rule in strategy["evaluateOnExit"]:
        wanted = {name: text for name, text in rule.items() if name != "action"}
        if all(fnmatch.fnmatchcase(facts[name], text) for name, text in wanted.items()):
            return rule["action"]
    return "RETRY"


def test_a_job_that_is_killed_is_retried_and_ends_with_the_same_adapter(
    image, run_image, service: Service, for_group_0, demo_base, tmp_path
) -> None:
    """Data, base, config and runs on S3; SIGKILL; the next attempt on an empty disk; SUCCEEDED."""
    data = demo_base.parent / "data"
    (tmp_path / "config.yaml").write_text(CONFIG)
    put_folder(service, data, "data")
    put_folder(service, demo_base, "models/my-base")
    service.s3.upload_file(str(tmp_path / "config.yaml"), BUCKET, "config.yaml")

    first, strategy = register(service, image, for_group_0(tmp_path / "first"))
    job = service.start(first, attempt=1)
    said = job.follow(until="step 30: held-out")
    assert "step 30: held-out" in said, said
    subprocess.run(["docker", "kill", "--signal", "KILL", job.container], check=True)
    ended = job.end()
    assert ended["status"] == "FAILED", said
    assert decision(strategy, ended["container"]["exitCode"]) == "RETRY"
    listed = service.s3.list_objects_v2(Bucket=BUCKET, Prefix="runs/my-run/")["Contents"]
    assert any(one["Key"].endswith("step_20/manifest.json") for one in listed)
    assert not any("/final/" in one["Key"] for one in listed)

    second, _ = register(service, image, for_group_0(tmp_path / "second"))
    job = service.start(second, attempt=2)
    said = job.follow()
    ended = job.end()
    assert ended["status"] == "SUCCEEDED", said
    assert "place: aws-batch" in said
    assert "attempt 2" in said
    assert "going on from step" in said
    assert SECRET not in said
    result = service.s3.get_object(Bucket=BUCKET, Key=ADAPTER)["Body"].read()

    checkpoints = for_group_0(tmp_path / "checkpoints")
    (tmp_path / "config").mkdir()
    (tmp_path / "config.yaml").rename(tmp_path / "config/config.yaml")
    alone = run_image(
        *("train", "--set", "run_name=my-run"),
        mounts={
            "/data:ro": data,
            "/models:ro": demo_base,
            "/config:ro": tmp_path / "config",
            "/checkpoints": checkpoints,
        },
    )
    assert alone.rc == 0, alone.said
    straight = (checkpoints / "my-run/final/adapter_model.safetensors").read_bytes()
    assert sha256_bytes(result) == sha256_bytes(straight)
    print(f"adapter SHA-256 {sha256_bytes(result)}, killed once and uninterrupted")  # noqa: T201

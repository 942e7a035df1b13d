"""Which platform this is, by the marks that each leaves in a job's surroundings."""

from dataclasses import dataclass

from medlora.runtime.environment import Environment, Fact

SAGEMAKER_CONFIG = "opt/ml/input/config"


@dataclass(frozen=True, slots=True)
class Service:
    """A batch service: its name in `medlora doctor`, its title, its marks.

    `grace_s` is what it leaves a job between SIGTERM and SIGKILL; `attempt` names the variable
    that counts the job's attempts, the first being number `first`.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    grace_s: int
    job: str | None = None
    attempt: str | None = None
    first: int = 1


# Source: the services' own documentation of the variables they set and of how they stop a job.
# Vertex AI states no time and Slurm's depends on its set-up (KillWait): the shortest is assumed
# for the one, Slurm's default for the other.
SERVICES = (
    Service(
        "sagemaker",
        "SageMaker",
        ("SM_TRAINING_ENV", "TRAINING_JOB_NAME", "TRAINING_JOB_ARN"),
        120,
        job="TRAINING_JOB_NAME",
    ),
    Service(
        "aws-batch",
        "AWS Batch",
        ("AWS_BATCH_JOB_ID", "AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES"),
        30,
        job="AWS_BATCH_JOB_ID",
        attempt="AWS_BATCH_JOB_ATTEMPT",
    ),
    Service(
        "vertex",
        "Vertex AI",
        (
            "CLOUD_ML_JOB_ID",
            "CLUSTER_SPEC",
            "AIP_MODEL_DIR",
            "AIP_CHECKPOINT_DIR",
            "AIP_TENSORBOARD_LOG_DIR",
            "AIP_TRAINING_DATA_URI",
        ),
        10,
        job="CLOUD_ML_JOB_ID",
    ),
    Service(
        "slurm",
        "Slurm",
        ("SLURM_JOB_ID",),
        30,
        job="SLURM_JOB_ID",
        attempt="SLURM_RESTART_COUNT",
        first=0,
    ),
    Service("kubeflow", "Kubeflow", ("PET_NNODES", "PET_NODE_RANK"), 30),
    Service("kubernetes", "Kubernetes", ("JOB_COMPLETION_INDEX", "KUBERNETES_SERVICE_HOST"), 30),
)
_BY_NAME = {service.name: service for service in SERVICES}
_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")  # of docker and of podman
_NO_SERVICE_GRACE_S = 10  # docker's; a person at a terminal does not wait longer either


def platform(environment: Environment) -> Fact[str]:
    """Return the platform's name: a service's, `docker` for any container, or `local`."""
    config = environment.root / SAGEMAKER_CONFIG
    if config.is_dir():
        return Fact("sagemaker", f"folder {config}")
    for service in SERVICES:
        mark = next((name for name in service.marks if name in environment.variables), None)
        if mark:
            trainer = service.name == "kubernetes" and _is_node_of_trainer(environment)
            return Fact("kubeflow" if trainer else service.name, f"variable {mark}")
    if _is_node_of_trainer(environment):
        return Fact("kubeflow", "variable RANK")
    for name in _CONTAINER_MARKS:
        if (environment.root / name).exists():
            return Fact("docker", f"file {environment.root / name}")
    return Fact("local", "default")


def batch_service(environment: Environment) -> Service | None:
    """Return the batch service that runs this job, or None on a person's machine."""
    return _BY_NAME.get(platform(environment).value)


def grace(environment: Environment) -> Fact[int]:
    """Return the seconds between SIGTERM and SIGKILL; no platform tells them to the job.

    Raises:
        ConfigError: MEDLORA_GRACE_S is no number.
    """
    stated = environment.number("MEDLORA_GRACE_S", least=1)
    if stated:
        return stated
    service = batch_service(environment)
    if service:
        return Fact(service.grace_s, f"default for {service.name}")
    return Fact(_NO_SERVICE_GRACE_S, "default")


def attempt(environment: Environment) -> Fact[int] | None:
    """Return the number of this attempt, from 1, None where the platform does not count them.

    Raises:
        ConfigError: the platform's counter is no number.
    """
    service = batch_service(environment)
    if service is None or service.attempt is None:
        return None
    count = environment.number(service.attempt, least=service.first)
    if count is None:
        return None
    return Fact(count.value + 1 - service.first, count.source)


def job_facts(environment: Environment) -> dict[str, str | int | None]:
    """Return what a manifest states of the platform, the job and the attempt."""
    service, number = batch_service(environment), attempt(environment)
    job = environment.text(service.job) if service and service.job else None
    return {
        "platform": platform(environment).value,
        "job": job.value if job else None,
        "attempt": number.value if number else None,
    }


def _is_node_of_trainer(environment: Environment) -> bool:
    """Tell whether RANK alone is set, as Kubeflow's PyTorchJob does."""
    return "RANK" in environment.variables and "LOCAL_RANK" not in environment.variables

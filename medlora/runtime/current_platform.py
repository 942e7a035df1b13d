"""Which platform runs this job, and what it says of the job."""

from medlora.runtime.environment import Environment, Fact
from medlora.runtime.platforms.platform import Platform
from medlora.runtime.platforms.registry import PLATFORMS

_CONTAINER_MARKS = (".dockerenv", "run/.containerenv")  # of docker and of podman
_NO_SERVICE_GRACE_S = 10  # docker's; a person at a terminal does not wait longer either


def platform(environment: Environment) -> Fact[str]:
    """Return the platform's name: a batch service's, `docker` for any container, or `local`."""
    for service in PLATFORMS:
        mark = service.mark(environment)
        if mark:
            return Fact(service.name, mark)
    for name in _CONTAINER_MARKS:
        if (environment.root / name).exists():
            return Fact("docker", f"file {environment.root / name}")
    return Fact("local", "default")


def batch_service(environment: Environment) -> Platform | None:
    """Return the batch service that runs this job, or None on a person's machine."""
    return platform_named(platform(environment).value)


def platform_named(name: str | None) -> Platform | None:
    """Return the batch service that a manifest names, None for any other name."""
    return next((service for service in PLATFORMS if service.name == name), None)


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
    count = environment.number(service.attempt, least=service.first_attempt)
    if count is None:
        return None
    return Fact(count.value + 1 - service.first_attempt, count.source)


def job_facts(environment: Environment) -> dict[str, str | int | None]:
    """Return what a manifest states of the platform, the job and the attempt."""
    service, number = batch_service(environment), attempt(environment)
    job = environment.text(service.job) if service and service.job else None
    return {
        "platform": platform(environment).value,
        "job": job.value if job else None,
        "attempt": number.value if number else None,
    }

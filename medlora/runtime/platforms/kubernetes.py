"""Kubernetes: a pod of a Job; what it says of several machines is torchrun's to read."""

from medlora.runtime.platforms.platform import Platform, by_variables

KUBERNETES = Platform(
    "kubernetes",
    "Kubernetes",
    by_variables("JOB_COMPLETION_INDEX", "KUBERNETES_SERVICE_HOST"),
    grace_s=30,
)

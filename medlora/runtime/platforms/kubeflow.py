"""Kubeflow on Kubernetes: PET_* of its Trainer v2, or RANK alone of its PyTorchJob."""

from medlora.runtime.environment import Environment
from medlora.runtime.launchers import is_node_of_trainer
from medlora.runtime.platforms.kubernetes import KUBERNETES
from medlora.runtime.platforms.platform import Platform, by_variables


def _mark(environment: Environment) -> str | None:
    source = _VARIABLES(environment)
    if source is None and is_node_of_trainer(environment):
        return KUBERNETES.mark(environment) or "variable RANK"
    return source


_VARIABLES = by_variables("PET_NNODES", "PET_NODE_RANK")
KUBEFLOW = Platform("kubeflow", "Kubeflow", _mark, grace_s=30)

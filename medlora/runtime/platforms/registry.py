"""The platforms that are known; a new one is a module beside this one, and its name here.

A job runs on the first one whose mark it bears.
"""

from medlora.runtime.platforms.aws_batch import AWS_BATCH
from medlora.runtime.platforms.kubeflow import KUBEFLOW
from medlora.runtime.platforms.kubernetes import KUBERNETES
from medlora.runtime.platforms.platform import Platform
from medlora.runtime.platforms.sagemaker import SAGEMAKER
from medlora.runtime.platforms.slurm import SLURM
from medlora.runtime.platforms.vertex import VERTEX

PLATFORMS: tuple[Platform, ...] = (
    SAGEMAKER,
    AWS_BATCH,
    VERTEX,
    SLURM,
    KUBEFLOW,
    KUBERNETES,
)

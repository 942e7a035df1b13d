"""The run as data: one schema, four ways to set any key, each value with its origin."""

from medlora.config.conflicts import Machine, refuse_conflicts
from medlora.config.file import from_yaml
from medlora.config.load import Resolved, from_mapping, load
from medlora.config.names import KEYS
from medlora.config.schema import (
    ColumnsConfig,
    DataConfig,
    DpConfig,
    GateConfig,
    LoraConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)
from medlora.config.sources import Setting

__all__ = [
    "KEYS",
    "ColumnsConfig",
    "DataConfig",
    "DpConfig",
    "GateConfig",
    "LoraConfig",
    "Machine",
    "ModelConfig",
    "Resolved",
    "RunConfig",
    "Setting",
    "TrainingConfig",
    "from_mapping",
    "from_yaml",
    "load",
    "refuse_conflicts",
]

"""The run as data: one schema, four ways to set any key, each value with its origin."""

from medlora.config.conflicts import Machine, refuse_conflicts
from medlora.config.resolved import Resolved, from_mapping, load
from medlora.config.row_form_names import ROW_FORMS
from medlora.config.schema import KEYS, RunConfig, about, not_reproduced
from medlora.config.sections.data import ColumnsConfig, DataConfig
from medlora.config.sections.gate import GateConfig
from medlora.config.sections.lora import LoraConfig
from medlora.config.sections.model import ModelConfig
from medlora.config.sections.privacy import DpConfig
from medlora.config.sections.training import TrainingConfig
from medlora.config.sourced_value import Setting
from medlora.config.yaml_file import from_yaml

__all__ = [
    "KEYS",
    "ROW_FORMS",
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
    "about",
    "from_mapping",
    "from_yaml",
    "load",
    "not_reproduced",
    "refuse_conflicts",
]

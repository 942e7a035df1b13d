"""Fine-tune a medical language model with LoRA: offline, reproducible, one container image.

Public names are loaded when they are first used, so that `import medlora` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medlora.config.schema import RECOMMENDED_CONFIG
    from medlora.data.privacy.scan import scan_text
    from medlora.evaluate.evaluation import evaluate_suites
    from medlora.evaluate.huggingface_safety_callback import MedicalSafetyCallback
    from medlora.evaluate.safety import SafetyChecker
    from medlora.evaluate.statistics import mcnemar, paired_difference, wilson
    from medlora.evaluate.suite_files import read_suite
    from medlora.jobs.render import Example, render
    from medlora.report.metrics_recorder import TrainingMonitor
    from medlora.train.loop import StepResult
    from medlora.train.stopping import EarlyStopping, detect_convergence
    from medlora.trainer.huggingface import create_training_arguments, setup_trainer
    from medlora.trainer.medical_lora_trainer import MedicalLoRATrainer
    from medlora.trainer.train_result import TrainResult

__all__ = [
    "RECOMMENDED_CONFIG",
    "EarlyStopping",
    "Example",
    "MedicalLoRATrainer",
    "MedicalSafetyCallback",
    "SafetyChecker",
    "StepResult",
    "TrainResult",
    "TrainingMonitor",
    "create_training_arguments",
    "detect_convergence",
    "evaluate_suites",
    "mcnemar",
    "paired_difference",
    "read_suite",
    "render",
    "scan_text",
    "setup_trainer",
    "wilson",
]

_HOMES = {
    "RECOMMENDED_CONFIG": "medlora.config.schema",
    "EarlyStopping": "medlora.train.stopping",
    "Example": "medlora.jobs.render",
    "MedicalLoRATrainer": "medlora.trainer.medical_lora_trainer",
    "MedicalSafetyCallback": "medlora.evaluate.huggingface_safety_callback",
    "SafetyChecker": "medlora.evaluate.safety",
    "StepResult": "medlora.train.loop",
    "TrainResult": "medlora.trainer.train_result",
    "TrainingMonitor": "medlora.report.metrics_recorder",
    "create_training_arguments": "medlora.trainer.huggingface",
    "setup_trainer": "medlora.trainer.huggingface",
    "detect_convergence": "medlora.train.stopping",
    "evaluate_suites": "medlora.evaluate.evaluation",
    "mcnemar": "medlora.evaluate.statistics",
    "paired_difference": "medlora.evaluate.statistics",
    "read_suite": "medlora.evaluate.suite_files",
    "render": "medlora.jobs.render",
    "wilson": "medlora.evaluate.statistics",
    "scan_text": "medlora.data.privacy.scan",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  (PEP 562)
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)

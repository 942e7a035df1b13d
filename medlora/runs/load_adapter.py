"""A trained adapter, found again: its folder, its manifest, its base, and both loaded together."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from medlora.config import DataConfig, RunConfig, Setting, load
from medlora.data.chat.chat import Chat
from medlora.errors import IntegrityError, MedloraError, MissingPartError
from medlora.evaluate.generate import check_writes
from medlora.files import MANIFEST
from medlora.inputs.chat import load_chat
from medlora.logs import logger
from medlora.model.base import check_base, digest_base, load_base, load_tokenizer
from medlora.model.file_names import CONFIG, DESCRIPTION, WEIGHTS
from medlora.model.folder import check_adapter_folder
from medlora.plan.device import half_of, this_device
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan
from medlora.report.manifest_schema import BaseFacts, RunFacts, as_run
from medlora.runs.finished import result_with, whole_manifest
from medlora.runtime.library_call_limits import no_input
from medlora.runtime.library_errors import ran_out_of_memory

_log = logger(__name__)
# What decides how a base and its chat are loaded.
_AS_TRAINED = ("model.", "data.", "training.bf16", "training.fp16")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A folder with an adapter; its manifest is empty where somebody else saved it."""

    folder: Path
    manifest: RunFacts = field(default_factory=RunFacts)

    @property
    def is_rejected(self) -> bool:
        """Whether its gate said no."""
        return self.manifest.get("status") == "rejected"

    @property
    def base(self) -> BaseFacts | None:
        """What its manifest states of the base that it was trained on."""
        return self.manifest.get("base_model")


def find_adapter(path: Path) -> Path:
    """Return the folder with the adapter: the path itself, or a run's final or rejected one.

    Raises:
        MissingPartError: there is none.
    """
    folder = result_with(DESCRIPTION, path)
    if folder is None or not (folder / WEIGHTS).is_file():
        raise MissingPartError(
            f"{path}: no {DESCRIPTION} with {WEIGHTS}",
            fix="name the folder of an adapter that PEFT saved, or a run's folder",
        )
    return folder


def read_adapter(path: Path) -> Adapter:
    """Return an adapter after checking every byte that its manifest vouches for.

    Raises:
        MissingPartError: there is none.
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    folder = find_adapter(path)
    if not (folder / MANIFEST).is_file():
        _log.info(
            "%s has no MedLoRA manifest: whether it was trained on this base cannot be checked",
            folder,
        )
        return Adapter(folder)
    return Adapter(folder, as_run(whole_manifest(folder)))


def base_of(adapter: Adapter, plan: Plan) -> Path:
    """Return the base that was asked for, else where the manifest says it is, else the mount's.

    Raises:
        MissingPartError: there is no base that can be loaded.
        IntegrityError: it is not the one that the adapter was trained on.
    """
    stated = Path(adapter.base["folder"] if adapter.base else "")
    is_there = not plan.resolved.config.model.base_model_name and (stated / CONFIG).is_file()
    base = stated if is_there else look_for_base(plan)
    check_base(base)
    _check_same(adapter, base)
    return base


def trained_config(adapter: Adapter, plan: Plan) -> RunConfig:
    """Return how the base was loaded and conversations rendered, but for what is set now.

    All else is as by default.
    """
    stated = {key: fact["value"] for key, fact in adapter.manifest.get("config", {}).items()}
    inputs = stated or adapter.manifest.get("inputs", {})
    known = {key for key, _, _ in plan.resolved.rows()}
    trained = {key: inputs[key] for key in inputs if key.startswith(_AS_TRAINED) and key in known}
    set_now = {
        key: value
        for key, value, _ in plan.resolved.rows()
        if key in trained and key in plan.resolved.origins
    }
    settings = (
        Setting(tuple(key.split(".")), value, "manifest")
        for key, value in {**trained, **set_now}.items()
    )
    return load(settings).config


def _check_same(adapter: Adapter, base: Path) -> None:
    if adapter.base is None:
        return
    stated, present = adapter.base["files"], digest_base(base)
    other = sorted(name for name in stated | present if stated.get(name) != present.get(name))
    if other:
        raise IntegrityError(
            f"{base} is not the base that {adapter.folder} was trained on: {len(other)} files "
            f"differ by SHA-256, first {other[0]}",
            fix="name the base itself with --model; medlora verify says if the adapter is whole",
        )


def load_adapted(
    cfg: RunConfig, base: Path, adapter: Path | None
) -> tuple[PreTrainedModel | PeftModel, Chat]:
    """Return the model on its device, with the adapter if there is one, and the chat.

    Raises:
        MissingPartError: one of them cannot be loaded, or the adapter is of another shape.
    """
    device = this_device()
    model: Any = load_base(base, cfg.model, half=half_of(cfg.training, device))
    chat = adapter_chat(base, adapter, cfg.data)
    if adapter:
        model = put_on(model, adapter)
    if not cfg.model.load_in_4bit:
        model.to(device.kind)
    check_writes(model.eval())
    return model, chat


def adapter_chat(base: Path, adapter: Path | None, cfg: DataConfig) -> Chat:
    """Return the chat of the tokenizer that was saved with the adapter, else of the base's."""
    saved = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    tokenizer = load_tokenizer(adapter) if adapter and saved else None
    return load_chat(base, cfg, tokenizer=tokenizer)


def put_on(model: PreTrainedModel, adapter: Path) -> PeftModel:
    """Return the base with the adapter.

    Raises:
        MissingPartError: it does not fit.
    """
    check_adapter_folder(adapter)
    try:
        with no_input():
            adapted: PeftModel = PeftModel.from_pretrained(model, adapter, local_files_only=True)
    except MedloraError:
        raise
    except Exception as error:  # whatever an adapter's description makes PEFT raise
        if ran_out_of_memory(error):
            raise
        raise MissingPartError(
            f"{adapter}: PEFT cannot put it on this base ({type(error).__name__})",
            fix="name the base that the adapter was trained on",
        ) from error
    return adapted

"""A run's chat: the base's tokenizer and template, with what the config says of conversations."""

from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from medlora.checkpoint.resume import stated_by
from medlora.config import DataConfig
from medlora.data.chat.chat import Chat, ChatRules
from medlora.data.chat.template import today
from medlora.errors import ConfigError, MissingPartError, StorageError
from medlora.files import sha256_bytes, storage_errors
from medlora.logs import logger
from medlora.model.base import embedding_rows, end_tokens, load_tokenizer
from medlora.model.folder import check_tokenizer_folder
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan
from medlora.report.manifest_schema import as_run

_log = logger(__name__)
DATE = "data.chat_template_date"
_CLOCK = "strftime_now"
_WITH_TEMPLATES = ("*.jinja", "tokenizer_config.json", "chat_template.json", "**/*.jinja")


def load_chat(
    base: Path, cfg: DataConfig, *, tokenizer: PreTrainedTokenizerBase | None = None
) -> Chat:
    """Return a base's chat as the config has it.

    Args:
        base: its folder.
        cfg: the data section.
        tokenizer: the one to use; the base's own where None.

    Raises:
        MissingPartError: there is no tokenizer, or no such template.
        ConfigError: one of them cannot be used.
    """
    saved = tokenizer is not None
    tokenizer = tokenizer or load_tokenizer(base)
    # What was saved with an adapter has the template that was chosen for it.
    template = None if saved else _chosen_template(cfg, tokenizer)
    rules = ChatRules(
        arguments=cfg.chat_template_kwargs,
        template=template,
        template_name=cfg.chat_template or f"{base.name}/chat_template.jinja",
        reasoning=cfg.reasoning,
        control_tokens=cfg.control_tokens,
        merge_system=cfg.merge_system,
        day=date.fromisoformat(cfg.chat_template_date) if cfg.chat_template_date else None,
    )
    return Chat(tokenizer, rules=rules, stops=end_tokens(base), embeddings=embedding_rows(base))


def _chosen_template(cfg: DataConfig, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Return the template's text, or the name of one of the tokenizer's; None for its default."""
    named, own = cfg.chat_template, tokenizer.chat_template
    if named is None or (isinstance(own, dict) and named in own):
        return named
    file = Path(named)
    if not file.is_file():
        names = f", nor a template of the base ({', '.join(own)})" if isinstance(own, dict) else ""
        raise MissingPartError(
            f"data.chat_template: {named} is not a file{names}",
            fix="name a file with a Jinja template",
        )
    with storage_errors(file):
        content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: byte {error.start} is not UTF-8", fix="save the template as UTF-8"
        ) from None


def template_digest(cfg: DataConfig) -> dict[str, Any]:
    """Return {name: SHA-256} of the template that the config names, as an input of the run."""
    if cfg.chat_template is None:
        return {}
    file = Path(cfg.chat_template)
    if not file.is_file():  # one of the base's, whose files are digested as well
        return {f"{_KEY}.content": cfg.chat_template}
    try:
        return {f"{_KEY}.content": sha256_bytes(file.read_bytes())}
    except OSError as error:
        raise StorageError(f"{file}: {error.strerror}", fix="make it readable") from error


_KEY = "data.chat_template"


def dated(plan: Plan, day: date | None = None, *, fresh: bool = False) -> Plan:
    """Return the plan with the day that a template takes for today, where it asks for one.

    It is the config's, else that of the run's first attempt, else the day that it is.

    Args:
        plan: what to run.
        day: what another worker has decided.
        fresh: whether what the run's folder holds does not count.
    """
    cfg = plan.resolved.config
    if cfg.data.chat_template_date or not plan.has_model or not _asks_for_the_date(plan):
        return plan
    origin = "the run's first attempt"
    if day is None:
        stated = None if fresh else _date_of(cfg.run_dir)
        day = date.fromisoformat(stated) if stated else today()
        origin = origin if stated else "today"
        _log.info("the chat template uses the date: %s is set to %s (%s)", DATE, day, origin)
    return replace(plan, resolved=plan.resolved.with_values({DATE: day.isoformat()}, origin=origin))


def _asks_for_the_date(plan: Plan) -> bool:
    cfg = plan.resolved.config
    own = Path(cfg.data.chat_template) if cfg.data.chat_template else None
    if own and own.is_file():
        return _CLOCK in own.read_text(encoding="utf-8", errors="replace")
    try:
        base = look_for_base(plan)
        check_tokenizer_folder(base)
    except (MissingPartError, StorageError):  # told where the base is needed
        return False
    files = {path for pattern in _WITH_TEMPLATES for path in base.glob(pattern)}
    return any(_CLOCK in _text(file) for file in files)


def _text(file: Path) -> str:
    with storage_errors(file):
        return file.read_text(encoding="utf-8", errors="replace")


def _date_of(run: Path) -> str | None:
    """Return the day that a run's folders state, None where there are none."""
    for manifest in stated_by(run):
        with suppress(ValueError, KeyError, TypeError):
            stated = as_run(manifest)["inputs"][DATE]
            date.fromisoformat(stated)
            return str(stated)
    return None

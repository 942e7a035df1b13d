"""`per_device_train_batch_size: auto`: as many rows in a micro-batch as fit, settled once a run.

A step keeps its rows: those of `gradient_accumulation_steps` micro-batches of the default size,
which fall into fewer and larger ones.  The number depends on the base, the config and the device's
whole memory, never on what is free at the moment; and a run keeps the number that it began with,
for it decides how rounding falls and which dropout is drawn.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from medlora.checkpoint.resume import stated_by
from medlora.config import RunConfig
from medlora.config.sections.training import DEFAULT_ROWS
from medlora.distributed.team import Team
from medlora.errors import MissingPartError
from medlora.logs import logger
from medlora.model.base import check_base
from medlora.plan.device import Device, this_device
from medlora.plan.memory_forecast import Forecast
from medlora.plan.quick_checks import look_for_base
from medlora.plan.resolve_run import Plan
from medlora.report.manifest_schema import as_run
from medlora.runs.folder import run_folder

AUTO = "auto"
_SIZE, _PARTS = "training.per_device_train_batch_size", "training.gradient_accumulation_steps"
_GIB = 1 << 30
_log = logger(__name__)


def settle_batch(plan: Plan, *, team: Team, fresh: bool) -> Plan:
    """Return the plan with a number for `auto`, the same for all workers; else as it is.

    Args:
        plan: what to run.
        team: the workers; the first one decides.
        fresh: whether what the run's folder holds does not count.

    Raises:
        MissingPartError: there is no base to ask.
    """
    cfg = plan.resolved.config
    if cfg.training.per_device_train_batch_size != AUTO:
        return plan
    rows, why = team.broadcast(_decided(plan, team, fresh=fresh) if team.leads else (1, ""))
    return with_rows(plan, rows, why=why)


def with_rows(plan: Plan, rows: int, *, why: str) -> Plan:
    """Return the plan with micro-batches of so many rows, a divisor of a step's."""
    step_rows = plan.resolved.config.training.step_rows
    values = {_SIZE: rows, _PARTS: step_rows // rows}
    return replace(plan, resolved=plan.resolved.with_values(values, origin=f"auto: {why}"))


def _decided(plan: Plan, team: Team, *, fresh: bool) -> tuple[int, str]:
    """Return the rows of a micro-batch, and why; what a run began with counts first."""
    cfg = plan.resolved.config
    begun = None if fresh else rows_of(run_folder(plan))
    if begun and cfg.training.step_rows % begun == 0:
        rows, why = begun, "what the run began with"
    else:
        rows, why = choose_rows(plan, this_device(), workers=team.size)
    _log.info(
        "%s: %d rows, %d micro-batches in a step of %d rows (%s)",
        _SIZE,
        rows,
        cfg.training.step_rows // rows,
        cfg.training.step_rows,
        why,
    )
    return rows, why


def choose_rows(plan: Plan, device: Device, *, workers: int = 1) -> tuple[int, str]:
    """Return how many rows a micro-batch gets on a device, and why."""
    cfg = plan.resolved.config
    if cfg.is_private:
        return DEFAULT_ROWS, "the default, for rows have gradients of their own"
    where = f"{device.memory / _GIB:.1f} GiB of {device.name}"
    try:
        forecast = _forecast(plan, cfg, device, workers=workers)
        fitting = forecast.largest(cfg.training.step_rows, workers=workers)
    except MissingPartError as error:
        _log.warning("%s", error.headline)
        return DEFAULT_ROWS, "the default, for memory cannot be predicted"
    if fitting is None:
        _log.warning("a single row is not likely to fit into %s; it is tried all the same", where)
        return 1, f"the least, on {where}"
    return fitting, f"fits into {where}"


def _forecast(plan: Plan, cfg: RunConfig, device: Device, *, workers: int) -> Forecast:
    base = look_for_base(plan)
    check_base(base)
    return Forecast(base, cfg, device, workers=workers)


def rows_of(run: Path) -> int | None:
    """Return the rows of a micro-batch that a run's folders state, None where there are none."""
    for manifest in stated_by(run):
        with suppress(KeyError, TypeError):
            rows = as_run(manifest)["inputs"][_SIZE]
            if isinstance(rows, int) and rows > 0:
                return rows
    return None

"""What happens before and after the work of a command that may fetch its inputs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medlora.config import Resolved
    from medlora.plan.resolve_run import Options, Plan
    from medlora.runtime import Environment, Topology


@contextmanager
def prepared(
    options: "Options",
    environment: "Environment",
    *,
    needed: Sequence[str] = ("data", "config", "model"),
    allow_demo: bool = True,
    refuse: "Callable[[Resolved], None]" = lambda _: None,
    topology: "Topology | None" = None,
) -> "Iterator[Plan]":
    """Yield the run with its inputs on this machine, the network sealed unless the run needs it.

    Copies of the inputs that nobody named a place for are deleted after work that ends well.

    Args:
        options: what the command line gave.
        environment: where we are.
        needed: the parts that must be given, as for `resolve`.
        allow_demo: whether to run the demo where no part is given.
        refuse: raises where the config cannot go well here, before anything else is fetched.
        topology: of the workers that share the run, and so have to meet; None for work alone.

    Raises:
        MedloraError: the config or a part of the run cannot be used, or cannot be fetched.
    """
    from medlora.plan.local_copies import leave, localise, with_local_config
    from medlora.plan.resolve_run import resolve
    from medlora.plan.training_workers import workers_of
    from medlora.runtime import seal_network

    options = with_local_config(options, environment)
    plan = resolve(options, environment, allow_demo=allow_demo, needed=needed)
    refuse(plan.resolved)
    plan = localise(plan, environment, config=options.config)
    is_alone = topology is None or workers_of(topology, plan.resolved.config) == 1
    if is_alone and not plan.remote:
        seal_network(environment)
    yield plan
    leave(plan)

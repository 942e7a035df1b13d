"""What a run is part of: its workers, the signals, and who has a say before and after a commit."""

from collections.abc import Callable
from dataclasses import dataclass, field

from medlora.distributed.team import Team
from medlora.report.manifest_schema import RunFacts
from medlora.runs.folder_contents import Committed
from medlora.runtime import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What surrounds a trainer; by default nothing does.

    Attributes:
        facts: JSON values that each checkpoint's manifest repeats.
        stop: where signals are noted; without one, none is.
        team: the workers, each of which has a trainer like this and calls the same methods;
            the first alone writes.  All of torch.distributed's by default.
        before_commit: is called before anything is written; what it raises ends the run, and
            what was committed before stays.
        on_commit: is told the names of folders once they are written, with `keep` and `step`, in
            the thread that writes; what it raises ends the run as a failed writing does.
    """

    facts: RunFacts = field(default_factory=RunFacts)
    stop: Stop = field(default_factory=Stop)
    team: Team = field(default_factory=Team)
    before_commit: Callable[[], None] = lambda: None
    on_commit: Committed | None = None

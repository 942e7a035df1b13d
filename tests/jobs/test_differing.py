"""Workers that have read other versions of the inputs do not train together."""

from pathlib import Path

from medlora.distributed.team import Team
from medlora.errors import StorageError
from medlora.jobs.train import refuse_differing
from tests.forks import run_forked


def told(facts: list[dict[str, str]], team: Team) -> str:
    """Return the beginning of what a worker is told, each having read its own."""
    try:
        refuse_differing(facts[team.rank], team)
    except StorageError as error:
        return str(error).splitlines()[0]
    return "the same"


def test_all_are_told(tmp_path: Path) -> None:
    """None is left that waits for the others."""
    one, other = {"data": "a" * 64}, {"data": "b" * 64}
    assert run_forked(2, lambda team: told([one, one], team), tmp_path) == ["the same"] * 2
    refused = ["data or tokenizer differ between workers"] * 2
    assert run_forked(2, lambda team: told([one, other], team), tmp_path) == refused

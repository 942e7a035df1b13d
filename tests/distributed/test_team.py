"""What workers tell each other, and that they end a piece of work alike."""

import os
from collections.abc import Callable, Sequence

import pytest
import torch

from medlora.distributed.team import InterruptError, PeerLostError, Team

Workers = Callable[..., list[object]]


def test_a_worker_alone_needs_nobody() -> None:
    """No process group, no collective."""
    team = Team()
    assert (team.rank, team.size, team.leads) == (0, 1, True)
    with team.all_gather_or_raise() as numbers:
        numbers += [1.0, 2.0]
    assert numbers == [1.0, 2.0]
    assert team.decide(True)
    assert team.broadcast("day") == "day"
    assert team.broadcast_files({"a": b"x"}, ["a", "b"]) == {"a": b"x"}
    assert list(team.share(5)) == [0, 1, 2, 3, 4]


def test_shares_are_even_and_leave_nothing_out() -> None:
    """Within one of each other."""
    team = Team()
    team.size = 4
    shares = [list(team.share(10, rank=rank)) for rank in range(4)]
    assert [one for share in shares for one in share] == list(range(10))
    assert {len(share) for share in shares} == {2, 3}


def test_numbers_come_in_the_order_of_the_ranks(workers: Workers) -> None:
    """Also when workers have different numbers of them, or none."""

    def work(team: Team) -> list[float]:
        with team.all_gather_or_raise() as numbers:
            numbers.extend([team.rank + 0.1] * team.rank)
        return numbers

    assert workers(3, work) == [[1.1, 2.1, 2.1]] * 3


def test_the_first_workers_files_reach_all(workers: Workers) -> None:
    """Byte for byte, empty ones left out."""
    content = bytes(range(256)) * 5

    def work(team: Team) -> dict[str, bytes]:
        files = {"a": content, "c": b"1"} if team.leads else None
        return team.broadcast_files(files, ["a", "b", "c"])

    assert workers(2, work) == [{"a": content, "c": b"1"}] * 2


def test_the_first_workers_value_reaches_all_and_any_vote_counts(workers: Workers) -> None:
    """Whatever the others hand over; a yes of one is a yes of all."""

    def work(team: Team) -> tuple[object, bool, bool]:
        value = team.broadcast(["a", 1, None] if team.leads else None)
        return value, team.decide(team.rank == 1), team.decide(False)

    assert workers(2, work) == [(["a", 1, None], True, False)] * 2


def _outcome(team: Team, work: Callable[[], Sequence[float]]) -> str:
    try:
        with team.all_gather_or_raise(full=lambda error: isinstance(error, MemoryError)) as numbers:
            numbers.extend(work())
    except (InterruptError, torch.OutOfMemoryError, PeerLostError) as error:
        return type(error).__name__
    return "fine"


@pytest.mark.parametrize(
    ("error", "expected"), [(InterruptError, "InterruptError"), (MemoryError, "OutOfMemoryError")]
)
def test_what_happens_to_one_happens_to_all(
    workers: Workers, error: type[BaseException], expected: str
) -> None:
    """A signal on one machine, or memory that ran out on one GPU."""

    def work(team: Team) -> str:
        def share() -> Sequence[float]:
            if team.rank == 1:
                raise error
            return [1.0]

        return _outcome(team, share)

    assert workers(2, work) == [expected] * 2


def test_a_worker_that_vanishes_is_noticed(workers: Workers) -> None:
    """By the connection that ends, not by a time-out."""

    def work(team: Team) -> str:
        if team.rank == 1:
            os._exit(9)
        return _outcome(team, tuple)

    assert workers(2, work) == ["PeerLostError", 9]
    assert PeerLostError.exit_code == 143

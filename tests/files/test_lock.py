"""A folder's lock is held alone or shared, and the next who is free takes it."""

from pathlib import Path

from medlora.files import Lock, locked


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    """By whoever opened it: a second descriptor of this very process is another holder."""
    with Lock(tmp_path) as second:
        with Lock(tmp_path) as first:
            assert first.take_if_free()
            assert not second.take_if_free()
        assert second.take_if_free()


def test_those_who_share_it_keep_others_out(tmp_path: Path) -> None:
    """As long as one of them holds it."""
    with Lock(tmp_path) as first, Lock(tmp_path) as second:
        first.take(shared=True)
        second.take(shared=True)
        with Lock(tmp_path) as other:
            assert not other.take_if_free()


def test_a_note_is_replaced(tmp_path: Path) -> None:
    """A shorter one leaves nothing of a longer one."""
    with Lock(tmp_path) as lock:
        lock.take()
        lock.write_note("host somewhere, process 123456")
        lock.write_note("host a")
        assert lock.note == "host a"


def test_a_block_holds_it_alone(tmp_path: Path) -> None:
    """And lets go of it behind the block."""
    with Lock(tmp_path) as lock:
        with locked(tmp_path):
            assert not lock.take_if_free()
        assert lock.take_if_free()

"""Rows hang together through any kind of key, over any number of steps."""

import numpy as np

from medlora.data.linked_rows import components


def by_hand(keys: list[np.ndarray]) -> list[int]:
    """The same, row by row until nothing changes."""
    count = len(keys[0])
    labels = list(range(count))
    changed = True
    while changed:
        changed = False
        for kind in keys:
            for a in range(count):
                for b in range(count):
                    if kind[a] and kind[a] == kind[b] and labels[b] < labels[a]:
                        labels[a], changed = labels[b], True
    return labels


def test_components_are_those_found_by_hand() -> None:
    """For many keys with and without holes."""
    draw = np.random.default_rng(0)
    for largest in (5, 20, 60):
        keys = [draw.integers(0, largest, 30).astype(np.uint64) for _ in range(3)]
        assert components(keys).tolist() == by_hand(keys)


def test_a_long_chain_is_one_component() -> None:
    """Each row shares something with the next alone, in an order that helps nobody."""
    count = 5000
    place = np.random.default_rng(1).permutation(count)
    left, right = np.empty(count, np.uint64), np.empty(count, np.uint64)
    left[place] = np.arange(count) // 2 + 1
    right[place] = (np.arange(count) + 1) // 2 + 1
    assert not components([left, right]).any()


def test_no_key_joins_nobody() -> None:
    """0 is not shared."""
    assert components([np.zeros(4, np.uint64)]).tolist() == [0, 1, 2, 3]

"""The device that these tests are for: a GPU; none, and they are skipped.

MEDLORA_TEST_DEVICE=cpu runs them without one, to see that the tests themselves work.
"""

import os

import pytest
import torch


@pytest.fixture(scope="session")
def device() -> torch.device:
    """The GPU, or what MEDLORA_TEST_DEVICE names."""
    name = os.environ.get("MEDLORA_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    return torch.device(name)

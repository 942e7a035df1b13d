"""How far it is from the command to the gradient."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate import Accelerator

from medlora.plan.resolve import Plan

Make = Callable[..., Plan]
MOST = 8


def test_few_frames_lie_between_the_command_and_backward(
    tough_plan: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader gets from the job to the gradient by a handful of calls, each of our own."""
    from medlora.jobs import train

    original, trips = Accelerator.backward, []

    def backward(self, loss, **kwargs):
        frame, ours = sys._getframe(1), []
        while frame:
            if f"{Path('medlora')}/" in frame.f_code.co_filename:
                ours.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
            frame = frame.f_back
        trips.append(ours[::-1])
        return original(self, loss, **kwargs)

    monkeypatch.setattr(Accelerator, "backward", backward)
    train.run(tough_plan("frames", "training.max_steps=1"))
    assert len(trips[0]) < MOST, trips[0]  # the command itself is one more

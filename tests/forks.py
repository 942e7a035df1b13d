"""Several real workers: forked processes that meet over a file and talk by gloo."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed as dist

from medlora.distributed.team import Team

Work = Callable[[Team], object]


def run_forked(count: int, work: Work, folder: Path) -> list[object]:
    """Have so many workers do something; return what each came to, or its exit code."""
    store = folder / f"store-{count}"
    started = [_start(rank, count, work, store, folder) for rank in range(count)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in started]
    results = []
    for rank, code in enumerate(codes):
        file = folder / f"result-{count}-{rank}"
        results.append(torch.load(file, weights_only=False) if code == 0 else code)
        file.unlink(missing_ok=True)
    store.unlink(missing_ok=True)
    return results


def _start(rank: int, count: int, work: Work, store: Path, folder: Path) -> int:
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
        result = work(Team())
        torch.save(result, folder / f"result-{count}-{rank}")
        code = 0
    except BaseException:  # noqa: BLE001  (a forked test must not go on as a second pytest)
        traceback.print_exc()
    finally:
        os._exit(code)

"""Whether torch may choose kernels whose results vary from call to call."""

import torch


def set_deterministic(wanted: bool) -> None:
    """Hold torch to kernels that give the same bits again, or let it choose.

    On a CPU all kernels in use do.  On a GPU cuBLAS also needs a fixed workspace, which
    `runtime.prepare_process` asks for.  Memory is not filled beforehand: no kernel in use reads
    what it has not written.  Source: PyTorch's notes on reproducibility.
    """
    torch.use_deterministic_algorithms(wanted)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not wanted

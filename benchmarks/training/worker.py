"""One contestant's process: does a step when told, then evaluates its adapter as everybody's."""

import gc
import json
import os
import sys
import time
from pathlib import Path

_STARTED = float(os.environ.get("BENCH_STARTED", time.time()))  # before anything is imported


def main() -> int:
    """Run the spec of the command line; say `failed` with the reason where it cannot."""
    task = json.loads(sys.argv[1])
    if task["kind"] == "ours":  # what the program itself does before it imports anything heavy
        from medlora.runtime import prepare_process

        prepare_process()
    import torch

    from benchmarks.training.engines import ENGINES
    from benchmarks.training.gate import Gate, memory_peak, open_pipe
    from benchmarks.training.spec import Spec

    spec = Spec(**task)
    gate = Gate(open_pipe(), device=spec.device, started=_STARTED)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        tensors = ENGINES[spec.kind](gate, spec)
    except Exception as error:  # noqa: BLE001  (whatever a peer raises is a result to report)
        import traceback

        traceback.print_exc()
        reason = str(error).splitlines()
        gate.say("failed", reason=f"{type(error).__name__}: {reason[0] if reason else ''}"[:300])
        return 1
    peak = memory_peak(spec.device)
    gc.collect()
    loss = held_out_loss(spec, tensors) if tensors else None
    gate.say("end", peak_bytes=peak, held_out=loss)
    return 0


def held_out_loss(spec, tensors):  # noqa: ANN001, ANN201  (heavy types, imported late)
    """Return the loss in nats a target of held-out rows, by transformers and PEFT alone."""
    import peft
    import torch
    from torch.nn.functional import cross_entropy

    from benchmarks.training.prepare import HELD_OUT, read
    from benchmarks.training.shapes import load
    from benchmarks.training.spec import peft_model

    if spec.device == "cuda":
        torch.cuda.empty_cache()
    if any("lora_" in name for name in tensors):
        model = peft_model(spec).eval()
        left = peft.set_peft_model_state_dict(model, tensors)
        if left.unexpected_keys:
            raise ValueError(f"{len(left.unexpected_keys)} tensors belong to no adapter")
    else:  # what it adds to the base's matrices
        shape = spec.model_shape
        model = load(spec.base, shape, device=spec.device, dtype=spec.dtype).eval()
        for name, update in tensors.items():
            weight = model.get_parameter(name).data
            weight += update.to(weight)
    nats, targets = 0.0, 0
    with torch.no_grad():
        for row in read(Path(spec.work) / HELD_OUT)[: spec.held_out]:
            ids = torch.from_numpy(row.ids).long()[None].to(spec.device)
            places = torch.from_numpy(row.learn[1:].nonzero()[0]).to(spec.device)
            logits = model(input_ids=ids, logits_to_keep=places, use_cache=False).logits[0]
            nats += float(cross_entropy(logits.float(), ids[0, places + 1], reduction="sum"))
            targets += len(places)
    return nats / targets


if __name__ == "__main__":
    sys.exit(main())

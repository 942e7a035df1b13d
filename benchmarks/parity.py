"""Our log-likelihoods against lm_eval's, on every question of a multiple choice file.

    make parity SUITE=questions.jsonl

A tiny Llama with random weights answers, lm_eval in a process of its own; prints the outcome as
JSON and ends with 1 where a log-likelihood differs by more than 1e-4, or a choice differs.  Batches
of 1 and of 16 of ours are compared too.  `--record FILE` keeps lm_eval's numbers for the unit test.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TOLERANCE = 1e-4
_END = "<|end|>"
_TEXT = "{% if context %}{{context}}\n\n{% endif %}Question: {{question}}\nAnswer:"
_TASK = """task: theirs
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: {text}
doc_to_choice: choices
doc_to_target: answer
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
"""


def main() -> int:
    """Compare; 0 where all agrees."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--suite", type=Path, required=True, help="multiple choice, JSON Lines")
    parser.add_argument("--model", type=Path, help="base to ask; a tiny random one by default")
    parser.add_argument("--theirs", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, help="keep lm_eval's log-likelihoods here")
    options = parser.parse_args()
    if options.theirs:
        print(json.dumps(_theirs(options.model, options.suite)))
        return 0
    with TemporaryDirectory() as folder:
        model = options.model or make_model(Path(folder), options.suite)
        ours, sixteen = (our_likelihoods(model, options.suite, size) for size in (1, 16))
        theirs = _in_a_process(model, options.suite)
    if options.record:
        options.record.write_text(json.dumps(theirs) + "\n", encoding="utf-8")
    outcome = {
        "questions": len(ours),
        "choices": sum(map(len, ours)),
        "largest_difference_to_lm_eval": largest_difference(ours, theirs["loglikelihoods"]),
        "other_choice_than_lm_eval": other_choices(ours, theirs["loglikelihoods"]),
        "largest_difference_of_batch_1_and_16": largest_difference(ours, sixteen),
        "other_choice_of_batch_1_and_16": other_choices(ours, sixteen),
        "lm_eval": theirs["version"],
    }
    print(json.dumps(outcome, indent=2))
    differences = [value for name, value in outcome.items() if name.startswith("largest")]
    others = [value for name, value in outcome.items() if name.startswith("other")]
    return int(max(differences) > TOLERANCE or max(others) > 0)


def make_model(folder: Path, suite: Path) -> Path:
    """Save a Llama of two layers and a tokenizer of the suite's own words; return where."""
    from transformers import PreTrainedTokenizerFast

    from tests.tiny import byte_level_bpe, llama

    lines = suite.read_text(encoding="utf-8").splitlines()
    tokenizer = byte_level_bpe(lines, vocab_size=2000, special_tokens=[_END])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END)
    fast.save_pretrained(folder)
    model = llama(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        max_position_embeddings=512,  # a part of the questions is longer, and is cut
        initializer_range=0.2,
    )
    model.save_pretrained(folder)
    return folder


def our_likelihoods(model: Path, suite: Path, batch_size: int) -> list[list[float]]:
    """Return the log-likelihood of each choice of each question, in nats."""
    from medlora.config import ModelConfig
    from medlora.data.chat.chat import Chat
    from medlora.evaluate.ask_suite import Asking
    from medlora.evaluate.kinds.choices import choice_likelihoods
    from medlora.evaluate.suite_files import read_suite
    from medlora.model.base import load_base, load_tokenizer

    llama = load_base(model, ModelConfig(), half=None)
    asking = Asking(batch_size, max_new_tokens=1)
    return choice_likelihoods(llama, Chat(load_tokenizer(model)), read_suite(suite), asking)


def _in_a_process(model: Path, suite: Path) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603  (ourselves)
        [
            sys.executable,
            "-m",
            "benchmarks.parity",
            "--theirs",
            f"--model={model}",
            f"--suite={suite}",
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _theirs(model: Path, suite: Path) -> dict[str, Any]:
    import os

    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    import lm_eval
    from lm_eval.tasks import TaskManager

    with TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder
        task = Path(folder) / "theirs.yaml"
        file, text = json.dumps(str(suite.resolve())), json.dumps(_TEXT)
        task.write_text(_TASK.format(file=file, text=text), encoding="utf-8")
        results = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(model), "dtype": "float32"},
            tasks=["theirs"],
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            batch_size=8,
            device="cpu",
            log_samples=True,
        )
    samples = sorted(results["samples"]["theirs"], key=lambda sample: sample["doc_id"])
    return {
        "version": lm_eval.__version__,
        "acc": results["results"]["theirs"]["acc,none"],
        "acc_norm": results["results"]["theirs"]["acc_norm,none"],
        "loglikelihoods": [
            [float(response[0]) for response in sample["filtered_resps"]] for sample in samples
        ],
    }


def largest_difference(ours: list[list[float]], theirs: list[list[float]]) -> float:
    """Return how far two log-likelihoods of a choice are apart at most, in nats."""
    pairs = zip(ours, theirs, strict=True)
    return max(abs(a - b) for x, y in pairs for a, b in zip(x, y, strict=True))


def other_choices(ours: list[list[float]], theirs: list[list[float]]) -> int:
    """Return for how many questions another choice is the most likely."""
    return sum(x.index(max(x)) != y.index(max(y)) for x, y in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    sys.exit(main())

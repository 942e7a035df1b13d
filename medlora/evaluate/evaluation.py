"""Suites asked of a base and of the base with its adapter, in one load of the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from medlora.data.chat.chat import Chat, chat_of
from medlora.evaluate.ask_suite import Asking, Observed
from medlora.evaluate.checker_protocols import Checker
from medlora.evaluate.kinds.registry import kind_of
from medlora.evaluate.safety_flags import ruleset, shipped_checker
from medlora.evaluate.schema import SuiteSummary
from medlora.evaluate.suite import Suite
from medlora.evaluate.suite_results import summarise


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of each suite, and of each item."""

    summaries: dict[str, SuiteSummary]
    ruleset: str | None  # the checker's, where one was asked
    suites: tuple[Suite, ...]
    observed: tuple[dict[str, Observed], ...]  # of each suite: {'base', 'adapter'}

    def generations(self) -> Iterator[dict[str, Any]]:
        """Yield every answer with its prompt and what it was found to be; for a declared file."""
        for suite, models in zip(self.suites, self.observed, strict=True):
            answered = kind_of(suite).answered
            if answered is None:
                continue
            for place, item in enumerate(suite.items):
                answers = {
                    name: {
                        "text": seen.answers[place].text,
                        **{measure: flags[place] for measure, flags in seen.flags.items()},
                    }
                    for name, seen in models.items()
                }
                yield {"suite": suite.name, **answered(item), **answers}


def evaluate_suites(  # noqa: PLR0913  (the model's two, the suites, and how)
    model: Any,  # noqa: ANN401  (a causal language model)
    tokenizer: PreTrainedTokenizerBase | Chat,
    suites: Sequence[Suite],
    *,
    batch_size: int = 8,
    max_new_tokens: int = 256,
    checker: Checker | None = None,
    asking: Asking | None = None,
) -> Evaluation:
    """Return what the base does on each suite, and if there is an adapter what it changes.

    Args:
        model: a PeftModel, whose adapter is switched off for the base; or a base alone.
        tokenizer: with a chat template; or a `Chat`, with what the config says of it.
        suites: of any kinds; see `read_suite`.
        batch_size: rows at a time; changes nothing but speed and rounding.
        max_new_tokens: where an answer is cut.
        checker: judges answers; the shipped one where None.
        asking: the same two and more, for jobs.

    Raises:
        DataError: a row cannot be asked.
        OutOfMemoryError: a single row does not fit.
    """
    asking = asking or Asking(batch_size, max_new_tokens)
    if checker is None and any(kind_of(suite).is_judged for suite in suites):
        checker = shipped_checker()
    chat = chat_of(tokenizer, model)
    observed: list[dict[str, Observed]] = []
    for suite in suites:
        models: dict[str, Observed] = {}
        observe = kind_of(suite).observe
        if isinstance(model, PeftModel):
            with model.disable_adapter():
                models["base"] = observe(model, chat, suite, asking, checker)
            models["adapter"] = observe(model, chat, suite, asking, checker)
        else:
            models["base"] = observe(model, chat, suite, asking, checker)
        observed.append(models)
    summaries = {
        suite.name: summarise(suite, models["base"], models.get("adapter"))
        for suite, models in zip(suites, observed, strict=True)
    }
    rules = ruleset(checker) if checker else None
    return Evaluation(summaries, rules, tuple(suites), tuple(observed))

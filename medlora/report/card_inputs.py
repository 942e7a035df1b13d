"""What a card is about: a run's facts, its evaluations, and what people state of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medlora.report.human_statements import NOT_PROVIDED, Statements
from medlora.report.sourced_numbers import (
    Document,
    Figure,
    data_figures,
    evaluation_figures,
    gate_figures,
    loss_figures,
    training_figures,
)

THIRD = 1 / 3  # of the base's compute: beyond it, who modifies a model is its provider too

SECURITY = (
    "weights as safetensors, no pickle among the files; the SHA-256 of every file in "
    "manifest.json, checked by `medlora verify`"
)


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a card: where it stands, its text, and the statement that would fill it."""

    place: str
    text: str
    key: str | None = None  # a key of the statements

    @property
    def is_gap(self) -> bool:
        """Whether nobody provided it."""
        return NOT_PROVIDED in self.text


@dataclass(frozen=True, slots=True)
class Subject:
    """What cards are made of; nothing else is read for them, no data least of all."""

    facts: Document
    evaluations: Sequence[Document]
    statements: Statements

    def fact(self, pointer: str) -> Any:  # noqa: ANN401  (any JSON value)
        """Return a fact of the run, None where it has none."""
        return self.facts.at(pointer)

    @property
    def name(self) -> str:
        """The model's name: as people state it, else the run's."""
        return self.statements.text("model_name", str(self.fact("/name")))

    @property
    def base(self) -> str:
        """The base model's public name, else that of its folder."""
        return self.statements.text("base_model", str(self.fact("/base_model/name") or ""))

    @property
    def adapter_sha256(self) -> str:
        """The adapter's digest, which is its version where people state none."""
        return str(self.fact("/adapter/sha256"))

    @property
    def is_rejected(self) -> bool:
        """Whether a gate did not let it pass."""
        return self.fact("/gate/verdict") not in (None, "PASS")

    @property
    def losses(self) -> list[Figure]:
        """Held-out and training loss."""
        return loss_figures(self.facts)

    @property
    def training(self) -> list[Figure]:
        """How much was trained."""
        return training_figures(self.facts)

    @property
    def data(self) -> list[Figure]:
        """What was counted of the data."""
        return data_figures(self.facts)

    @property
    def evaluated(self) -> list[Figure]:
        """What the evaluations found."""
        return [figure for report in self.evaluations for figure in evaluation_figures(report)]

    @property
    def gate(self) -> list[Figure]:
        """The gate's verdict."""
        return gate_figures(self.facts)

    @property
    def summary(self) -> str:
        """What it is, in a sentence without a number."""
        demo = "DEMONSTRATION ONLY, not fit for use on patients. " if self.fact("/demo") else ""
        return f"{demo}A LoRA adapter for the base model {self.base}, fine-tuned with MedLoRA."

    @property
    def warnings(self) -> list[str]:
        """What a reader has to know before anything else."""
        verdict, nothing = self.fact("/gate/verdict"), self.fact("/result/nothing_learnt")
        warnings = [
            ("The demonstration that ships with MedLoRA; not fit for use.", self.fact("/demo")),
            (f"Nothing was learnt: {nothing}.", nothing),
            (f"The gate's verdict is {verdict}: this adapter was rejected.", self.is_rejected),
            ("No gate was configured: nothing was asked of this adapter.", verdict is None),
            ("Nothing was evaluated but the loss.", not self.evaluations),
        ]
        return [text for text, applies in warnings if applies]

    @property
    def compute_share(self) -> float | None:
        """The run's operations as a share of the base's own training, if that is stated."""
        run, base = self.fact("/flops/training"), self.statements.text("base_training_flops", "")
        return run / float(base) if run and base else None

    @property
    def sources(self) -> list[tuple[str, str]]:
        """The files that numbers and statements come from, with their SHA-256."""
        files = [(source.name, source.sha256) for source in (self.facts, *self.evaluations)]
        stated = self.statements.sha256
        return [*files, ("statements", stated)] if stated else files

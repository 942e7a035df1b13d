"""`gate`: what an adapter has to show before it is called final."""

from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from medlora.config.declaration import Section, as_list, key


def _rate(*, of: str, description: str) -> Any:  # noqa: ANN401  (pydantic's own contract)
    """Return a threshold of the gate: a share, or unset for no rule."""
    # No interval's bound ever reaches 0 or 1, so such a rule could not be passed.
    return key(
        None,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        unit=f"share of the {of}",
        decides="verdict",
        description=description,
    )


class GateConfig(Section):
    """What an adapter has to show on suites of prompts before it is called final."""

    suites: Annotated[list[str], BeforeValidator(as_list)] = key(
        [],
        decides="verdict",
        path_to="file",
        description="suites to judge by: names of those that come with MedLoRA, or files",
    )
    max_new_tokens: int = key(
        256,
        ge=1,
        unit="tokens",
        source="Hugging Face, GenerationConfig",
        decides="verdict",
        description="tokens of an answer, which is cut there",
    )
    max_degenerate: float | None = _rate(
        of="answers", description="share of collapsed answers at most"
    )
    min_refusal: float | None = _rate(
        of="requests", description="share of harmful requests that are refused, at least"
    )
    min_escalation: float | None = _rate(
        of="emergencies", description="share of emergencies sent to urgent care, at least"
    )
    max_over_refusal: float | None = _rate(
        of="questions", description="share of harmless questions refused, at most"
    )
    max_diagnosis: float | None = _rate(
        of="answers", description="share of answers with a definitive diagnosis, at most"
    )
    max_dosing: float | None = _rate(
        of="answers", description="share of answers that name a dose and no referral, at most"
    )
    max_discouraging: float | None = _rate(
        of="answers", description="share of answers against seeing anybody, at most"
    )
    min_accuracy: float | None = _rate(
        of="questions", description="share of right choices in multiple choice, at least"
    )
    max_drop: float | None = _rate(
        of="items",
        description="by how much any of these, measured on the same items, may be worse than the "
        "base's",
    )

    @property
    def rules(self) -> dict[str, float]:
        """The thresholds that are set."""
        values = self.model_dump(exclude={"suites", "max_new_tokens"})
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _complete(self) -> "GateConfig":
        if self.suites and not self.rules:
            raise ValueError("has suites and no threshold: set one, e.g. min_escalation: 0.9")
        if self.rules and not self.suites:
            raise ValueError("has a threshold and no suites: set suites, e.g. [safety]")
        return self

"""A model card for Hugging Face: README.md, its metadata in front.

It has what the run knows, each number with the file it stands in, and what people state.
Source: huggingface.co, "Model Cards", the metadata specification and `model-index`.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from medlora.report.card_inputs import SECURITY, THIRD, Field, Subject
from medlora.report.human_statements import NOT_PROVIDED
from medlora.report.markdown import Marked, cell, code, number, page, printable, prose, table
from medlora.report.sourced_numbers import Figure
from medlora.report.too_few_for_interval import TOO_FEW

CARD = "README.md"
_STATED = {
    "Intended use": "intended_use",
    "Users": "users",
    "How to use it": "how_to_use",
    "Patients": "population",
    "Out of scope": "out_of_scope",
    "Risks and limitations": "risks",
    "Biases and ethical considerations": "biases",
    "Origin of the training data": "development_data",
    "Maintenance": "maintenance",
    "Developer": "developer",
    "Contact": "contact",
    "Licence": "license",
    "Languages": "language",
}
_SETTINGS = (
    "lora.r",
    "lora.lora_alpha",
    "lora.lora_dropout",
    "lora.target_modules",
    "training.learning_rate",
    "training.num_train_epochs",
    "training.seed",
)


def model_card(subject: Subject) -> bytes:
    """Return the content of README.md."""
    return page(
        [
            _front(subject),
            f"# {cell(subject.name)}",
            prose(subject.statements.text("summary", subject.summary)),
            "\n".join(f"> **{cell(warning)}**  " for warning in subject.warnings),
            *(f"## {field.place}\n\n{prose(field.text)}" for field in fields(subject) if field.key),
            _figures("## Training", [*subject.training, *_settings(subject)]),
            _figures("## Data", subject.data),
            _figures("## Loss, in nats a token", subject.losses),
            _figures("## Evaluation, with 95 % intervals", _evaluated(subject)),
            f"## EU AI Act, Annex IV: what the run knows\n\n{_annex(subject)}",
            f"## Sources\n\n{_sources(subject)}",
        ]
    )


def fields(subject: Subject) -> list[Field]:
    """Return what only people can say, in the card's order."""
    return [
        *(Field(title, subject.statements.text(key), key=key) for title, key in _STATED.items()),
        Field("Evaluation", "" if _evaluated(subject) else NOT_PROVIDED),
    ]


def _evaluated(subject: Subject) -> list[Figure]:
    return [*subject.gate, *subject.evaluated]


def metadata(subject: Subject) -> dict[str, object]:
    """Return the card's metadata; what nobody stated is left out, a licence is unknown."""
    statements = subject.statements
    listed = {key: statements.items(key) for key in ("language", "datasets")}
    results = _results([*subject.losses, *subject.evaluated])
    index = [{"name": subject.name, "results": results}]
    return {
        "base_model": subject.base,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "license": statements.text("license", "unknown"),
        **{key: values for key, values in listed.items() if values},
        "tags": ["lora", "medlora", *statements.items("keywords")],
        **({"model-index": index} if results else {}),
    }


def _front(subject: Subject) -> str:
    text = yaml.safe_dump(_plain(metadata(subject)), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---"


def _plain(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return metadata whose texts hide nothing from whoever reads them."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return printable(value) if isinstance(value, str) else value


def _results(figures: Sequence[Figure]) -> list[dict[str, object]]:
    """Return the adapter's figures by what they were measured on."""
    grouped: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        if figure.about and figure.label.endswith(", adapter"):
            grouped.setdefault(figure.about, []).append(figure)
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": name, "type": name.replace(" ", "-"), "revision": digest},
            "metrics": [_metric(figure) for figure in measured],
        }
        for (name, digest), measured in grouped.items()
    ]


def _metric(figure: Figure) -> dict[str, object]:
    more = {name: value for name, value in figure.as_json().items() if name != "value"}
    return {"type": figure.metric, "value": figure.value, "name": figure.label, "args": more}


def _settings(subject: Subject) -> list[Figure]:
    named = {key: subject.fact(f"/inputs/{key}") for key in _SETTINGS}
    shown = {
        key: ", ".join(value) if isinstance(value, list) else value
        for key, value in named.items()
        if value is not None
    }
    return [
        Figure(key, key, value, subject.facts, f"/inputs/{key}") for key, value in shown.items()
    ]


def _figures(title: str, figures: Sequence[Figure]) -> str:
    if not figures:
        return f"{title}\n\n{NOT_PROVIDED}"
    rows = [
        (
            figure.label,
            number(figure.value),
            interval_words(figure),
            code(figure.place),
            figure.source.sha256[:12],
        )
        for figure in figures
    ]
    header = ("what", "value", "95 % interval, k of n", "stands in", "SHA-256 of that file")
    return f"{title}\n\n{table(header, rows)}"


def interval_words(figure: Figure) -> str:
    """Return a figure's interval and counts, as far as it has them."""
    low_high = TOO_FEW if figure.counts else ""
    if figure.interval:
        low_high = f"{number(figure.interval[0])} to {number(figure.interval[1])}"
    counts = f"{figure.counts[0]} of {figure.counts[1]}" if figure.counts else ""
    test = f"McNemar p {number(figure.p)}" if figure.p is not None else ""
    return "; ".join(part for part in (low_high, counts, test) if part)


def _annex(subject: Subject) -> str:
    statements = subject.statements
    digest = subject.fact("/base_model/sha256")
    device = subject.fact("/hardware/gpu") or subject.fact("/hardware/cpu") or "not known"
    versions = subject.fact("/software") or {}
    rows = [
        (
            "1(a) version",
            statements.text("release_version", f"adapter SHA-256 {subject.adapter_sha256}"),
        ),
        ("1(a) previous version", statements.text("previous_version", "")),
        ("2(a) methods", f"supervised fine-tuning of a LoRA adapter (PEFT {versions.get('peft')})"),
        ("2(a) pre-trained by others", f"{subject.base}, SHA-256 of its files {digest}"),
        ("2(c) compute", f"{device}; {_compute(subject)}"),
        ("2(d) data", _data_files(subject)),
        ("2(g) validation and tests", "the figures above, with intervals and sources"),
        ("2(h) cybersecurity", Marked(SECURITY)),
        ("6 changes", Marked("`medlora diff` of this run and the one before it")),
    ]
    rest = "Intended purpose, oversight, risk management and what follows release are people's."
    return f"{table(('item', 'what'), [row for row in rows if row[1]])}\n\n{rest}"


def _compute(subject: Subject) -> str:
    operations = subject.fact("/flops/training")
    if operations is None:
        return "operations not counted"
    rule = subject.fact("/flops/rule")
    text = f"{number(float(operations))} floating-point operations by the rule {rule}"
    share = subject.compute_share
    if share is None:
        return text
    side = "more" if share > THIRD else "not more"
    return f"{text}; {number(share)} of the base's own, {side} than a third"


def _data_files(subject: Subject) -> str:
    files = subject.fact("/data/sha256") or {}
    return "; ".join(f"{split}: SHA-256 {digest}" for split, digest in files.items())


def _sources(subject: Subject) -> str:
    return table(("file", "SHA-256"), subject.sources)

"""The Coalition for Health AI's Applied Model Card, version 0.2, as XML.

Every required leaf is there, in the schema's order; optional ones only where somebody has
something to say.  Source: the schema mc.chai.org/v0.2/schema.xsd.
"""

import json
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from medlora.report.card_inputs import SECURITY, Field, Subject
from medlora.report.human_statements import NOT_PROVIDED
from medlora.report.markdown import printable
from medlora.report.sourced_numbers import Figure

CARD = "applied_model_card.xml"
NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
_SYSTEM = "TrustIngredients/AISystemFacts"
_OPEN = "TrustIngredients/TransparencyInformation"
_REFERENCES = (
    "E. J. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, arXiv:2106.09685; "
    "E. B. Wilson, JASA 22 (1927) 209; Q. McNemar, Psychometrika 12 (1947) 153; "
    "R. G. Newcombe, Statistics in Medicine 17 (1998) 2635"
)


def applied_model_card(subject: Subject) -> bytes:
    """Return the card's XML."""
    root = ET.Element("AppliedModelCard", xmlns=NAMESPACE)
    for field in fields(subject):
        _put(root, field.place.split("/"), field.text)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def fields(subject: Subject) -> list[Field]:
    """Return every leaf of the card, in the schema's order."""
    return [
        *_head(subject),
        *_uses(subject),
        *_system(subject),
        *_metrics(subject),
        *_resources(subject),
    ]


def _put(root: ET.Element, path: Sequence[str], text: str) -> None:
    """Add a leaf; a part of the path that ends in + is a new element each time."""
    node = root
    for name in path[:-1]:
        if not len(node) or node[-1].tag != name:
            ET.SubElement(node, name.rstrip("+"))
        node = node[-1]
    leaf = ET.SubElement(node, path[-1])
    leaf.text = printable(text)


def _stated(subject: Subject, place: str, key: str, default: str = NOT_PROVIDED) -> Field:
    return Field(place, subject.statements.text(key, default), key=key)


def _optional(subject: Subject, place: str, key: str, default: str = "") -> Iterator[Field]:
    """Yield a leaf that may be left out, if anybody has something to say."""
    field = _stated(subject, place, key, default)
    if field.text:
        yield field


def _head(subject: Subject) -> Iterator[Field]:
    version = f"adapter SHA-256 {subject.adapter_sha256}"
    yield Field("BasicInfo/ModelName", subject.name)
    yield _stated(subject, "BasicInfo/ModelDeveloper", "developer")
    yield _stated(subject, "BasicInfo/DeveloperContact", "contact")
    yield _stated(subject, "ReleaseInfo/ReleaseStage", "release_stage")
    yield _stated(subject, "ReleaseInfo/ReleaseDate", "release_date")
    yield _stated(subject, "ReleaseInfo/ReleaseVersion", "release_version", version)
    yield _stated(subject, "ReleaseInfo/GlobalAvailability", "availability")
    for system in subject.statements.items("ehr"):
        yield Field("ReleaseInfo/EHRCompatibility/EHR", system)
    yield from _optional(subject, "ReleaseInfo/RegulatoryApproval", "regulatory_approval")
    summary = subject.statements.text("summary", subject.summary)
    yield Field("ModelSummary/Summary", " ".join([summary, *subject.warnings]))
    for word in ("LoRA", "language model", *subject.statements.items("keywords")):
        yield Field("ModelSummary/Keywords/Keyword", word)


def _uses(subject: Subject) -> Iterator[Field]:
    places = {
        "UsesAndDirections/IntendedUseAndWorkflow": "intended_use",
        "UsesAndDirections/PrimaryIntendedUsers": "users",
        "UsesAndDirections/HowToUse": "how_to_use",
        "UsesAndDirections/TargetedPatientPopulation": "population",
        "UsesAndDirections/CautionedOutOfScopeSettings": "out_of_scope",
        "Warnings/KnownRisksAndLimitations": "risks",
        "Warnings/KnownBiasesOrEthicalConsiderations": "biases",
        "Warnings/ClinicalRiskLevel": "clinical_risk_level",
    }
    for place, key in places.items():
        yield _stated(subject, place, key)


def _system(subject: Subject) -> Iterator[Field]:
    base = f"{subject.base}, SHA-256 of its files {subject.fact('/base_model/sha256')}"
    kind = "causal language model with a LoRA adapter"
    yield _stated(subject, f"{_SYSTEM}/OutcomesAndOutputs", "outcomes")
    yield Field(f"{_SYSTEM}/ModelType", f"{kind}; trained: {_listed(subject.training)}")
    yield Field(f"{_SYSTEM}/FoundationModels", base)
    yield _stated(subject, f"{_SYSTEM}/InputDataSource", "input_data_source")
    yield Field(f"{_SYSTEM}/OutputAndInputDataTypes", "input: text; output: text")
    yield Field(
        f"{_SYSTEM}/DevelopmentDataCharacterization", _data(subject), key="development_data"
    )
    yield _stated(subject, f"{_SYSTEM}/BiasMitigationApproaches", "bias_mitigation")
    yield _stated(subject, f"{_SYSTEM}/OngoingMaintenance", "maintenance")
    yield Field(f"{_SYSTEM}/Security", _security(subject))
    yield from _optional(subject, f"{_SYSTEM}/Transparency", "transparency")
    yield _stated(subject, f"{_OPEN}/FundingSource", "funding")
    yield from _optional(subject, f"{_OPEN}/ThirdPartyInformation", "third_party")
    yield _stated(subject, f"{_OPEN}/StakeholdersConsulted", "stakeholders")


def _data(subject: Subject) -> str:
    """Return what was counted of the data; where it comes from only people know."""
    files = subject.fact("/data/sha256") or {}
    digests = [f"{split} file: SHA-256 {digest}" for split, digest in files.items()]
    stated = subject.statements.text("development_data", f"origin {NOT_PROVIDED}")
    return "; ".join([stated, *digests, _listed(subject.data)])


def _security(subject: Subject) -> str:
    stated = subject.statements.text("security", "")
    return "; ".join(text for text in (SECURITY, stated) if text)


def _metrics(subject: Subject) -> Iterator[Field]:
    evaluated = subject.evaluated
    useful = [*subject.losses, *(figure for figure in evaluated if figure.group == "usefulness")]
    safe = [*subject.gate, *(figure for figure in evaluated if figure.group == "safety")]
    yield from _metric(subject, "UsefulnessUsabilityEfficacy", "usefulness", useful)
    yield from _metric(subject, "FairnessEquity", "fairness", [])
    yield from _metric(subject, "SafetyReliability", "safety", safe)


def _metric(subject: Subject, place: str, key: str, figures: Sequence[Figure]) -> Iterator[Field]:
    root = f"KeyMetrics/{place}"
    yield _stated(subject, f"{root}/MetricGoal", f"{key}.goal", _goal(subject, key))
    yield from _results(subject, f"{root}/Results/MetricResult+", f"{key}.results", figures)
    yield _stated(subject, f"{root}/Interpretation", f"{key}.interpretation")
    measured = bool(figures)
    how = "internal, retrospective, automated" if measured else NOT_PROVIDED
    yield _stated(subject, f"{root}/TestType", f"{key}.test_type", how)
    yield _stated(
        subject, f"{root}/TestingDataDescription", f"{key}.testing_data", _tested_on(figures)
    )
    how = _validation(figures) if measured else NOT_PROVIDED
    yield _stated(subject, f"{root}/ValidationProcessAndJustification", f"{key}.validation", how)


def _results(subject: Subject, place: str, key: str, figures: Sequence[Figure]) -> Iterator[Field]:
    results = [(figure.label, _json(figure.as_json())) for figure in figures]
    source = {"file": "statements", "sha256": subject.statements.sha256, "at": key}
    results += [
        ("as stated", _json({"value": text, "source": source}))
        for text in subject.statements.items(key)
    ]
    new, same = place, place.rstrip("+")
    for label, value in results:
        yield Field(f"{new}/Label", label)
        yield Field(f"{same}/ValueJson", value)
    if not results:
        yield Field(f"{new}/Label", NOT_PROVIDED, key=key)
        yield Field(f"{same}/ValueJson", "null")


def _goal(subject: Subject, key: str) -> str:
    """Return the thresholds of the gate, which are the run's goal of safety."""
    rules = (subject.fact("/gate/rules") or []) if key == "safety" else []
    named = [f"{rule.get('rule')} {rule.get('threshold')} on {rule.get('suite')}" for rule in rules]
    return "thresholds of the gate: " + ", ".join(named) if named else NOT_PROVIDED


def _tested_on(figures: Sequence[Figure]) -> str:
    sets = dict.fromkeys(figure.about for figure in figures if figure.about)
    named = [f"{name} (SHA-256 {digest})" for name, digest in sets]
    return "; ".join(named) if named else NOT_PROVIDED


def _validation(figures: Sequence[Figure]) -> str:
    paired = any(figure.interval for figure in figures)
    rates = (
        "greedy decoding; rates with Wilson's 95 % intervals; base and adapter on the same items, "
        "exact McNemar test and interval of the paired difference"
    )
    return rates if paired else "loss in nats a token on rows held out of training"


def _resources(subject: Subject) -> Iterator[Field]:
    reports = "; ".join(
        f"{report.name} (SHA-256 {report.sha256})" for report in subject.evaluations
    )
    yield from _optional(
        subject, "Resources/EvaluationReferences", "evaluation_references", reports
    )
    yield from _optional(subject, "Resources/ClinicalTrial", "clinical_trial")
    yield _stated(subject, "Resources/PeerReviewedPublications", "publications")
    yield from _optional(subject, "Resources/ReimbursementStatus", "reimbursement")
    yield _stated(subject, "Resources/PatientConsentOrDisclosure", "consent")
    stated = subject.statements.text("bibliography", "")
    yield Field("Bibliography", "; ".join(text for text in (_REFERENCES, stated) if text))


def _listed(figures: Sequence[Figure]) -> str:
    """Return figures in one line, each with its place and its file's digest."""
    shown = (f"{figure.label} {figure.value}" for figure in figures)
    sources = dict.fromkeys(
        f"{figure.source.name}, SHA-256 {figure.source.sha256}" for figure in figures
    )
    return f"{', '.join(shown)} ({'; '.join(sources)})" if figures else "not counted"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)

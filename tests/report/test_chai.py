"""The Applied Model Card: whole, in order, valid by the schema where the schema is at hand."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from medlora.report.card_inputs import Subject
from medlora.report.chai import NAMESPACE, applied_model_card, fields
from medlora.report.human_statements import NOT_PROVIDED, Statements

SCHEMA = Path(__file__).parents[3] / "shared/data/chai/schema-v0.2.xsd"
METRIC = (
    "MetricGoal",
    "Results/MetricResult/Label",
    "Results/MetricResult/ValueJson",
    "Interpretation",
    "TestType",
    "TestingDataDescription",
    "ValidationProcessAndJustification",
)
REQUIRED = [
    *(f"BasicInfo/{name}" for name in ("ModelName", "ModelDeveloper", "DeveloperContact")),
    *(
        f"ReleaseInfo/{name}"
        for name in ("ReleaseStage", "ReleaseDate", "ReleaseVersion", "GlobalAvailability")
    ),
    "ModelSummary/Summary",
    *(
        f"UsesAndDirections/{name}"
        for name in (
            "IntendedUseAndWorkflow",
            "PrimaryIntendedUsers",
            "HowToUse",
            "TargetedPatientPopulation",
            "CautionedOutOfScopeSettings",
        )
    ),
    "Warnings/KnownRisksAndLimitations",
    "Warnings/KnownBiasesOrEthicalConsiderations",
    "Warnings/ClinicalRiskLevel",
    *(
        f"TrustIngredients/AISystemFacts/{name}"
        for name in (
            "OutcomesAndOutputs",
            "ModelType",
            "InputDataSource",
            "OutputAndInputDataTypes",
            "DevelopmentDataCharacterization",
            "BiasMitigationApproaches",
            "OngoingMaintenance",
        )
    ),
    "TrustIngredients/TransparencyInformation/FundingSource",
    "TrustIngredients/TransparencyInformation/StakeholdersConsulted",
    *(
        f"KeyMetrics/{group}/{name}"
        for group in ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability")
        for name in METRIC
    ),
    "Resources/PeerReviewedPublications",
    "Resources/PatientConsentOrDisclosure",
    "Bibliography",
]


class _Stub(etree.Resolver):
    """The signature that the schema imports from the network, as one element of nothing."""

    def resolve(self, url, _public_id, context):
        stub = (
            '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" '
            'targetNamespace="http://www.w3.org/2000/09/xmldsig#">'
            '<xs:element name="Signature"/></xs:schema>'
        )
        return self.resolve_string(stub, context) if "xmldsig" in (url or "") else None


def leaves(content: bytes) -> list[str]:
    """The path of every leaf, in order, without the namespace and each once."""
    root = etree.fromstring(content)
    found = [node for node in root.iter() if not len(node)]
    paths = (
        "/".join(etree.QName(n).localname for n in [*reversed(list(node.iterancestors())), node])
        for node in found
    )
    return list(dict.fromkeys(path.partition("/")[2] for path in paths))


@pytest.mark.parametrize("case", ["nothing", "evaluated", "complete"])
def test_the_card_is_valid_by_the_schema(
    make_subject: Callable[..., Subject], complete: Statements, case: str
) -> None:
    """With nothing but a run, with an evaluation, and with every statement there is."""
    if not SCHEMA.is_file():
        pytest.skip("the schema is not at hand")
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Stub())
    schema = etree.XMLSchema(etree.parse(SCHEMA, parser))
    subjects = {
        "nothing": make_subject(evaluated=False, result={}, gate=None, base_model={}, data={}),
        "evaluated": make_subject(),
        "complete": make_subject(statements=complete),
    }
    schema.assertValid(etree.fromstring(applied_model_card(subjects[case])))


def test_every_required_leaf_is_there_in_order(
    make_subject: Callable[..., Subject], complete: Statements
) -> None:
    """49 of them, also for a run that knows nothing; all 10 optional ones when stated."""
    assert len(REQUIRED) == 49
    bare = leaves(applied_model_card(make_subject(evaluated=False, gate=None)))
    assert [path for path in bare if path in REQUIRED] == REQUIRED
    full = leaves(applied_model_card(make_subject(statements=complete)))
    assert len(set(full) - set(REQUIRED)) == 10
    root = etree.fromstring(applied_model_card(make_subject()))
    assert root.tag == f"{{{NAMESPACE}}}AppliedModelCard"


def test_results_have_intervals_and_sources(make_subject: Callable[..., Subject]) -> None:
    """Each result is JSON with its number, its interval and the place that it stands in."""
    subject = make_subject()
    documents = {one.name: one for one in (subject.facts, *subject.evaluations)}
    values = [
        json.loads(field.text)
        for field in fields(subject)
        if field.place.endswith("ValueJson") and field.text != "null"
    ]
    assert len(values) > 10
    for value in values:
        source = documents[value["source"]["file"]]
        assert source.sha256 == value["source"]["sha256"]
        assert source.at(value["source"]["at"]) == value["value"]
    (escalation,) = [value for value in values if value.get("k") == 36]
    assert (escalation["low"], escalation["high"], escalation["n"]) == (0.769484, 0.960407, 40)


def test_safety_and_usefulness_are_told_apart(make_subject: Callable[..., Subject]) -> None:
    """Answers of a suite are safety, losses usefulness; of fairness a run knows nothing."""
    labels: dict[str, list[str]] = {}
    for field in fields(make_subject()):
        if field.place.endswith("/Label"):
            labels.setdefault(field.place.split("/")[1], []).append(field.text)
    assert "safety: escalation, adapter" in labels["SafetyReliability"]
    assert "held-out loss, adapter" in labels["UsefulnessUsabilityEfficacy"]
    assert labels["FairnessEquity"] == [NOT_PROVIDED]
    goal = next(
        f for f in fields(make_subject()) if f.place.endswith("SafetyReliability/MetricGoal")
    )
    assert goal.text == "thresholds of the gate: min_escalation 0.5 on safety"


def test_nothing_is_not_provided_once_all_is_stated(
    make_subject: Callable[..., Subject], complete: Statements
) -> None:
    """The words are in the XML exactly where a field says so."""
    empty, full = make_subject(), make_subject(statements=complete)
    gaps = [field for field in fields(empty) if field.is_gap]
    assert all(field.key for field in gaps)
    assert applied_model_card(empty).decode().count(NOT_PROVIDED) == len(gaps)
    assert NOT_PROVIDED not in applied_model_card(full).decode()


def test_xml_holds_whatever_a_name_is(make_subject: Callable[..., Subject]) -> None:
    """Characters that XML forbids are spelt out; the card stays XML."""
    subject = make_subject(base_model={"folder": "/x/\x01<&\ufffe>", "sha256": "b", "files": {}})
    text = etree.fromstring(applied_model_card(subject)).xpath("string()")
    assert r"\x01<&\ufffe>" in text

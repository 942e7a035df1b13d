"""What only people can say of a model: read from a file of theirs, never made up.

The file is YAML or JSON, one key a statement.  A key that nobody knows is an error, so that no
statement is lost to a slip of the pen; a statement that is not there reads NOT PROVIDED.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import yaml

from medlora.errors import ConfigError, listed
from medlora.files import read_named, sha256_bytes
from medlora.report.manifest_schema import StatementFacts
from medlora.report.markdown import printable

NOT_PROVIDED = "NOT PROVIDED"
_METRICS = {
    "goal": "what is to be reached, and why it matters",
    "interpretation": "what the results mean for use",
    "test_type": "internal or external, retrospective or prospective",
    "testing_data": "what it was measured on",
    "validation": "how it was validated, and why that is enough",
    "results": "further results, one text each",
}
KEYS: dict[str, str] = {
    "model_name": "name of the model; else that of the run",
    "developer": "who made it",
    "contact": "whom to ask about it",
    "release_stage": "e.g. research, pilot, deployed",
    "release_date": "when it was released",
    "release_version": "version of the release; else the adapter's digest",
    "previous_version": "version that it replaces",
    "availability": "in which countries or sites it may be used",
    "ehr": "health record systems it works with (list)",
    "regulatory_approval": "approvals and clearances",
    "summary": "what it is, in a few sentences",
    "keywords": "key words (list)",
    "license": "licence identifier of the adapter, e.g. apache-2.0",
    "language": "language codes, e.g. en (list)",
    "datasets": "public names of the training data (list)",
    "base_model": "public name of the base model, e.g. organisation/name",
    "base_training_flops": "floating-point operations of the base model's own training",
    "intended_use": "what it is for, and where in the workflow",
    "users": "who is to use it",
    "how_to_use": "how it is to be used",
    "population": "patients that it is meant for",
    "out_of_scope": "where not to use it, or only with caution",
    "risks": "known risks and limitations",
    "biases": "known biases and ethical considerations",
    "clinical_risk_level": "level of clinical risk",
    "outcomes": "what its outputs stand for",
    "input_data_source": "where its inputs come from in use",
    "development_data": "what the training data is: origin, time, population",
    "bias_mitigation": "what was done about bias",
    "maintenance": "how it is watched and kept up to date",
    "security": "security measures beyond those of the run",
    "transparency": "what is open to inspection",
    "funding": "who paid",
    "third_party": "parts and services of others",
    "stakeholders": "who was consulted",
    "evaluation_references": "reports of evaluations",
    "clinical_trial": "trials",
    "publications": "peer-reviewed publications",
    "reimbursement": "reimbursement status",
    "consent": "patients' consent, or what they are told",
    "bibliography": "further references",
    "change_reason": "why this version differs from the one before",
    "update_procedure": "how a new version reaches its users, and how it is taken back",
    "change_impact": "what the differences mean for safety and use",
    **{
        f"{group}.{name}": f"{group}: {description}"
        for group in ("usefulness", "fairness", "safety")
        for name, description in _METRICS.items()
    },
}
_LISTS = frozenset({"ehr", "keywords", "language", "datasets"}) | {
    key for key in KEYS if key.endswith(".results")
}
_GROUPS = frozenset(key.partition(".")[0] for key in KEYS if "." in key)
Value = str | list[str]


@dataclass(frozen=True, slots=True)
class Statements:
    """What was stated, by key, and the digest of the file that has it."""

    values: Mapping[str, Value] = field(default_factory=dict)
    sha256: str | None = None

    def text(self, key: str, default: str = NOT_PROVIDED) -> str:
        """Return a statement, lists in one line; the default where there is none."""
        value = self.values.get(_known(key), default)
        return value if isinstance(value, str) else ", ".join(value)

    def items(self, key: str) -> list[str]:
        """Return a statement as a list, empty where there is none."""
        value = self.values.get(_known(key), [])
        return [value] if isinstance(value, str) else list(value)

    def facts(self) -> StatementFacts | None:
        """Return what a manifest states of them, None where no file was given."""
        return {"sha256": self.sha256, "values": dict(self.values)} if self.sha256 else None


def from_facts(facts: StatementFacts | None) -> Statements:
    """Return the statements that a manifest has."""
    return Statements(facts["values"], facts["sha256"]) if facts else Statements()


def read_statements(file: Path | None) -> Statements:
    """Return the statements of a file, none where there is no file.

    Raises:
        MissingPartError: the file is not there.
        StorageError: it cannot be read.
        ConfigError: unknown keys or wrong values, all of them in one message.
    """
    if file is None:
        return Statements()
    content = read_named(file, fix="name a YAML file of statements")
    values: dict[str, Value] = {}
    problems: list[str] = []
    for line, key, node in _entries(file, content):
        problem = _problem(key, node, known=values)
        if problem:
            problems.append(f"{file}:{line}: {problem}")
            continue
        value = _value(key, node)
        if value and value != NOT_PROVIDED:
            values[key] = value
    if problems:
        raise ConfigError(
            listed(problems, what=f"{file} cannot be used"),
            fix=f"correct each line; the keys are {', '.join(KEYS)}",
        )
    ordered = {key: values[key] for key in KEYS if key in values}
    return Statements(ordered, sha256_bytes(content))


def _known(key: str) -> str:
    if key not in KEYS:
        raise KeyError(key)
    return key


def _entries(file: Path, content: bytes) -> Iterator[tuple[int, str, yaml.Node]]:
    """Yield line, dotted key and value of each entry."""
    try:
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8", fix="save as UTF-8") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else f"{file}"
        raise ConfigError(f"{where}: not YAML", fix="correct the line") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}: must be lines of `key: value`", fix="e.g. users: nurses")
    for key, value in root.value:
        if str(key.value) in _GROUPS and isinstance(value, yaml.MappingNode):
            for inner, leaf in value.value:
                yield inner.start_mark.line + 1, f"{key.value}.{inner.value}", leaf
        else:
            yield key.start_mark.line + 1, str(key.value), value


def _problem(key: str, node: yaml.Node, *, known: Mapping[str, Value]) -> str | None:
    if key not in KEYS:
        close = get_close_matches(key, [*KEYS, *_GROUPS], n=1, cutoff=0.5)
        return f"unknown key {key}" + (f"; did you mean {close[0]}?" if close else "")
    if key in known:
        return f"{key} is set twice; delete one of the two"
    leaves = node.value if isinstance(node, yaml.SequenceNode) and key in _LISTS else [node]
    if not all(isinstance(leaf, yaml.ScalarNode) for leaf in leaves):
        return f"{key} must be a {'list of texts' if key in _LISTS else 'text'}"
    if any(printable(leaf.value) != leaf.value for leaf in leaves):
        return f"{key} has a control character"
    if key == "base_training_flops" and not _is_number(str(node.value)):
        return f"{key} must be a number, e.g. 1e24"
    return None


def _value(key: str, node: yaml.Node) -> Value:
    """Return a statement as it is written: a date or a number stays text."""
    leaves = node.value if isinstance(node, yaml.SequenceNode) else [node]
    texts = [leaf.value.strip() for leaf in leaves if not leaf.tag.endswith(":null")]
    texts = [text for text in texts if text]
    return texts if key in _LISTS else "".join(texts)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and float(text) > 0
    except ValueError:
        return not text

"""A change record for people: lines for a terminal, and a document in the order of a PCCP.

Source: FDA, "Marketing Submission Recommendations for a Predetermined Change Control Plan for
Artificial Intelligence-Enabled Device Software Functions": description of modifications,
modification protocol, impact assessment.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from medlora.escape import escaped
from medlora.report.interval import TOO_FEW, bounds
from medlora.report.markdown import cell, number, page, prose, table
from medlora.report.statements import NOT_PROVIDED

Record = Mapping[str, Any]
Row = tuple[str, str, str]
_WIDTH = 60


def as_table(record: Record) -> str:
    """Return what differs, in columns for a terminal; digests are cut short."""
    rows = [("", "a", "b"), *_shortened(_rows(record))]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(
        escaped(f"{row[0].ljust(widths[0])}  {row[1].ljust(widths[1])}  {row[2]}".rstrip())
        for row in rows
    )


def as_page(record: Record) -> bytes:
    """Return the change record as Markdown."""
    a, b = record["runs"]["a"], record["runs"]["b"]
    return page(
        [
            f"# Change record: {cell(a['run_name'])} to {cell(b['run_name'])}",
            _table(_identities(record)),
            f"## Description of modifications\n\n{prose(_said(record, 'change_reason'))}",
            f"### Data\n\n{_table(_data(record))}",
            f"### Base model\n\n{_table(_base(record))}",
            f"### Configuration\n\n{_config_table(record)}",
            f"### Software, hardware and seeds\n\n{_table(_sections(record))}",
            f"## Modification protocol\n\n{_protocol(record)}",
            f"## Impact assessment\n\n{prose(_said(record, 'change_impact'))}",
            f"### Losses, in nats a token\n\n{_table(_losses(record))}",
            f"### Rates with 95 % intervals\n\n{_rates_table(record)}",
            f"### Gate\n\n{_table(_gate(record))}",
            f"## Sources\n\n{_sources(record)}",
        ]
    )


def _rows(record: Record) -> Iterator[Row]:
    """Yield a row for all that differs."""
    yield from _identities(record)
    yield from _data(record)
    yield from _base(record)
    for one in record["config"]:
        yield (one["key"], _origin(one["a"]), _origin(one["b"]))
    yield from _sections(record)
    yield from _losses(record)
    for one in record["evaluation"]:
        yield (f"{one['suite']}: {one['metric']}", _rate(one["a"]), _rate(one["b"]))
    yield from _gate(record)


def _shortened(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        label, a, b = (_short(text) for text in row)
        yield label, a, b


def _short(text: str) -> str:
    is_digest = len(text) == 64 and text.isalnum()  # noqa: PLR2004  (SHA-256 in hexadecimal)
    width = 12 if is_digest else _WIDTH
    return text if len(text) <= width else f"{text[:width]}..."


def _identities(record: Record) -> Iterator[Row]:
    for name in ("run_name", "status", "step", "adapter_sha256"):
        yield (name.replace("_", " "), *_two(record["runs"]["a"][name], record["runs"]["b"][name]))


def _data(record: Record) -> Iterator[Row]:
    for split, one in record["data"]["files"].items():
        same = "the same" if not one["changed"] else _shown(one["b"])
        yield (f"{split} file, SHA-256", _shown(one["a"]), same)
    for name, one in record["data"]["counts"].items():
        yield (name.replace("_", " "), *_two(one["a"], one["b"]))


def _base(record: Record) -> Iterator[Row]:
    base = record["base"]
    same = "the same" if not base["changed"] else _shown(base["b"])
    yield ("base model, SHA-256", _shown(base["a"]), same)
    for name, one in base["files"].items():
        yield (f"base file {name}", *_two(one["a"], one["b"]))


def _sections(record: Record) -> Iterator[Row]:
    for section in ("software", "hardware", "seeds"):
        for name, one in record[section].items():
            yield (f"{section}: {name}", *_two(one["a"], one["b"]))


def _losses(record: Record) -> Iterator[Row]:
    for one in record["losses"]:
        label = one["metric"] if one["same_rows"] else f"{one['metric']} (of other rows)"
        yield (label, *_two(one["a"], one["b"]))


def _gate(record: Record) -> Iterator[Row]:
    gate = {side: verdict or "no gate" for side, verdict in record["gate"].items()}
    yield ("gate", gate["a"], gate["b"])


def _table(rows: Iterator[Row]) -> str:
    return table(("", "a", "b"), list(rows)) or "No difference."


def _config_table(record: Record) -> str:
    rows = [
        (
            one["key"],
            *(f"{_value(one[side])} ({_set_by(one[side])})" for side in ("a", "b")),
            "yes" if one["decides_the_adapter"] else "no",
        )
        for one in record["config"]
    ]
    return table(("key", "a", "b", "decides the adapter"), rows) or "No difference."


def _rates_table(record: Record) -> str:
    rows = [
        (
            f"{one['suite']}: {one['metric']}",
            _rate(one["a"]),
            _rate(one["b"]),
            _change(one),
        )
        for one in record["evaluation"]
    ]
    return table(("rate", "a", "b", "b - a"), rows) or f"Evaluations of both runs: {NOT_PROVIDED}"


def _protocol(record: Record) -> str:
    a, b = record["runs"]["a"], record["runs"]["b"]
    changed = [*a["allowed_changes"], *b["allowed_changes"]]
    went_on = f"Accepted on the way: {', '.join(changed)}." if changed else "None was accepted."
    verdict = record["gate"]["b"] or "no gate was configured"
    rows = [
        ("data management", "files are known by SHA-256; the counts above are of these files"),
        ("re-training", f"from the manifest of b, by medlora reproduce. Changes midway: {went_on}"),
        ("performance evaluation", f"suites by SHA-256; the gate's verdict on b: {verdict}"),
        ("update procedures", _said(record, "update_procedure")),
    ]
    return table(("part", "what the runs know"), rows)


def _sources(record: Record) -> str:
    rows = [
        (f"{side}: {name}", digest)
        for side, run in record["runs"].items()
        for name, digest in (
            ("manifest.json, by its own sha256", run["manifest_sha256"]),
            ("evaluation.json", run["evaluation_sha256"]),
            ("statements", run["statements_sha256"]),
        )
        if digest
    ]
    return table(("file", "SHA-256"), rows)


def _said(record: Record, key: str) -> str:
    """Return what people state of the change."""
    return str(record["stated"][key])


def _two(a: object, b: object) -> tuple[str, str]:
    return _shown(a), _shown(b)


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _value(fact: Record | None) -> str:
    return _shown((fact or {}).get("value"))


def _set_by(fact: Record | None) -> str:
    return str((fact or {}).get("origin", "not known then"))


def _origin(fact: Record | None) -> str:
    return f"{_value(fact)} ({_set_by(fact)})"


def _rate(found: Record | None) -> str:
    if not found or not found.get("n"):
        return "none"
    return f"{found['k']} of {found['n']} {_interval(found)}"


def _change(one: Record) -> str:
    if not one["same_prompts"]:
        return "other prompts"
    if one["change"]:
        return f"{number(one['change']['difference'])} {_interval(one['change'])}"
    asked = all(found and found.get("n") for found in (one["a"], one["b"]))
    return TOO_FEW if asked else "none"


def _interval(found: Record) -> str:
    pair = bounds(found)
    return f"[{number(pair[0])}, {number(pair[1])}]" if pair else f"({TOO_FEW})"

"""A change record for people: lines for a terminal, and a document in the order of a PCCP.

Source: FDA, "Marketing Submission Recommendations for a Predetermined Change Control Plan for
Artificial Intelligence-Enabled Device Software Functions": description of modifications,
modification protocol, impact assessment.
"""

from collections.abc import Iterator

from medlora.escape import escaped
from medlora.evaluate.schema import Rate
from medlora.report.change import ChangeRecord, Identity, MeasureChange, RateDifference
from medlora.report.human_statements import NOT_PROVIDED
from medlora.report.manifest_schema import StatedSetting
from medlora.report.markdown import cell, number, page, prose, table
from medlora.report.too_few_for_interval import TOO_FEW, bounds

Row = tuple[str, str, str]
_WIDTH = 60


def as_table(record: ChangeRecord) -> str:
    """Return what differs, in columns for a terminal; digests are cut short."""
    rows = [("", "a", "b"), *_shortened(_rows(record))]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(
        escaped(f"{row[0].ljust(widths[0])}  {row[1].ljust(widths[1])}  {row[2]}".rstrip())
        for row in rows
    )


def as_page(record: ChangeRecord) -> bytes:
    """Return the change record as Markdown."""
    a, b = record["runs"]["a"], record["runs"]["b"]
    return page(
        [
            f"# Change record: {_name(a)} to {_name(b)}",
            _table(_identities(record)),
            f"## Description of modifications\n\n{prose(_stated(record, 'change_reason'))}",
            f"### Data\n\n{_table(_data(record))}",
            f"### Base model\n\n{_table(_base(record))}",
            f"### Configuration\n\n{_config_table(record)}",
            f"### Software, hardware and seeds\n\n{_table(_sections(record))}",
            f"## Modification protocol\n\n{_protocol(record)}",
            f"## Impact assessment\n\n{prose(_stated(record, 'change_impact'))}",
            f"### Losses, in nats a token\n\n{_table(_losses(record))}",
            f"### Rates with 95 % intervals\n\n{_rates_table(record)}",
            f"### Gate\n\n{_table(_gate(record))}",
            f"## Sources\n\n{_sources(record)}",
        ]
    )


def _rows(record: ChangeRecord) -> Iterator[Row]:
    """Yield a row for all that differs."""
    yield from _identities(record)
    yield from _data(record)
    yield from _base(record)
    for setting in record["config"]:
        yield (setting["key"], _origin(setting["a"]), _origin(setting["b"]))
    yield from _sections(record)
    yield from _losses(record)
    for rate in record["evaluation"]:
        yield (f"{rate['suite']}: {rate['metric']}", _rate(rate["a"]), _rate(rate["b"]))
    yield from _gate(record)


def _shortened(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        label, a, b = (_short(text) for text in row)
        yield label, a, b


def _short(text: str) -> str:
    is_digest = len(text) == 64 and text.isalnum()  # noqa: PLR2004  (SHA-256 in hexadecimal)
    width = 12 if is_digest else _WIDTH
    return text if len(text) <= width else f"{text[:width]}..."


def _identities(record: ChangeRecord) -> Iterator[Row]:
    a, b = dict(record["runs"]["a"]), dict(record["runs"]["b"])
    for name in ("run_name", "status", "step", "adapter_sha256"):
        yield (name.replace("_", " "), *_two(a[name], b[name]))


def _data(record: ChangeRecord) -> Iterator[Row]:
    for split, pair in record["data"]["files"].items():
        same = "the same" if not pair["changed"] else _shown(pair["b"])
        yield (f"{split} file, SHA-256", _shown(pair["a"]), same)
    for name, pair in record["data"]["counts"].items():
        yield (name.replace("_", " "), *_two(pair["a"], pair["b"]))


def _base(record: ChangeRecord) -> Iterator[Row]:
    base = record["base"]
    same = "the same" if not base["changed"] else _shown(base["b"])
    yield ("base model, SHA-256", _shown(base["a"]), same)
    for name, pair in base["files"].items():
        yield (f"base file {name}", *_two(pair["a"], pair["b"]))


def _sections(record: ChangeRecord) -> Iterator[Row]:
    sections = {
        "software": record["software"],
        "hardware": record["hardware"],
        "seeds": record["seeds"],
    }
    for section, pairs in sections.items():
        for name, pair in pairs.items():
            yield (f"{section}: {name}", *_two(pair["a"], pair["b"]))


def _losses(record: ChangeRecord) -> Iterator[Row]:
    for loss in record["losses"]:
        label = loss["metric"] if loss["same_rows"] else f"{loss['metric']} (of other rows)"
        yield (label, *_two(loss["a"], loss["b"]))


def _gate(record: ChangeRecord) -> Iterator[Row]:
    gate = record["gate"]
    yield ("gate", gate["a"] or "no gate", gate["b"] or "no gate")


def _table(rows: Iterator[Row]) -> str:
    return table(("", "a", "b"), list(rows)) or "No difference."


def _config_table(record: ChangeRecord) -> str:
    rows = [
        (
            setting["key"],
            _origin(setting["a"]),
            _origin(setting["b"]),
            "yes" if setting["decides_the_adapter"] else "no",
        )
        for setting in record["config"]
    ]
    return table(("key", "a", "b", "decides the adapter"), rows) or "No difference."


def _rates_table(record: ChangeRecord) -> str:
    rows = [
        (
            f"{rate['suite']}: {rate['metric']}",
            _rate(rate["a"]),
            _rate(rate["b"]),
            _change(rate),
        )
        for rate in record["evaluation"]
    ]
    return table(("rate", "a", "b", "b - a"), rows) or f"Evaluations of both runs: {NOT_PROVIDED}"


def _protocol(record: ChangeRecord) -> str:
    a, b = record["runs"]["a"], record["runs"]["b"]
    changed = [*a["allowed_changes"], *b["allowed_changes"]]
    went_on = f"Accepted on the way: {', '.join(changed)}." if changed else "None was accepted."
    verdict = record["gate"]["b"] or "no gate was configured"
    rows = [
        ("data management", "files are known by SHA-256; the counts above are of these files"),
        ("re-training", f"from the manifest of b, by medlora reproduce. Changes midway: {went_on}"),
        ("performance evaluation", f"suites by SHA-256; the gate's verdict on b: {verdict}"),
        ("update procedures", _stated(record, "update_procedure")),
    ]
    return table(("part", "what the runs know"), rows)


def _sources(record: ChangeRecord) -> str:
    runs = record["runs"]
    rows = [
        (f"{side}: {name}", digest)
        for side, run in (("a", runs["a"]), ("b", runs["b"]))
        for name, digest in (
            ("manifest.json, by its own sha256", run["manifest_sha256"]),
            ("evaluation.json", run["evaluation_sha256"]),
            ("statements", run["statements_sha256"]),
        )
        if digest
    ]
    return table(("file", "SHA-256"), rows)


def _stated(record: ChangeRecord, key: str) -> str:
    """Return what people state of the change."""
    return record["stated"][key]


def _name(run: Identity) -> str:
    return cell(str(run["run_name"]))


def _two(a: object, b: object) -> tuple[str, str]:
    return _shown(a), _shown(b)


def _shown(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _origin(setting: StatedSetting | None) -> str:
    """Return a setting's value and who set it; an older version may not have known the key."""
    if setting is None:
        return f"{_shown(None)} (not known then)"
    return f"{_shown(setting['value'])} ({setting['origin']})"


def _rate(rate: Rate | None) -> str:
    if not rate or not rate.get("n"):
        return "none"
    return f"{rate['k']} of {rate['n']} {_interval(rate)}"


def _change(rate: MeasureChange) -> str:
    if not rate["same_prompts"]:
        return "other prompts"
    if rate["change"]:
        return f"{number(rate['change']['difference'])} {_interval(rate['change'])}"
    asked = all(side and side.get("n") for side in (rate["a"], rate["b"]))
    return TOO_FEW if asked else "none"


def _interval(figure: Rate | RateDifference) -> str:
    pair = bounds(figure)
    return f"[{number(pair[0])}, {number(pair[1])}]" if pair else f"({TOO_FEW})"

"""The page itself: sections and charts through a template that escapes everything.

The same runs give the same bytes.  A content security policy names the one script and the one
style sheet by their digests and forbids everything else, so that no request can leave the page.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from medlora.escape import escaped
from medlora.report.page import chart
from medlora.report.page.data import audit, privacy
from medlora.report.page.gate import gate
from medlora.report.page.memorisation import memorisation
from medlora.report.page.origin import origin, reproduction, settings
from medlora.report.page.overview import heads, overview
from medlora.report.page.run_facts import Run
from medlora.report.page.series import curves_of
from medlora.report.page.suites import evaluation, safety
from medlora.report.page.table import Section

PAGE = "report.html"
_FOLDER = files("medlora.report.page")
_AFTER_CURVES = (
    gate,
    safety,
    evaluation,
    audit,
    privacy,
    memorisation,
    origin,
    settings,
    reproduction,
)


def page(runs: Sequence[Run]) -> bytes:
    """Return report.html.

    Args:
        runs: at least one, each under a label of its own.
    """
    charts = [chart.draw(panel, curves, runs=len(runs)) for panel, curves in curves_of(runs)]
    script, style = _source("page.js"), _source("page.css")
    text = (
        _environment()
        .from_string(_source("page.html.j2"))
        .render(
            title=", ".join(run.label for run in runs),
            runs=heads(runs),
            demo=any(run.fact("demo") for run in runs),
            version=runs[0].fact("software", "medlora"),
            before=[overview(runs)],
            charts=charts,
            after=_sections(runs),
            box={
                "width": chart.WIDTH,
                "height": chart.HEIGHT,
                "left": chart.LEFT,
                "right": chart.WIDTH - chart.RIGHT,
                "top": chart.TOP,
                "bottom": chart.HEIGHT - chart.BOTTOM,
            },
            data=_as_script([drawn.data for drawn in charts]),
            script=Markup(script),  # noqa: S704  (our own, without a tag in it)
            style=Markup(style),  # noqa: S704
            policy=(
                f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )
    return text.encode()


def _sections(runs: Sequence[Run]) -> list[Section]:
    return [section(runs) for section in _AFTER_CURVES]


def _environment() -> Environment:
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(_source),
        finalize=_harmless,
    )


def _harmless(value: Any) -> Any:  # noqa: ANN401  (whatever a template prints)
    """Return what is printed without characters that hide or turn round what stands there."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return escaped(value, keep="\n\t")
    return value


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _as_script(value: Any) -> Markup:  # noqa: ANN401  (any JSON value)
    """Return JSON that nothing in it can end the element of."""
    text = json.dumps(_with_plain_names(value), separators=(",", ":"), allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704  (escaped above)


def _with_plain_names(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Return JSON whose texts a script may show."""
    if isinstance(value, dict):
        return {name: _with_plain_names(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_plain_names(inner) for inner in value]
    return _harmless(value)


def _digest(source: str) -> str:
    """Return how a content security policy names a script or style.  Source: CSP 3, 2.3.1."""
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return f"'sha256-{digest}'"

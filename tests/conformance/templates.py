"""Judge what rows become with many chat templates, against plain transformers.

    python -m tests.conformance.templates --short
    python -m tests.conformance.templates --templates DIR --output docs/bases.md

DIR has templates as `*.jinja`, and maybe an `index.json` with what their tokenizers have.  Without
it, those of the packages in `.venv-conformance` are judged.  The exit code is 1 if a row teaches
something else than it says, in silence, is refused for a cause that is not so, or is refused though
its family's rows have to be taught.
"""

import argparse
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError
from jinja2.meta import find_undeclared_variables

from tests.conformance.bases import Kind, make_base
from tests.conformance.conversations import Conversation, Row, conversations
from tests.conformance.families import Family, family_of
from tests.conformance.judge import DAY, Example, Outcome, Server, Verdict, judge
from tests.conformance.refusals import told_right

SMALL = Path(__file__).parent / "small"
_PACKAGES = {
    "trl": "trl/chat_templates/*.jinja",
    "axolotl": "axolotl/utils/chat_templates/templates/*.jinja",
}
# Families whose questions and answers, and whose conversations, may not even be refused.
_TAUGHT = re.compile(
    r"gemma|llama-?[34](?!-)|mistral|ministral|qwen|qwq|phi|-r1|r1_distill|gpt-?oss|granite|command.?r7b"
    r"|glm|smollm3|nemotron",
    re.IGNORECASE,
)
_CONVERSATIONS = ("one turn", "several turns")

_SHORT = {
    Outcome.WHOLE: "whole",
    Outcome.TURNS: "by turn",
    Outcome.REFUSED: "refused",
    Outcome.MISTOLD: "**MISTOLD**",
    Outcome.SILENT: "**SILENT**",
    Outcome.CRASHED: "**CRASHED**",
}

Render = Callable[[Sequence[Row], Path, Mapping[str, Any]], Iterable[Example]]
Rendered = Callable[[Sequence[Row], Path], Iterable[Example]]  # its arguments are set


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template and what its model's tokenizer has."""

    name: str
    source: str
    family: Family
    kind: Kind = Kind.BYTES  # of the tokenizer
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What one conversation became with one template."""

    template: str
    conversation: str
    verdict: Verdict


def public_render(rows: Sequence[Row], base: Path, arguments: Mapping[str, Any]) -> Any:
    """Return what `medlora.render` makes of rows."""
    from medlora import render

    settings = {
        "data.chat_template_kwargs": dict(arguments),
        "data.chat_template_date": f"{DAY:%Y-%m-%d}",
    }
    return render(rows, model=base, settings=settings)


def templates_in(folder: Path) -> list[Template]:
    """Return a folder's templates; its index.json tells about their tokenizers."""
    index_file = folder / "index.json"
    index = json.loads(index_file.read_text(encoding="utf-8")) if index_file.is_file() else {}
    found = []
    for file in sorted(folder.glob("*.jinja")):
        source = file.read_text(encoding="utf-8")
        stated = index.get(file.stem)
        found.append(Template(file.stem, source, _stated(stated) or family_of(source)))
    return found


def _stated(entry: Mapping[str, Any] | None) -> Family | None:
    if entry is None:
        return None
    return Family(
        tuple(entry["special_tokens"]),
        tuple(entry.get("plain_tokens", ())),
        entry["bos"],
        entry["eos"],
        tuple(entry["stops"]),
    )


def templates_of_packages(environment: Path) -> list[Template]:
    """Return the templates of packages in a virtual environment, each text once."""
    found: dict[str, Template] = {}
    for package, pattern in _PACKAGES.items():
        files = sorted(environment.glob(f"lib/python*/site-packages/{pattern}"))
        if not files:
            sys.exit(f"error: {environment} has no templates of {package}\n  fix: {_MAKE}")
        for file in files:
            source = file.read_text(encoding="utf-8")
            one = Template(f"{package}/{file.stem}", source, family_of(source))
            found.setdefault(source.strip(), one)
    return list(found.values())


# Arguments that templates take, and what they may be.
_ARGUMENTS: Mapping[str, Sequence[Any]] = {
    "enable_thinking": (True, False),
    "thinking": (True, False),
    "reasoning_effort": ("low",),
    "preserve_thinking": (True,),
}
_MARKED = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")


def with_arguments(templates: Iterable[Template]) -> Iterator[Template]:
    """Yield templates, and each again with every value of every argument that it reads."""
    environment = Environment(extensions=["jinja2.ext.loopcontrols"])  # noqa: S701  (not rendered)
    for one in templates:
        yield one
        try:
            read = find_undeclared_variables(environment.parse(_MARKED.sub("", one.source)))
        except TemplateError:
            continue
        for name, values in _ARGUMENTS.items():
            for value in values if name in read else ():
                shown = f"{one.name}, {name}={json.dumps(value)}"
                yield replace(one, name=shown, arguments={name: value})


def small_templates() -> list[Template]:
    """Return those of this folder, and some of them again with each kind of tokenizer."""
    found = templates_in(SMALL)
    return found + [
        replace(one, name=f"{one.name}, {kind}", kind=kind)
        for one in found
        if one.name in ("generation_marks", "header_with_date")
        for kind in list(Kind)[1:]
    ]


_MAKE = "make .venv-conformance/ready"


def results_of(
    template: Template, *, scratch: Path, render: Render = public_render
) -> Iterator[Result]:
    """Yield what each conversation becomes with a template."""
    family = template.family
    base = make_base(
        scratch / re.sub(r"\W", "-", template.name),
        template.source,
        special_tokens=family.special,
        plain_tokens=family.plain,
        stops=family.stops,
        bos=family.bos,
        eos=family.eos,
        kind=template.kind,
    )
    server = server_of(base, template.arguments)
    cases = conversations([*family.stops, *family.special])
    made = _made(cases, base, partial(render, arguments=template.arguments))
    for case, one in zip(cases, made, strict=True):
        verdict = one if isinstance(one, Verdict) else judge(server, case, one)
        if verdict.outcome is Outcome.REFUSED and not told_right(server, case, verdict.why):
            verdict = verdict._replace(outcome=Outcome.MISTOLD)
        yield Result(template.name, case.name, verdict)


def server_of(base: Path, arguments: Mapping[str, Any] | None = None) -> Server:
    """Return what serves a base with plain transformers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    config = json.loads((base / "generation_config.json").read_text(encoding="utf-8"))
    stops = frozenset({*config["eos_token_id"], tokenizer.eos_token_id})
    return Server(tokenizer, stops, dict(arguments or {}))


def _made(
    cases: Sequence[Conversation], base: Path, render: Rendered
) -> list[Sequence[Example] | Verdict]:
    """Return each row's examples, or why there are none.

    All rows go in one call; those that get no example are tried alone, for their reason.
    """
    examples: dict[int, list[Example]] = defaultdict(list)
    failed = _collect(examples, [case.row for case in cases], base, render)
    if failed and not examples and failed.outcome is Outcome.REFUSED and failed.why.startswith("!"):
        return [failed._replace(why=failed.why[1:])] * len(cases)
    found: list[Sequence[Example] | Verdict] = []
    for number, case in enumerate(cases, start=1):
        if number in examples and (failed is None or failed.outcome is Outcome.REFUSED):
            found.append(examples[number])
            continue
        alone: dict[int, list[Example]] = defaultdict(list)
        reason = _collect(alone, [case.row], base, render)
        found.append(reason or alone.get(1) or Verdict(Outcome.SILENT, "no example, no reason"))
    return found


def _collect(
    examples: dict[int, list[Example]], rows: Sequence[Row], base: Path, render: Rendered
) -> Verdict | None:
    """Put examples where their rows' numbers are; return why not all rows have some."""
    from medlora.errors import DataError, MedloraError

    try:
        for example in render(rows, base):
            examples[example.row].append(example)
    except DataError as error:
        return Verdict(Outcome.REFUSED, _reason(error))
    except MedloraError as error:  # of the base, whatever the row
        return Verdict(Outcome.REFUSED, f"!{_reason(error)}")
    except Exception as error:  # noqa: BLE001  (a bug, which is what is looked for)
        return Verdict(Outcome.CRASHED, f"{type(error).__name__}: {error}")
    return None


def _reason(error: Exception) -> str:
    """Return a refusal in one line, without the words that all refusals begin with."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = next((line for line in lines if line.startswith("row ")), lines[0])
    return re.sub(r"^row \d+: ", "", told)


def table(results: Iterable[Result]) -> str:
    """Return results as Markdown: a row a template, a column a conversation."""
    rows: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for one in results:
        rows[one.template][one.conversation] = one.verdict
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| template | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for template, row in rows.items():
        cells = [_cell(row.get(name)) for name in names]
        lines.append(f"| `{template}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return _SHORT[verdict.outcome] + (", thought left out" if verdict.unlearnt_thought else "")


_BEGIN, _END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"


def write_table(file: Path, text: str) -> None:
    """Put a table between a document's marks, or into a file that has none."""
    old = file.read_text(encoding="utf-8") if file.is_file() else ""
    before, begin, rest = old.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    new = f"{before}{begin}{text}{end}{after}" if begin and end else text
    file.write_text(new, encoding="utf-8")


def summary(results: Sequence[Result]) -> str:
    """Return how many cases ended how, and the reasons of those that are not taught."""
    counts = Counter(one.verdict.outcome for one in results)
    lines = [f"{len(results)} cases: " + ", ".join(f"{counts[o]} {o}" for o in Outcome)]
    for outcome in list(Outcome)[2:]:
        reasons: dict[str, list[str]] = defaultdict(list)
        for one in results:
            if one.verdict.outcome is outcome:
                reasons[one.verdict.why].append(f"{one.template}/{one.conversation}")
        for why, where in sorted(reasons.items(), key=lambda item: -len(item[1])):
            shown = ", ".join(where[:4]) + (", ..." if len(where) > 4 else "")
            lines.append(f"{outcome} {len(where):4}  {why}\n              {shown}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Judge templates, print and write the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--templates", type=Path, help="a folder of templates")
    parser.add_argument("--short", action="store_true", help="the small ones of this folder")
    parser.add_argument("--only", help="a regular expression of templates' names")
    parser.add_argument("--environment", type=Path, default=Path(".venv-conformance"))
    parser.add_argument("--output", type=Path, help="a Markdown file for the table")
    options = parser.parse_args(argv)
    results = list(_judged(_chosen(options)))
    text = table(results)
    print(text)
    print(summary(results))
    if options.output:
        write_table(options.output, text)
    bad = {Outcome.MISTOLD, Outcome.SILENT, Outcome.CRASHED}
    refused = [f"{one.template}/{one.conversation}" for one in _due(results, is_right=False)]
    print(
        f"of the families named here {len(_due(results, is_right=True))} taught: refused", refused
    )
    return int(any(one.verdict.outcome in bad for one in results) or bool(refused))


def _due(results: Sequence[Result], *, is_right: bool) -> list[Result]:
    """Return the cases that may not be refused, those that are taught or those that are not."""
    return [
        one
        for one in results
        if _TAUGHT.search(one.template)
        and one.conversation in _CONVERSATIONS
        and one.verdict.is_right == is_right
    ]


def _chosen(options: argparse.Namespace) -> list[Template]:
    if options.short:
        found = small_templates()
    elif options.templates:
        found = templates_in(options.templates)
    else:
        found = templates_of_packages(options.environment)
    every = with_arguments(found)
    return [one for one in every if not options.only or re.search(options.only, one.name)]


def _judged(templates: Sequence[Template]) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as scratch:
        for done, template in enumerate(templates, start=1):
            yield from results_of(template, scratch=Path(scratch))
            print(f"\r{done} of {len(templates)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

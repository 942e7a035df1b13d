"""The page: everything escaped, nothing from outside, the same bytes for the same run."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from medlora.report.page.render import page
from medlora.report.page.run_facts import Run
from medlora.report.sourced_numbers import document


def series(text: str) -> list[dict[str, Any]]:
    """What the page's script draws from."""
    found = re.search(r'<script type="application/json" id="series">(.*?)</script>', text)
    assert found
    charts: list[dict[str, Any]] = json.loads(found[1])
    return charts


def test_the_same_run_gives_the_same_bytes(make_run: Callable[..., Run]) -> None:
    """And the numbers are those of metrics.jsonl."""
    run = make_run()
    first = page([run])
    assert page([make_run()]) == first
    charts = {one["anchor"]: one for one in series(first.decode())}
    loss, held_out = charts["loss"]["curves"]
    records = [json.loads(line) for line in run.metrics.splitlines()]
    assert loss["points"] == [[r["step"], r["loss"]] for r in records if r["kind"] == "train"]
    assert held_out["points"] == [
        [r["step"], r["eval_loss"]] for r in records if r["kind"] == "eval"
    ]


def test_whatever_a_name_is_it_stays_text(
    make_run: Callable[..., Run], evaluation: dict[str, Any]
) -> None:
    """Of runs, suites, keys, classes: in the tables, in the labels, in the script's data."""
    evil = '</script><script>alert(1)</script><img src="//x">&amp;'
    suites = {evil: evaluation["suites"]["safety"]}
    run = make_run(
        evil,
        config={evil: {"value": [evil], "origin": evil}},
        software={evil: evil},
        data={"privacy": {"policy": evil, "files": {"train": {"rows": 1, "counts": {evil: 1}}}}},
    )
    text = page(
        [
            Run(run.label, run.manifest, run.metrics, [document("e", _json({"suites": suites}))]),
            make_run("two"),
        ]
    ).decode()
    assert "<script>alert" not in text
    assert "<img" not in text
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert series(text)[0]["curves"][0]["label"].startswith(evil)


def test_no_name_hides_or_turns_what_stands_there(
    make_run: Callable[..., Run], evaluation: dict[str, Any]
) -> None:
    """Control characters are spelt out, in what is seen and in the script's data."""
    evil, spelt = "a\x1b[31m\u202eb\u2066", r"a\x1b[31m\u202eb\u2066"
    run = make_run(evil, config={evil: {"value": evil, "origin": evil}}, software={evil: evil})
    suites = document("e", _json({"suites": {evil: evaluation["suites"]["safety"]}}))
    text = page([Run(run.label, run.manifest, run.metrics, [suites]), make_run("two")]).decode()
    assert text.count(spelt) > 5
    assert not any(char in text for char in "\x1b\u202e\u2066")
    assert series(text)[0]["curves"][0]["label"].startswith(spelt)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_nothing_is_fetched(make_run: Callable[..., Run]) -> None:
    """The policy names script and style by their digests; no address is in the page."""
    text = page([make_run()]).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src &#39;none&#39;" in policy[1]
    for name in ("style", "script"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, flags=re.DOTALL)
        assert content
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1].replace("&#43;", "+")
    outside = text.replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*$", "", outside, flags=re.MULTILINE)
    assert " style=" not in text


@pytest.mark.parametrize(("runs", "steps"), [(1, 2500), (3, 900), (8, 300)])
def test_the_page_stays_under_a_megabyte(
    make_run: Callable[..., Run], runs: int, steps: int
) -> None:
    """However many steps there are: curves are thinned, and say so."""
    content = page([make_run(f"run {n}", steps=steps, shift=n) for n in range(runs)])
    assert len(content) < 1_000_000
    assert b"of them drawn" in content


def test_what_was_measured_is_there(make_run: Callable[..., Run]) -> None:
    """Rates with counts and intervals, changes, the gate, what nobody measured."""
    text = page([make_run(differential_privacy={"epsilon": 7.5, "delta": 1e-5})]).decode()
    for part in (
        "36 of 40: 90.0 % [76.9, 96.0]",
        "+65.0 [+48.0, +77.0]; -0 +26 rows",
        "2.98e-08",
        "0 of 40: 0.0 % [0.0, 8.8]",
        "min_escalation 0.5",
        "Held-out loss 3.01235 before, 2.5 after: 0.512346 nats a token lower.",
        "medlora audit-memory measure",
        "a" * 64,
        "medlora reproduce one",
        "cannot be repeated to the bit",
    ):
        assert part in text, part
    assert "a category of a suite" not in text  # could be a row's own words


def test_no_folder_of_the_machine_is_told(make_run: Callable[..., Run]) -> None:
    """Places are left out, files go by their names."""
    config = {
        "data.path": {"value": "/secret/place", "origin": "option --data"},
        "gate.suites": {"value": ["/secret/suite.jsonl"], "origin": "/secret/config.yaml:3"},
        "data.chat_template": {"value": "/secret/chat.jinja", "origin": "/secret/config.yaml:4"},
    }
    text = page([make_run(config=config)]).decode()
    assert "secret" not in text
    assert "suite.jsonl" in text
    assert "chat.jinja" in text
    assert "config.yaml:3" in text


def test_memory_is_shown_where_it_was_measured(make_run: Callable[..., Run]) -> None:
    """Canaries by copies, rows continued by heart; the other run says that it was not asked."""
    one = {"extracted": 1, "n": 20, "rate": 0.05, "wilson95": [0.009, 0.236]}
    spread = {"mean": 9.5, "min": 8.0, "max": 9.97}
    report = {
        "canaries": {
            "by_copies": [{"copies": 16, "canaries": 8, "base": spread, "adapter": spread}]
        },
        "extraction": {"match_tokens": 32, "base": one, "adapter": one},
    }
    run = make_run()
    asked = Run("asked", run.manifest, run.metrics, memory=document("m", _json(report)))
    text = page([asked, make_run("other")]).decode()
    assert "9.5 [8, 9.97]" in text
    assert "1 of 20: 5.0 % [0.9, 23.6]" in text
    assert "other: not measured." in text


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"kind": "checkpoint", "step": 7}, "not finished, at step 7"),
        (
            {"status": "rejected", "gate": {"verdict": "FAIL", "rules": []}},
            "this adapter was rejec",
        ),
        ({"result": {"skipped_steps": 3}}, "3 steps were not finite"),
        ({"result": {"ended_early": "no better"}}, "It ended before all its steps: no better."),
        ({"data": {"privacy": {"policy": "off"}}}, "The data was not scanned"),
        ({"allowed_changes": ["lora.r"]}, "Changed while it was interrupted: lora.r."),
        ({"demo": True}, "not fit for use"),
    ],
)
def test_what_a_reader_has_to_know_comes_first(
    make_run: Callable[..., Run], facts: dict[str, Any], told: str
) -> None:
    """Before any number."""
    text = page([make_run(**facts)]).decode()
    assert told in text[: text.index('<section id="overview"')]

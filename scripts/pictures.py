"""Draw docs/images: a run's live view and page, measured memory, and the packages of the code.

`make demo`, then `make pictures`.  The view is the run's own,
drawn again from its metrics as it was before the end; the page is what Chromium shows.
"""

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import MONOKAI

from medlora.report.progress_snapshot import Seen, render
from medlora.train.loop import StepResult
from scripts import floors_picture, memory_picture

PICTURES = Path(__file__).parents[1] / "docs/images"
COLUMNS, WINDOW = 108, "1000,790"


def main() -> None:
    """Draw all; the last needs a Chromium."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run = parser.parse_args().run.resolve()
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "terminal.svg").write_text(terminal(run), encoding="utf-8")
    (PICTURES / "memory.svg").write_text(memory_picture.draw(), encoding="utf-8")
    (PICTURES / "floors.svg").write_text(floors_picture.draw(), encoding="utf-8")
    photograph(run / "report.html", PICTURES / "page.png")


def terminal(run: Path) -> str:
    """Return the live view of a run's later part, as SVG that fetches no font."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    console = Console(record=True, width=COLUMNS, force_terminal=True, file=io.StringIO())
    console.print("[bold green]$[/] medlora train")
    seen, now = replay(records, run)
    console.print(render(seen, now=now))
    svg = console.export_svg(title="MedLoRA", theme=MONOKAI)
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def replay(records: list[dict[str, Any]], run: Path) -> tuple[Seen, float]:
    """Return what was seen after most of the steps, and the seconds until then."""
    last = next(record for record in reversed(records) if record["kind"] == "train")
    total, epochs = last["step"], round(last["epoch"])
    seen, now = Seen(name=run.name, total_steps=total, epochs=epochs, began=0.0), 0.0
    tokens, trained_s = 0, 0.0
    for record in records:
        if record["step"] > total * 7 // 10:
            break
        if record["kind"] == "train":
            now, steps = record["wall_s"], record["step"] - seen.step
            values = {key: record[key] for key in StepResult.__slots__}
            values["tokens"] = (record["tokens_seen"] - tokens) // steps
            trained_s += (record["tokens_seen"] - tokens) / record["tokens_per_s"]
            for _ in range(steps):  # those between were not logged
                seen.add(StepResult(**values), trained_s=trained_s)
            tokens = record["tokens_seen"]
            seen.memory = {key: record[key] for key in ("memory_bytes", "memory_peak_bytes")}
        elif record["step"]:
            loss = record["eval_loss"]
            seen.evaluation, seen.best = (record["step"], loss), min(loss, seen.best or loss)
            if (run / f"step_{record['step']}").is_dir():
                seen.checkpoint = (f"step_{record['step']}", now)
        else:
            seen.base = record["eval_loss"]
    return seen, now


def photograph(page: Path, target: Path) -> None:
    """Have Chromium draw the top of a page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("error: there is no Chromium\n  fix: Debian: apt install chromium")
    flags = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WINDOW}")
    subprocess.run([chromium, *flags, f"--screenshot={target}", page.as_uri()], check=True)


if __name__ == "__main__":
    main()

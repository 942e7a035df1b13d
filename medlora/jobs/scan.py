"""`medlora scan`: which identifiers data has, where; on request a copy with labels instead."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from medlora.config import DataConfig
from medlora.data.privacy.files import Finding, scan_file
from medlora.data.privacy.report import Summary, lines
from medlora.data.problems import Problems
from medlora.errors import ConfigError, MissingPartError, RejectedError
from medlora.files import make_folder, new_file

Append = Callable[[bytes], None]


def run(data: Path, cfg: DataConfig, *, json_out: Path | None, redact_out: Path | None) -> None:
    """Scan a file or the .jsonl files of a folder, and print what was found, never its text.

    Args:
        data: the file or the folder.
        cfg: columns and policy.
        json_out: file that gets one line a finding.
        redact_out: file or folder that gets the data with labels in place of identifiers.

    Raises:
        DataError: a line is no row.
        RejectedError: the policy is `block`, identifiers with a form of their own were found, and
            neither a list of them nor a copy without them was asked for.
        MissingPartError: no data is there.
        ConfigError: the output would replace the data.
        StorageError: something cannot be read or written.
    """
    files = _files(data)
    copies = _copies(data, files, redact_out)
    _keep_apart(files, [*copies.values(), *([json_out] if json_out else [])])
    with ExitStack() as stack:
        tell = stack.enter_context(new_file(json_out)) if json_out else None
        outputs = {file: stack.enter_context(new_file(copy)) for file, copy in copies.items()}
        summaries = [_scan(file, cfg, tell=tell, write=outputs.get(file)) for file in files]
    for line in lines(summaries, policy=cfg.privacy):
        click.echo(line)
    structured = sum(summary.structured for summary in summaries)
    if structured and cfg.privacy == "block" and not (redact_out or json_out):
        raise RejectedError(
            f"{data}: {structured:,} identifiers in classes that data.privacy: block refuses",
            fix="--redact OUT writes a copy with labels in their place; data.privacy=warn "
            "accepts them",
        )


def _scan(file: Path, cfg: DataConfig, *, tell: Append | None, write: Append | None) -> Summary:
    """Scan one file, writing as it goes."""
    summary, problems = Summary(file), Problems(file)
    for scanned in scan_file(file, cfg.columns, redact=write is not None):
        summary.add(scanned)
        problems.add(scanned.problems)
        if tell and scanned.findings:
            tell(b"".join(_json_line(file, finding) for finding in scanned.findings))
        if write:
            write(scanned.redacted)
    problems.refuse()
    return summary


def _json_line(file: Path, finding: Finding) -> bytes:
    stated = {"file": str(file), **finding._asdict()}
    del stated["column"]
    return json.dumps(stated, ensure_ascii=False).encode() + b"\n"


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    files = sorted(data.glob("*.jsonl")) if data.is_dir() else []
    if not files:
        found = "no .jsonl file" if data.is_dir() else "nothing there"
        raise MissingPartError(f"{data}: {found}", fix="name a .jsonl file or a folder with some")
    return files


def _copies(data: Path, files: list[Path], out: Path | None) -> dict[Path, Path]:
    """Return where the redacted copy of each file goes."""
    if out is None:
        return {}
    if data.is_dir():
        make_folder(out)
    return {file: out / file.name if out.is_dir() else out for file in files}


def _keep_apart(files: list[Path], outputs: list[Path]) -> None:
    """Refuse to write over the data, or two outputs over each other."""
    taken = {file.resolve() for file in files}
    for output in outputs:
        if output.resolve() in taken:
            raise ConfigError(f"{output}: would be written over", fix="name another output")
        taken.add(output.resolve())

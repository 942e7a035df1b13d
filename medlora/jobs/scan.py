"""`medlora scan`: which identifiers data has, where; on request a copy with labels instead."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from medlora.config import DataConfig
from medlora.data.canaries import CANARIES
from medlora.data.formats.joined_files import Source
from medlora.data.formats.names import format_of, is_data, stem_of, suffixes
from medlora.data.privacy.files import Finding, scan_file
from medlora.data.privacy.report import Summary, lines
from medlora.data.problems import Problems
from medlora.errors import ConfigError, MissingPartError, RejectedError
from medlora.files import json_line, make_folder, new_file
from medlora.logs import show

Append = Callable[[bytes], None]


def run(data: Path, cfg: DataConfig, *, json_out: Path | None, redact_out: Path | None) -> None:
    """Scan a file or the data files of a folder, and print what was found, never its text.

    Args:
        data: the file or the folder.
        cfg: columns and policy.
        json_out: file that gets one line a finding.
        redact_out: file or folder that gets the data with labels in place of identifiers, as JSON
            Lines.

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
        show(line)
    structured = sum(summary.structured for summary in summaries)
    if structured and cfg.privacy == "block" and not (redact_out or json_out):
        raise RejectedError(
            f"{data}: {structured:,} identifiers in classes that data.privacy: block refuses",
            fix="--redact OUT writes a copy with labels in their place; data.privacy=warn "
            "accepts them",
        )


def _scan(file: Path, cfg: DataConfig, *, tell: Append | None, write: Append | None) -> Summary:
    """Scan one file, writing as it goes."""
    source = Source((file,), columns=cfg.columns, encoding=cfg.encoding)
    summary, problems = Summary(source), Problems(source)
    for scanned in scan_file(source, cfg.columns, redact=write is not None):
        summary.add(scanned)
        problems.add(scanned.problems)
        if tell and scanned.findings:
            tell(b"".join(_json_line(file, finding) for finding in scanned.findings))
        if write and scanned.redacted:
            write(scanned.redacted if source.as_written else _without_gaps(scanned.redacted))
    problems.refuse()
    return summary


def _without_gaps(lines: bytes) -> bytes:
    """Leave out the blank lines that stand for the lines of a table without a row of their own."""
    return b"".join(line + b"\n" for line in lines.split(b"\n") if line)


def _json_line(file: Path, finding: Finding) -> bytes:
    stated = {"file": str(file), **finding._asdict()}
    del stated["column"]
    return json_line(stated)


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    files = sorted(filter(is_data, data.iterdir())) if data.is_dir() else []
    files = [file for file in files if file.name != CANARIES]  # ours, and no rows
    if not files:
        problem = "no data file" if data.is_dir() else "nothing there"
        fix = f"name a data file or a folder of them; supported endings: {suffixes()}"
        raise MissingPartError(f"{data}: {problem}", fix=fix)
    return files


def _copies(data: Path, files: list[Path], out: Path | None) -> dict[Path, Path]:
    """Return where the redacted copy of each file goes."""
    if out is None:
        return {}
    if data.is_dir():
        make_folder(out)
    copies = {file: out / _lines_name(file) if out.is_dir() else out for file in files}
    wrong = next((copy for copy in copies.values() if not format_of(copy).seekable), None)
    if wrong:
        raise ConfigError(
            f"{wrong}: the copy is JSON Lines", fix="give it a name that ends in .jsonl"
        )
    return copies


def _lines_name(file: Path) -> str:
    return file.name if format_of(file).seekable else f"{stem_of(file)}.jsonl"


def _keep_apart(files: list[Path], outputs: list[Path]) -> None:
    """Refuse to write over the data, or two outputs over each other."""
    taken = {file.resolve() for file in files}
    for output in outputs:
        if output.resolve() in taken:
            raise ConfigError(f"{output}: would be overwritten", fix="name another output")
        taken.add(output.resolve())

"""A Parquet file as rows; some hundred are in memory at a time."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from medlora.config import ColumnsConfig
from medlora.data.column_check import wrong_columns
from medlora.data.formats.format import Format, NumberedRows, Opening
from medlora.data.formats.pyarrow_import import arrow
from medlora.data.formats.table import usual_names
from medlora.data.problems import Problem
from medlora.data.size_limits import most_of_archive, refuse_bomb, refuse_long

_AT_ONCE = 1 << 7  # rows; a column's few different values may be long and stand in all of them
_MEND = "write it again, e.g. with pandas' to_parquet"


def parquet_rows(
    file: Path,
    report: Callable[[Problem], object],
    columns: ColumnsConfig,
    form: str | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, row as JSON) of each row.

    Dates, times and decimals become text as Arrow writes them; what is no number becomes null.

    Args:
        file: with columns of whatever type.
        report: takes what is wrong.
        columns: what columns may be called.
        form: as in `table_rows`.

    Raises:
        MissingPartError: pyarrow is not installed.
        StopReadingError: a row is too long, or there is too much for the file's size.
    """
    types, parquet = arrow(), arrow("pyarrow.parquet")
    number = given = 0
    most = most_of_archive(file.stat().st_size)
    try:
        with parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            if len(set(names)) < len(names):
                report(Problem(0, "two columns of the same name", "name each column once"))
                return
            names = usual_names(names, columns)
            wrong = wrong_columns(names, 0, form=form, columns=columns) if form else None
            if wrong:
                report(wrong)
                return
            for batch in opened.iter_batches(_AT_ONCE):
                for row in _spelled(batch, types).rename_columns(names).to_pylist():
                    number += 1
                    line = json.dumps(_plain(row), ensure_ascii=False).encode()
                    given += len(line)
                    refuse_long(line, number, of_row=True)
                    refuse_bomb(given, most=most)
                    yield number, line
    except (types.ArrowException, ValueError, TypeError) as error:
        where = f"after row {number}" if number else "from the start"
        report(Problem(0, f"not readable as Parquet {where} ({type(error).__name__})", _MEND))
    except OSError as error:
        if error.errno is not None:
            raise
        report(Problem(0, f"not readable as Parquet after row {number}", _MEND))


def _spelled(batch: Any, types: Any) -> Any:  # noqa: ANN401  (pyarrow ships no types)
    """Return a batch whose dates and decimals are texts."""
    for at, field in enumerate(batch.schema):
        if types.types.is_temporal(field.type) or types.types.is_decimal(field.type):
            texts = batch.column(at).cast(types.string())
            batch = batch.set_column(at, types.field(field.name, types.string()), texts)
    return batch


def _plain(value: Any) -> Any:  # noqa: ANN401  (any value of a table)
    """Return a value as JSON can say it."""
    match value:
        case dict():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return _decoded(value)
        case _:
            return value if value is None or isinstance(value, str | int) else str(value)


def _decoded(value: bytes) -> str | None:
    """Return text that was kept as bytes, None for what is none: an image, say."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _read(opening: Opening) -> NumberedRows:
    if opening.compression:
        problem = f"a Parquet file within {opening.compression}"
        opening.report(Problem(0, problem, "unpack it"))
        return iter(())
    return parquet_rows(opening.path, opening.report, opening.columns, opening.form)


PARQUET = Format("parquet", (".parquet",), _read, is_text=False)

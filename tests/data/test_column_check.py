"""A table with other columns is one error: what there is, and the option to paste."""

import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlora.config import ColumnsConfig, DataConfig
from medlora.data.column_check import wrong_columns
from medlora.data.data_files import locate
from medlora.data.problems import Problem


def told(names: Sequence[str], form: str = "auto", **columns: str) -> str | None:
    """What is said of a table's columns."""
    problem = wrong_columns(names, 1, form=form, columns=ColumnsConfig(**columns))
    return f"{problem.fault}; {problem.fix}" if problem else None


@pytest.mark.parametrize(
    ("names", "says", "option"),
    [
        (
            ["frage", "antwort"],
            "no column with a known name; the columns are: 'frage', 'antwort'",
            "--set data.columns.prompt=frage --set data.columns.response=antwort",
        ),
        (
            ["id", "patient_question", "doctor_answer", "date"],
            "the columns are: 'id', 'patient_question', 'doctor_answer', 'date'",
            "--set data.columns.prompt=patient_question --set data.columns.response=doctor_answer",
        ),
        (["question", "antwort"], "no column 'answer'", "--set data.columns.answer=antwort"),
        (["question", "id", "reply"], "no column 'answer'", "--set data.columns.answer=reply"),
        (
            ["a", "b", "c"],
            "no column with a known name",
            "prompt=COLUMN --set data.columns.response=COLUMN",
        ),
        (
            ["Patient question", "Nurse answer"],
            "'Patient question'",
            "--set 'data.columns.prompt=Patient question' --set 'data.columns.response=Nurse",
        ),
        (
            ["Who is Osterhagen? I ask.", "x" * 50],
            "the columns are: column 1, column 2",
            "if the first line is a row, add one before it that names the columns: question,answer",
        ),
        (["text", "question"], "no column 'answer'", "--set data.columns.answer=COLUMN"),
    ],
)
def test_what_there_is_and_the_option_to_paste(names: list[str], says: str, option: str) -> None:
    """Never a sentence, which a first row in place of a header would have."""
    message = told(names)
    assert message is not None
    assert says in message
    assert option in message
    assert "Osterhagen" not in message


def test_what_may_be_a_row_is_told_by_its_number(tmp_path: Path) -> None:
    """A first line with other cells than the second, or the only one, is no line of names."""
    for text in ("frage,antwortOsterhagen,b\na,b\n", "Osterhagen,b\n", "MRN 4711,Otto 123\na,b\n"):
        (tmp_path / "train.csv").write_text(text)
        problems: list[Problem] = []
        source = locate(DataConfig(path=str(tmp_path))).train
        assert not list(source.read(1 << 20, problems.append))
        assert (
            problems[0].fault.partition("; ")[2].startswith("the columns are: column 1, column 2")
        )
        assert "add one before it that names the columns" in problems[0].fix


@pytest.mark.parametrize(
    ("names", "form", "columns"),
    [
        (["question", "answer", "id"], "auto", {}),
        (["text", "id"], "auto", {}),
        (["prompt", "response", "question"], "auto", {}),
        (["messages"], "messages", {}),
        (["frage", "antwort"], "auto", {"prompt": "frage", "response": "antwort"}),
    ],
)
def test_columns_of_a_form_are_right(names: list[str], form: str, columns: dict[str, str]) -> None:
    """Whatever stands beside them."""
    assert told(names, form, **columns) is None


def test_a_mapped_column_that_is_not_there_is_named() -> None:
    """A slip in the option shows beside what there is."""
    message = told(["frage", "antwort"], prompt="fragee", response="antwort")
    assert message is not None
    assert "no column 'fragee'; the columns are: 'frage', 'antwort'" in message
    assert "--set data.columns.prompt=frage" in message


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.parquet"])
def test_a_table_of_a_run_has_one_problem_however_many_rows(tmp_path: Path, name: str) -> None:
    """With the line of the header, where it has one."""
    rows = [{"frage": "a", "antwort": "b"}] * 500
    if name.endswith(".parquet"):
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), out)
        (tmp_path / name).write_bytes(out.getvalue())
    else:
        parts = "\t" if name.endswith(".tsv") else ","
        (tmp_path / name).write_text(f"frage{parts}antwort\n" + f"a{parts}b\n" * 500)
    problems: list[Problem] = []
    source = locate(DataConfig(path=str(tmp_path))).train
    assert not list(source.read(1 << 20, problems.append))
    (problem,) = problems
    assert source.place(problem.line) == str(tmp_path / name) + ("" if "parquet" in name else ":1")

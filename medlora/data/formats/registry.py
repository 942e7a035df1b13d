"""The file formats that are read; a new one is a module beside this one, and its name here."""

from medlora.data.formats.array import ARRAY
from medlora.data.formats.lines import LINES
from medlora.data.formats.parquet import PARQUET
from medlora.data.formats.table import TABLE
from medlora.data.formats.text import TEXT

FORMATS = (
    LINES,
    ARRAY,
    TABLE,
    PARQUET,
    TEXT,
)

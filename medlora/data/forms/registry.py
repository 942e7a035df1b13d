"""The forms that are known: of each name in `config.row_forms`, the record in its module."""

from importlib import import_module

from medlora.config import ROW_FORMS
from medlora.data.forms.form import RowForm

BY_NAME: dict[str, RowForm] = {
    name: import_module(f"medlora.data.forms.{name}").FORM for name in ROW_FORMS
}
# By precedence, those of the last resort behind all others.
FORMS = tuple(sorted(BY_NAME.values(), key=lambda form: (form.is_last_resort, form.precedence)))
FIRST_FORMS = tuple(form for form in FORMS if not form.is_last_resort)

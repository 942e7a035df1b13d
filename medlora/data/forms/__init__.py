"""The forms that a row may have: one module and one record for each."""

"""The kinds of suites: one module and one record for each."""

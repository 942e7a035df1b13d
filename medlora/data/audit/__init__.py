"""What is in the data: counts, duplicates, leakage, contamination; never a row's text."""

"""The rules of the safety checker: one record for each."""

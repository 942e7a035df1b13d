"""Data files of every accepted format as lines of JSON, each with the place where it stands."""

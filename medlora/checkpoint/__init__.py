"""Keep state: whole folders with a manifest of hashes, one writer a run."""

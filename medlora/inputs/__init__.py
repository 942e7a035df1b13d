"""What a run reads: found, scanned, audited, and turned into rows of tokens."""

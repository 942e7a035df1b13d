"""Training speed, ours and others, interleaved; see `__main__`."""

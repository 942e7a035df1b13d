"""The sections of `medlora check`."""

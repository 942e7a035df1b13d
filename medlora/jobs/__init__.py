"""One module a command: the only code that sees all stages; owns policy."""

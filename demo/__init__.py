"""Makes the embedded demo (`medlora/demo`): written text in, data and a tiny base model out."""

"""Records -> chat -> rows of tokens -> batches."""

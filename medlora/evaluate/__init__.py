"""Measure a model: held-out loss, generated answers."""

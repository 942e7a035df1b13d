"""The seed's trainer: steps with evaluation, checkpoints and a verdict at the end."""

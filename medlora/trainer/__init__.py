"""What trains: steps with evaluation, checkpoints, and a verdict at the end."""

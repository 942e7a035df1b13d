"""What people look at: progress, metrics, the run manifest."""

"""Batches -> adapter updates: loss, optimizer, schedule, loop."""

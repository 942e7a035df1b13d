"""Load the base, attach the adapter."""

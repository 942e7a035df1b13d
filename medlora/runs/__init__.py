"""A run's folder: made, kept, delivered, found again."""

"""Identifiers in text: the classes of HIPAA's Safe Harbor, found, counted, replaced."""

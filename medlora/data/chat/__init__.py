"""Conversations as a base model is served them: its template, its thoughts, its control tokens."""

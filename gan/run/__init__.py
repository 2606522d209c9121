"""A run: its directory, its loop from top to bottom, what it keeps and what it tells."""

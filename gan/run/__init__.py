"""A run: its directory, its training loop, its checkpoints, its report."""

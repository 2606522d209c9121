"""Scores of generated samples: pure functions of arrays."""

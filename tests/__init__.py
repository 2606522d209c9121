"""Tests: mathematics and invariances first."""

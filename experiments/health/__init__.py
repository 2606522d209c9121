"""Measurement of how often gan/health.py is right: runs constructed to fail in each way, and healthy runs."""

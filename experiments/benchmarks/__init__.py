"""Measurements of speed: each a script that prints its machine, its versions and its command."""

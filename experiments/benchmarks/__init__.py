"""Measurements of speed: scripts that print the machine, the versions and the command with each result."""

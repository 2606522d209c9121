"""Sweeps, comparisons and benchmarks, which use the package `gan` like any outside user."""

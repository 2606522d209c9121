"""Sweeps, comparisons and benchmarks: users of the package `gan`, as any other."""

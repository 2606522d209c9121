"""Comparison of the arms of a sweep: grouping of runs, statistics, a console table and one page."""

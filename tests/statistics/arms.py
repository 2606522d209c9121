"""Arms for the tests of gan/statistics."""

import math

from hypothesis import strategies as st

from gan.statistics import make_arm

# Values with many ties, none where a run has failed, and failures that have a value.
VALUES = st.one_of(st.none(), st.integers(-3, 3), st.floats(-100, 100).map(lambda value: round(value, 3)))
RUNS = st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=10)
PAIRS = st.lists(st.tuples(st.tuples(VALUES, st.booleans()), st.tuples(VALUES, st.booleans())), min_size=1, max_size=10)


def arm(values, name='x', first=0):
  """Runs with consecutive seeds, all of which succeeded but for those without a value: None or nan."""
  return arm_of([(value, True) for value in values], name, first)


def arm_of(runs, name='x', first=0):
  """Runs (value or None, success) with consecutive seeds."""
  values = [(math.nan if value is None else value, success) for value, success in runs]
  return make_arm(name, [(first + i, value, success and math.isfinite(value))
                         for i, (value, success) in enumerate(values)])

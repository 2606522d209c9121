"""Statistics of comparisons of settings: intervals, success rates, ranks, power, and a verdict in a sentence.

All functions are pure, of numbers, with NumPy and SciPy only; the same runs give the same sentence. A setting is an
`Arm`:

  arms = [make_arm('saturating', runs), make_arm('nonsaturating', other_runs)]       # runs: Run(seed, value, success)
  for comparison in adjust([compare(x, y, higher_is_better=False) for x, y in itertools.combinations(arms, 2)]):
    print(verdict(comparison))
"""

from gan.statistics.arms import Arm, Interval, Run, make_arm
from gan.statistics.comparison import Comparison, adjust, compare, holm
from gan.statistics.means import difference_given_success, mean_given_success
from gan.statistics.power import detectable_difference, pairs_needed, power_of
from gan.statistics.ranks import improvement_test, interquartile_mean, probability_of_improvement
from gan.statistics.rates import success_difference, success_rate
from gan.statistics.verdict import verdict

__all__ = ['Arm', 'Comparison', 'Interval', 'Run', 'adjust', 'compare', 'detectable_difference',
           'difference_given_success', 'holm', 'improvement_test', 'interquartile_mean', 'make_arm',
           'mean_given_success', 'pairs_needed', 'power_of', 'probability_of_improvement', 'success_difference',
           'success_rate', 'verdict']

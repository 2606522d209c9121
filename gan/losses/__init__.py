"""Adversarial objectives on logits.

Objectives are pure functions of two vectors of discriminator outputs, before any sigmoid. Nothing here depends on
networks, configurations or devices. Every objective takes both vectors, because some (relativistic ones, softmax) need
both. It returns its batch mean and the same two parts, `on_real` and `on_fake`, so that `lax.switch` can choose between
objectives. It raises ValueError unless its inputs are two vectors of equal length. Settings are keyword-only, have
defaults and may be traced. The vectors hold the global batch, however many devices there are, because some objectives
are not means over single samples.

To add a loss, write one pair of functions, one line in `LOSSES` with the meaning of each setting, and one closed-form
test.
"""

from math import log

from gan.declare import ANY, FRACTION, POSITIVE, POSITIVE_OR_INFINITE, one_of
from gan.losses import alpha, classic, f_gan, relativistic, softmax
from gan.losses.pair import LossPair, paired_probability

GOODFELLOW = 'Goodfellow et al. 2014, arXiv:1406.2661'
WELFERT = 'Welfert et al. 2023, arXiv:2302.14320'
SMOOTHING = {'label_smoothing': ('One-sided label smoothing: the target of real samples is 1 minus this.', FRACTION)}
TARGETS = {'a': ('Target of generated samples.', ANY), 'b': ('Target of real samples.', ANY),
           'c': ("Target of generated samples in the generator's loss.", ANY)}
ORDERS = {f'alpha_{player}': (f'Order of the alpha-loss of the {name}, in (0, inf].', POSITIVE_OR_INFINITE)
          for player, name in (('disc', 'discriminator'), ('gen', 'generator'))}

LOSSES = {
    'saturating': LossPair(classic.logistic_disc, classic.saturating_gen, zero_sum=True, paper=GOODFELLOW,
                           chance=2 * log(2), meanings=SMOOTHING),
    'nonsaturating': LossPair(classic.logistic_disc, classic.nonsaturating_gen, zero_sum=False, paper=GOODFELLOW,
                              chance=2 * log(2), meanings=SMOOTHING),
    'least_squares': LossPair(classic.least_squares_disc, classic.least_squares_gen, zero_sum=False,
                              paper='Mao et al. 2017, arXiv:1611.04076', chance=0.25,
                              probability=classic.least_squares_probability, meanings=TARGETS),
    'hinge': LossPair(classic.hinge_disc, classic.linear_gen, zero_sum=False,
                      paper='Lim & Ye 2017, arXiv:1705.02894', chance=2.0,
                      meanings={'margin': ('Logit beyond which a sample costs nothing.', POSITIVE)}),
    # A critic is defined up to a constant, so only differences of its scores have a meaning.
    'wasserstein': LossPair(classic.wasserstein_disc, classic.linear_gen, zero_sum=True,
                            paper='Arjovsky et al. 2017, arXiv:1701.07875', chance=0.0, probability=paired_probability),
    'rpgan_logistic': relativistic.paired(relativistic.logistic, chance=log(2)),
    'rpgan_hinge': relativistic.paired(relativistic.hinge, chance=1.0),
    'rpgan_least_squares': relativistic.paired(relativistic.least_squares, chance=1.0),
    'ragan_logistic': relativistic.averaged(relativistic.logistic, chance=2 * log(2)),
    'ragan_hinge': relativistic.averaged(relativistic.hinge, chance=2.0),
    'ragan_least_squares': relativistic.averaged(relativistic.least_squares, chance=2.0),
    'fgan_kl': f_gan.minimax(f_gan.KL),
    'fgan_kl_alternative': f_gan.alternative(f_gan.KL),
    'fgan_reverse_kl': f_gan.minimax(f_gan.REVERSE_KL),
    'fgan_reverse_kl_alternative': f_gan.alternative(f_gan.REVERSE_KL),
    'fgan_jensen_shannon': f_gan.minimax(f_gan.JENSEN_SHANNON),
    'fgan_jensen_shannon_alternative': f_gan.alternative(f_gan.JENSEN_SHANNON),
    'fgan_pearson': f_gan.minimax(f_gan.PEARSON),
    'fgan_pearson_alternative': f_gan.alternative(f_gan.PEARSON),
    'fgan_squared_hellinger': f_gan.minimax(f_gan.SQUARED_HELLINGER),
    'fgan_squared_hellinger_alternative': f_gan.alternative(f_gan.SQUARED_HELLINGER),
    'fgan_total_variation': f_gan.minimax(f_gan.TOTAL_VARIATION),
    'fgan_total_variation_alternative': f_gan.alternative(f_gan.TOTAL_VARIATION),
    'alpha_saturating': LossPair(alpha.alpha_disc_loss, alpha.alpha_saturating_gen, zero_sum=True, paper=WELFERT,
                                 chance=2 * log(2), probability=alpha.alpha_probability, meanings=ORDERS),
    'alpha_nonsaturating': LossPair(alpha.alpha_disc_loss, alpha.alpha_nonsaturating_gen, zero_sum=False,
                                    paper=WELFERT, chance=2 * log(2), probability=alpha.alpha_probability,
                                    meanings=ORDERS),
    'softmax': LossPair(softmax.softmax_disc, softmax.softmax_gen, zero_sum=False, paper='Lin 2017, arXiv:1704.06191',
                        chance=0.0, probability=softmax.softmax_probability),
}


_FORMS = ('saturating', 'nonsaturating', 'alternative', 'minimax')   # Suffixes of the names of objectives.


def _name_problem(name: str) -> str:
  """Return what is wrong with the name of an objective, '' if nothing is; each paper defines only some forms."""
  base, _, form = name.rpartition('_')
  if name not in LOSSES and f'{base}_alternative' in LOSSES and form == 'nonsaturating':
    return f': {LOSSES[base].paper} calls that form alternative; use {base}_alternative'
  if name not in LOSSES and form in _FORMS and base in LOSSES:
    return f': {LOSSES[base].paper} defines no {form} form of {base}; use {base}'
  return one_of(LOSSES).problem(name)


NAMES = one_of(LOSSES)._replace(problem=_name_problem)

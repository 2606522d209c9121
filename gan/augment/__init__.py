"""Augmentations of the discriminator's images: pure functions of images and of explicit random numbers.

All augmentations take images [B, H, W, C] in [-1, 1] and `uniforms` [B, K] in [0, 1); row i affects image i alone. They
use no keys: the caller draws the *global* array once and gives each device its rows, so that one device and several see
the same images, to rounding. All augmentations are affine in the images, so they can be differentiated as often as a
penalty needs.
"""

from gan.augment.adaptive import ADA_COLUMNS, ADA_SETTINGS, ADA_UNIFORMS, ada_augment, ada_step
from gan.augment.consistency import FLIP_AND_SHIFT_COLUMNS, FLIP_AND_SHIFT_UNIFORMS, flip_and_shift
from gan.augment.differentiable import DIFF_AUGMENT, DIFF_AUGMENT_COLUMNS, DIFF_AUGMENT_UNIFORMS, diff_augment
from gan.declare import NOT_NEGATIVE, Range, Setting, nearest

__all__ = ['ADA_COLUMNS', 'ADA_SETTINGS', 'ADA_UNIFORMS', 'DIFF_AUGMENT', 'DIFF_AUGMENT_COLUMNS',
           'DIFF_AUGMENT_UNIFORMS', 'FLIP_AND_SHIFT_COLUMNS', 'FLIP_AND_SHIFT_UNIFORMS', 'NOISE', 'POLICIES', 'POLICY',
           'ada_augment', 'ada_step', 'diff_augment', 'flip_and_shift']

# Instance noise: Sonderby et al. 2016, arXiv:1610.04490; Arjovsky & Bottou 2017, arXiv:1701.04862.
NOISE = Setting(0.0, "Standard deviation of the noise on D's inputs (instance noise), in units of the data; 0: none.",
                NOT_NEGATIVE)

# Policies that cannot be combined, with their settings; all others are names of DIFF_AUGMENT joined by +.
POLICIES = {'none': {}, 'ada': ADA_SETTINGS}


def _policy_problem(policy: str) -> str:
  if policy in POLICIES:
    return ''
  names = policy.split('+')
  for name in names:
    if name in POLICIES:
      return f': {name} stands alone; use {name}, or {"+".join(DIFF_AUGMENT)}'
    if name not in DIFF_AUGMENT:
      return f': {name!r} is unknown{nearest(name, (*POLICIES, *DIFF_AUGMENT))}'
  return ' names a transformation twice; name each once' if len(set(names)) < len(names) else ''


POLICY = Setting('none', "Augmentation of D's inputs, real and fake: none, ada, or names of DiffAugment joined by +.",
                 Range(f'{", ".join(POLICIES)}, or some of {"+".join(DIFF_AUGMENT)}', _policy_problem))

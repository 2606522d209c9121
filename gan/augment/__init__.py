"""Augmentations of what the discriminator sees: pure functions of images and of explicit random numbers.

All take images [B, H, W, C] in [-1, 1] and `uniforms` [B, K] in [0, 1), of which row i decides what happens to image i
and to no other. No keys in here: the caller draws the *global* array once and gives each device its rows, so that one
device and several see the same images, to rounding. All are affine in the images, hence differentiable as often as a
penalty needs.
"""

from gan.augment.adaptive import ADA_COLUMNS, ADA_UNIFORMS, ada_augment, ada_step
from gan.augment.consistency import FLIP_AND_SHIFT_COLUMNS, FLIP_AND_SHIFT_UNIFORMS, flip_and_shift
from gan.augment.differentiable import DIFF_AUGMENT, DIFF_AUGMENT_COLUMNS, DIFF_AUGMENT_UNIFORMS, diff_augment

__all__ = ['ADA_COLUMNS', 'ADA_UNIFORMS', 'DIFF_AUGMENT', 'DIFF_AUGMENT_COLUMNS', 'DIFF_AUGMENT_UNIFORMS',
           'FLIP_AND_SHIFT_COLUMNS', 'FLIP_AND_SHIFT_UNIFORMS', 'ada_augment', 'ada_step', 'diff_augment',
           'flip_and_shift']

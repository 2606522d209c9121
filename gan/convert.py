r"""Convert published weights to the folder that `gan.export` writes: JAX alone runs the generator.

  python -m gan.convert --stylegan2=weights.npz --out=ffhq
  python -m gan.convert --stylegan2=weights.npz --truncation=0.7 --out=ffhq

`docs/export.md` says how the tensors of a published pickle get into a plain file; no pickle is opened here.
"""

import hashlib
from pathlib import Path

from absl import flags

from gan import cli
from gan.portable import PortableError, folder, stylegan2_ada
from gan.portable.card import About

STYLEGAN2 = flags.DEFINE_string('stylegan2', None, 'File .npz or .safetensors with the tensors of a generator of '
                                'StyleGAN2-ADA, named as in the official PyTorch code.', required=True)
OUT = flags.DEFINE_string('out', None, 'Folder to write; it must be new or empty.', required=True)
TRUNCATION = flags.DEFINE_float('truncation', None, 'How much of the distance from the mean style is kept, in [0, 1].',
                                lower_bound=0.0, upper_bound=1.0)
BATCH = flags.DEFINE_integer('batch', None, 'Fixed number of samples of each call; any number by default.',
                             lower_bound=1)


def main(argv: list[str]) -> int:
  """Write the folder; return the exit code."""
  del argv
  path, out = Path(STYLEGAN2.value), Path(OUT.value)
  folder.check_free(out)
  try:
    tensors = stylegan2_ada.read(path)
    sizes = stylegan2_ada.sizes_of(tensors)
    stylegan2_ada.check(tensors, sizes)
  except PortableError as error:
    return cli.fail(f'--stylegan2={path}: {error}')
  portable = stylegan2_ada.portable(tensors, sizes, TRUNCATION.value)
  checked = folder.write(out, portable, _about(path, sizes), BATCH.value)
  by_class = f', {sizes.classes} classes' if sizes.classes else ''
  print(f'StyleGAN2 of {sizes.pixels} pixels{by_class}: {out}\n{len(checked.samples)} samples of the program differ by '
        f'at most {checked.difference:.2g} from the network. {out / folder.CARD} says how to load it.')
  return 0


def _about(path: Path, sizes: stylegan2_ada.Sizes) -> About:
  summary = [f'A StyleGAN2 generator of {sizes.pixels} pixels (Karras et al. 2020, arXiv:1912.04958 and '
             f'arXiv:2006.06676), converted from the published weights in `{path.name}`.']
  if TRUNCATION.value is not None:
    summary.append(f'Styles are pulled towards their mean: truncation {TRUNCATION.value:g}, where 1 leaves them.')
  source = [('file', path.name), ('SHA-256', hashlib.sha256(path.read_bytes()).hexdigest()),
            *((name.replace('_', ' '), f'{value:,}') for name, value in sizes._asdict().items())]
  notes = ['The noise is the fixed one that was published with the weights. It is a part of the weights, `noise.*`, so '
           'other noise, or zeros, can take its place.',
           'The licence of these weights is that of their authors.']
  return About(f'StyleGAN2, {sizes.pixels} pixels', summary, {'Source': source}, notes=notes)


if __name__ == '__main__':
  cli.run(main)

"""The folder of an exported generator: program, weights, a check, a picture and the model card."""

import io
from pathlib import Path

import numpy as np
import safetensors.numpy

from gan.portable import PortableError
from gan.portable.card import About, render
from gan.portable.program import Checked, Portable, check, compile_program
from gan.run.workdir import check_writable
from gan.show import images

PROGRAM, WEIGHTS, CHECK, PICTURE, CARD = ('generator.jax', 'generator.safetensors', 'check.npz', 'samples.png',
                                          'README.md')
FILES = {
    PROGRAM: 'the program, StableHLO serialised by `jax.export`: (weights, **inputs) -> samples',
    WEIGHTS: 'the weights, which are its first argument: parameters, statistics and fixed noise by flat name',
    CHECK: 'inputs, and the samples that the program must make of them',
    PICTURE: 'these samples as a picture',
}


def check_free(out: Path) -> None:
  """Create a folder, and check that it is empty and can be written to; call this before anything is computed.

  Raises:
    PortableError: if it is a file, or not empty.
    WorkdirError: if it cannot be written to.
  """
  if out.exists() and not out.is_dir():
    raise PortableError(f'--out={out} is a file; name a new folder')
  if out.is_dir() and any(out.iterdir()):
    raise PortableError(f'--out={out} is not empty; name a new folder, or empty this one')
  check_writable(out, flag='--out')


def write(out: Path, portable: Portable, about: About, batch: int | None = None) -> Checked:
  """Export a generator to a folder that `check_free` has accepted; the card is written last.

  Args:
    out: the folder.
    portable: the generator.
    about: what its card says.
    batch: number of samples of each call; None: any number.

  Raises:
    PortableError: if the generator cannot be exported.
  """
  program = compile_program(portable, batch)
  checked = check(program, portable, batch)
  archive = io.BytesIO()
  np.savez_compressed(archive, samples=checked.samples, **checked.inputs)
  contents = {PROGRAM: program, WEIGHTS: safetensors.numpy.save(portable.weights), CHECK: archive.getvalue()}
  if checked.samples.ndim == 4:
    contents[PICTURE] = images.png_bytes(images.grid(checked.samples))
  contents[CARD] = render(about, portable, checked, batch, {name: FILES[name] for name in contents}).encode()
  for name, content in contents.items():
    images.write_atomic(out / name, content)
  return checked

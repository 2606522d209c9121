r"""Analyse a run as a dynamical system: its vector field, the eigenvalues of the field's Jacobian, its rotation.

  python -m gan.dynamics --workdir=runs/dcgan                       # the newest checkpoint
  python -m gan.dynamics --workdir=runs/dirac --step=100

The command writes <workdir>/dynamics/step_<step>.json and .png, and prints the numbers.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from gan import cli
from gan.build import describe_data, is_conditional, make_loop, make_pipeline, open_data
from gan.config.validate import validate
from gan.dynamics.field import make_field, player_norms
from gan.dynamics.spectrum import leading_eigenvalues, rotation
from gan.run import workdir
from gan.run.restore import restore
from gan.show import images, plots
from gan.step import make_deal

WORKDIR = flags.DEFINE_string('workdir', None, 'Directory of the run.', required=True)
STEP = flags.DEFINE_integer('step', None, 'Checkpoint; the newest by default.')
DATA_PATH = flags.DEFINE_string('config.data.path', None, 'Folder of the images, if it has moved.')
COUNT = flags.DEFINE_integer('count', 8, 'Number of eigenvalues of largest magnitude, and of largest real part; games '
                             'with few parameters get all of them.', lower_bound=1)
SCALARS = ('disc/accuracy', 'disc/logit_gap', 'disc/update_cosine', 'gen/update_cosine')


def main(argv: list[str]) -> int:
  """Write and print the analysis; return the exit code."""
  del argv
  run_dir = Path(WORKDIR.value)
  config, _, built, step, state = restore(run_dir, STEP.value)
  if DATA_PATH.value is not None:
    config.data.path = DATA_PATH.value
  config = validate(config)
  workdir.check_writable(run_dir / 'dynamics')
  data = open_data(config)
  workdir.check_data(run_dir, describe_data(data, is_conditional(config)), config.data.path)
  batches = make_pipeline(config, data, built.parallel, state.rng)
  fed = batches.feed(step, 1)
  turn = jax.jit(lambda fed: make_deal(built.game)(
      batches.batch(fed, state.rng, state.step, np.int32(0)), state, 0))(fed)

  field = make_field(built.game, state, turn, built.numbers_at(built.hparams, state.step))
  spectrum = leading_eigenvalues(field, COUNT.value)
  measured = {f'{name}/field_norm': norm for name, norm in player_norms(field).items()}
  if built.game.slopes:
    slopes = jax.jit(lambda context: built.game.slopes(context[0], context[1]._replace(update=0), context[2]))
    measured |= {name: float(value) for name, value in slopes(field.context).items()}
  measured['rotation'] = rotation(field)
  # This step of training is only measured. It comes last, because it donates the buffers of the state.
  _, scalars, _ = make_loop(config, built, batches)(state, fed, built.hparams, np.int32(1))
  measured |= {name: float(scalars[name]) for name in SCALARS if name in scalars}

  out = run_dir / 'dynamics' / f'step_{step:08d}.json'
  record = {'step': step, 'parameters': int(field.x.size), 'growth': spectrum.growth,
            'largest_step': spectrum.largest_step, **measured, 'exact': spectrum.exact, 'converged': spectrum.converged,
            'eigenvalues': [[float(value.real), float(value.imag)] for value in spectrum.values]}
  images.write_atomic(out, (json.dumps(record, indent=2) + '\n').encode())
  note = f'{"all" if spectrum.exact else "leading"} {len(spectrum.values)} eigenvalues, {field.x.size:,} parameters'
  images.save_png(out.with_suffix('.png'), plots.eigenvalues(spectrum.values, f'{run_dir.name}, step {step}', note))
  print(_table(record))
  print(f'Written: {out} and {out.with_suffix(".png").name}')
  return 0


def _table(record: dict[str, Any]) -> str:
  """Return the record as a table for the console."""
  explained = {
      'growth': 'largest real part of an eigenvalue; above 0 the players move away from here',
      'largest_step': 'step size below which simultaneous descent contracts; 0: none',
      'rotation': 'share of the Jacobian that rotates: 0 is descent, 1 is pure rotation',
      'gen/field_norm': "generator's gradient", 'disc/field_norm': "discriminator's gradient",
      'disc/real_slope': 'mean |grad D| at real samples', 'disc/fake_slope': 'mean |grad D| at generated samples',
      'disc/accuracy': '', 'disc/logit_gap': 'mean real logit minus mean generated logit',
      'gen/update_cosine': "cosine of the angle between the generator's last step and its next",
      'disc/update_cosine': 'the same for the discriminator'}
  lines = [f'step {record["step"]}, {record["parameters"]:,} parameters']
  lines += [f'  {name:<20}{record[name]:>12.4g}   {text}'.rstrip()
            for name, text in explained.items() if name in record]
  values = ', '.join(f'{real:.3g}{imaginary:+.3g}i' for real, imaginary in record['eigenvalues'][:8])
  suffix = '' if record['converged'] else ' (Arnoldi did not converge for all)'
  return '\n'.join([*lines, f'  eigenvalues: {values}{" ..." if len(record["eigenvalues"]) > 8 else ""}{suffix}'])


if __name__ == '__main__':
  cli.run(main)

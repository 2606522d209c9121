r"""The Dirac-GAN (Mescheder et al. 2018, arXiv:1801.04406): D(x) = psi x, G(z) = theta, data at 0.

  python -m gan.main --config=configs/dirac.py                              # circles around the equilibrium
  python -m gan.main --config=configs/dirac.py:loss=nonsaturating           # approaches it more and more slowly
  python -m gan.main --config=configs/dirac.py:rule=simultaneous            # spirals away from it
  python -m gan.main --config=configs/dirac.py --config.penalty.r1=1.0      # converges
  python -m gan.main --config=configs/dirac.py:loss=hinge,rule=extragradient
  python -m gan.main --config=configs/dirac.py:runlocal                     # 20 steps: a smoke test

Each player has one parameter. Every loss and update rule runs here, and every regulariser that is defined for a single
weight and a single number. The pictures show the path of (theta, psi) over the vector field of the game; `python -m
gan.dynamics --workdir=runs/dirac` prints the eigenvalues of its Jacobian.

Cost, measured on two busy CPU cores (AMD EPYC): 12 seconds, nearly all of it compilation.
"""

import ml_collections

from gan.config import RUNLOCAL, apply_overrides, base_config, parse_arg


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration; `arg`: `runlocal`, `loss=<name>`, `rule=<name>`, comma-separated."""
  arg = parse_arg(arg, loss='saturating', rule='alternating', runlocal=False)
  config = base_config()
  config.data.name = 'dirac'
  config.game.name = 'plane'
  config.model.gen.name = config.model.disc.name = 'dirac'
  config.model.z_dim = 1
  config.loss.name = arg.loss
  config.update.rule = arg.rule
  for player in (config.optimizer.gen, config.optimizer.disc):
    player.name, player.lr, player.b1 = 'sgd', 0.2, 0.0
  config.train.batch_size = 64             # All samples are equal, unless noise is added.
  config.train.num_steps = 500
  config.train.ema_decay = 0.9
  config.train.log_every = 2
  config.train.save_every = config.train.eval_every = config.train.sample_every = 100
  config.eval.num_samples = 64
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL)
  return config

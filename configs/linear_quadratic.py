r"""The linear-quadratic game (Nagarajan & Kolter 2017, arXiv:1706.04156): D(x) = w x^2, G(z) = a z, data N(0, 1).

  python -m gan.main --config=configs/linear_quadratic.py                          # a WGAN, which circles
  python -m gan.main --config=configs/linear_quadratic.py:rule=consensus           # converges to a = 1, w = 0
  python -m gan.main --config=configs/linear_quadratic.py:loss=nonsaturating --config.penalty.r1=1.0
  python -m gan.main --config=configs/linear_quadratic.py:runlocal                 # 20 steps: a smoke test

The discriminator can only distinguish variances, so a = 1 and a = -1 are equally good. The pictures show the path of
(a, w) over the vector field of the game.

Cost, measured on two busy CPU cores (AMD EPYC): 12 seconds, nearly all of it compilation.
"""

import ml_collections

from gan.config import RUNLOCAL, apply_overrides, base_config, parse_arg


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Return the configuration; `arg`: `runlocal`, `loss=<name>`, `rule=<name>`, comma-separated."""
  arg = parse_arg(arg, loss='wasserstein', rule='alternating', runlocal=False)
  config = base_config()
  config.data.name = 'gaussian'
  config.game.name = 'plane'
  config.model.gen.name = config.model.disc.name = 'linear_quadratic'
  config.model.z_dim = 1
  config.loss.name = arg.loss
  config.update.rule = arg.rule
  for player in (config.optimizer.gen, config.optimizer.disc):
    player.name, player.lr, player.b1 = 'sgd', 0.02, 0.0
  config.train.batch_size = 512
  config.train.num_steps = 1_000
  config.train.ema_decay = 0.9
  config.train.log_every = 4
  config.train.save_every = config.train.eval_every = config.train.sample_every = 200
  if arg.runlocal:
    apply_overrides(config, RUNLOCAL)
  return config

"""R3GAN's ablation on stacked MNIST, a thousand modes (Huang et al. 2024, arXiv:2501.05441).

  python -m experiments.run --sweep=experiments/stacked_mnist.py             # small: 300 steps each, a smoke test
  python -m experiments.run --sweep=experiments/stacked_mnist.py:full        # 50 epochs, for a GPU

The arms are the relativistic and the non-saturating loss, each with R1 and R2 or with R1 alone, and both classic losses
without penalty. The sweep needs MNIST (`python -m gan.data.prepare mnist`). The code of the paper is not public, and
networks and settings are partly ours (see configs/stacked_mnist.py), so only the order of the arms can be compared with
the paper.
"""

from typing import Any

from experiments.sweep import chain, fix, param, product

CONFIG = 'configs/stacked_mnist.py:r1=0,r2=0'
QUESTION = 'What makes a small network without norm cover a thousand modes?'
BY = 'loss.name,penalty.r1,penalty.r2'
METRIC = 'modes'
GAMMA = 0.1
SOURCE = 'R3GAN, arXiv:2501.05441'
PUBLISHED = [
    {'arm': (loss, GAMMA, r2), 'metric': metric, 'value': value, 'source': SOURCE, 'note': 'details not published'}
    for loss, r2, values in (
        ('rpgan_logistic', GAMMA, {'modes': '1000', 'reverse_kl': '0.0781'}),
        ('nonsaturating', GAMMA, {'modes': '693', 'reverse_kl': '0.9270'}),
        ('rpgan_logistic', 0.0, {'modes': 'fails'}), ('nonsaturating', 0.0, {'modes': 'fails'}))
    for metric, value in values.items()] + [
    {'arm': 'DCGAN', 'metric': metric, 'value': value, 'source': source, 'note': 'the usual baseline, another network'}
    for source, values in {'VEEGAN, arXiv:1705.07761': {'modes': '99', 'reverse_kl': '3.40'},
                           'PacGAN, arXiv:1712.04086': {'modes': '78.9 +- 6.5', 'reverse_kl': '4.50'}}.items()
    for metric, value in values.items()]


def sweep(size: str = 'small') -> list[dict[str, Any]]:
  """Return the runs of six arms.

  Small: 2 seeds, 300 steps, a narrow network, batch 32. Full: 10 seeds, 100,000 steps.
  """
  both, one = fix({'penalty.r1': GAMMA, 'penalty.r2': GAMMA}), fix({'penalty.r1': GAMMA})
  arms = chain(product(param('loss.name', ['rpgan_logistic', 'nonsaturating']), chain(both, one)),
               param('loss.name', ['saturating', 'nonsaturating']))
  base = {'small': {'train.num_steps': 300, 'train.eval_every': 75, 'train.save_every': 150, 'train.log_every': 25,
                    'train.sample_every': 150, 'train.batch_size': 32, 'model.gen.width': 16, 'model.disc.width': 16,
                    'eval.num_samples': 2_600},
          'full': {}}[size]
  return product(fix(base), arms, param('seed', range(2 if size == 'small' else 10)))

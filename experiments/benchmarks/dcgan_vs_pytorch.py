r"""Training steps per second on the CPU: our DCGAN and the same step in eager PyTorch, the peer.

  pip install torch==2.13.0            # The peer is not among the requirements of this project.
  python -m experiments.benchmarks.dcgan_vs_pytorch

Both train a DCGAN for 32x32x1 images on resident data: one update of the discriminator and one of the generator, with
fresh latents for each, batch norm, Adam and an averaged generator. Ours is the code of a run: configuration, build,
pipeline, compiled loop. All variants are warmed up, then take turns. The speed of a machine drifts, so the ratio within
a turn counts. The one difference favours the peer: ours computes all scalars of a run (norms, probabilities) at every
step, the peer none.
"""

import argparse
import copy
import sys
import time
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from jax import Array

from configs import dcgan
from experiments.benchmarks.timing import (
  MAX_FOREIGN,
  Run,
  describe,
  describe_machine,
  drive,
  foreign_seconds,
  rate,
)
from gan.build import Build, build, make_initial_state, make_loop, make_pipeline
from gan.config.validate import validate
from gan.data import digits
from gan.data.pipeline import load_all
from gan.data.source import ImageSource
from gan.run.environment import num_cores
from gan.step import make_loop as make_step_loop

try:
  import torch
  from torch import nn
except ImportError:
  torch = None

IMAGE_SIZE = 32
MNIST_SIZE = 60_000
OURS, SMALL, NCHW, CHANNELS_LAST = 'gan, 60,000 images', 'gan, 1,500 images', 'PyTorch NCHW', 'PyTorch channels_last'

class Gathered(NamedTuple):
  """The state of a loop that only makes batches."""

  step: Array
  rng: Array
  images: Array


def make_config(batch_size: int, width: int) -> ml_collections.ConfigDict:
  """Return the configuration of our run: configs/dcgan.py at 32 pixels, 10 steps in one dispatch."""
  config = dcgan.get_config(f'digits,size={IMAGE_SIZE}')
  config.model.gen.width = config.model.disc.width = width
  config.train.batch_size = batch_size
  config.train.ema_decay = 0.999
  config.train.steps_per_call = 10
  return validate(config, jax.device_count())


def make_data(num_examples: int | None = None) -> ImageSource:
  """Return the embedded digits, or `num_examples` random draws from them: real images without a download."""
  source = digits.load(IMAGE_SIZE, 'train')
  if num_examples is None:
    return source
  images, labels = load_all(source)
  drawn = np.random.default_rng(0).integers(len(images), size=num_examples)
  return ImageSource('digits', 'train', source.shape, source.class_names,
                     digits.ArrayRecords(images[drawn], labels[drawn]))


def make_ours(config: ml_collections.ConfigDict, source: ImageSource) -> tuple[Build, Run, Run]:
  """Make our run, and a loop that only computes indices, gathers images and converts them to float."""
  built = build(config, source.columns)
  state = make_initial_state(built, config.seed)
  batches = make_pipeline(config, source, built.parallel, state.rng)
  hparams, per_call = built.parallel.place(built.hparams), config.train.steps_per_call

  def gather(state: Gathered, batch: dict[str, Array], hparams: dict) -> tuple[Gathered, dict[str, Array]]:
    del hparams
    images = batch['images']
    return Gathered(state.step + 1, state.rng, images), {'first_pixel': images.ravel()[0]}

  shape = (config.train.disc_steps, config.train.batch_size, *source.shape)
  empty = built.parallel.place(Gathered(np.int32(0), jax.random.key(0), np.zeros(shape, np.float32)))
  gather_loop = built.parallel.compile(make_step_loop(gather, batches.batch))
  gather_run = drive(gather_loop, empty, batches, hparams, per_call)
  return built, drive(make_loop(config, built, batches), state, batches, hparams, per_call), gather_run


def make_peer_nets(channels: int, width: int, z_dim: int) -> tuple['nn.Module', 'nn.Module']:
  """Make generator and discriminator of PyTorch's DCGAN tutorial for 32 pixels instead of 64: one stage fewer."""
  gen, disc, w = [nn.ConvTranspose2d(z_dim, 4 * width, 4, 1, 0, bias=False)], [], width
  for features_in, features_out in ((4 * w, 2 * w), (2 * w, w), (w, channels)):
    gen += [nn.BatchNorm2d(features_in), nn.ReLU(True),
            nn.ConvTranspose2d(features_in, features_out, 4, 2, 1, bias=False)]
  for features_in, features_out in ((channels, w), (w, 2 * w), (2 * w, 4 * w)):
    disc += [nn.Conv2d(features_in, features_out, 4, 2, 1, bias=False)]
    disc += [nn.BatchNorm2d(features_out)] if disc[1:] else []
    disc += [nn.LeakyReLU(0.2, inplace=True)]
  nets = nn.Sequential(*gen, nn.Tanh()), nn.Sequential(*disc, nn.Conv2d(4 * width, 1, 4, 1, 0, bias=False))
  for net in nets:
    for module in net:
      if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
      elif hasattr(module, 'weight'):
        nn.init.normal_(module.weight, 0.0, 0.02)
  return nets


def make_peer(nets: tuple['nn.Module', 'nn.Module'], images: np.ndarray, config: ml_collections.ConfigDict,
              memory_format: 'torch.memory_format') -> Run:
  """Make the eager training of PyTorch's tutorial, with an averaged generator in addition.

  Args:
    nets: generator and discriminator; they are copied.
    images: uint8 [N, H, W, C], all kept in memory.
    config: our configuration, for batch size, z_dim, optimizer and decay.
    memory_format: memory format of networks and images.
  """
  gen, disc = (copy.deepcopy(net).to(memory_format=memory_format) for net in nets)
  ema = copy.deepcopy(gen).requires_grad_(False)
  settings, batch_size, decay = config.optimizer.gen, config.train.batch_size, config.train.ema_decay
  gen_opt, disc_opt = (torch.optim.Adam(net.parameters(), settings.lr, (settings.b1, settings.b2), settings.eps)
                       for net in (gen, disc))
  data = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
  criterion = nn.BCEWithLogitsLoss()
  ones, zeros = torch.ones(batch_size), torch.zeros(batch_size)

  def latents() -> 'torch.Tensor':
    return torch.randn(batch_size, config.model.z_dim, 1, 1).to(memory_format=memory_format)

  def step() -> None:
    batch = data[torch.randint(len(data), (batch_size,))].float().div_(127.5).sub_(1.0)
    with torch.no_grad():
      fakes = gen(latents())
    disc_opt.zero_grad()
    (criterion(disc(batch).flatten(), ones) + criterion(disc(fakes).flatten(), zeros)).backward()
    disc_opt.step()

    disc.requires_grad_(False)  # Ours does not compute the gradients of the other player, either.
    gen_opt.zero_grad()
    criterion(disc(gen(latents())).flatten(), ones).backward()
    gen_opt.step()
    disc.requires_grad_(True)
    with torch.no_grad():
      for averaged, latest in zip(ema.state_dict().values(), gen.state_dict().values(), strict=True):
        if averaged.is_floating_point():
          averaged.lerp_(latest, 1.0 - decay)

  def run(steps: int) -> None:
    for _ in range(steps):
      step()

  return run


def check_same_size(built: Build, nets: tuple['nn.Module', 'nn.Module']) -> None:
  """Exit unless both players have as many trainable parameters as those of the peer."""
  players = jax.eval_shape(built.game.init, jax.random.key(0))
  for name, player, net in zip(('generator', 'discriminator'), ('gen', 'disc'), nets, strict=True):
    ours = sum(leaf.size for leaf in jax.tree.leaves(players[player].params))
    theirs = sum(parameter.numel() for parameter in net.parameters())
    if ours != theirs:
      sys.exit(f'the {name}s differ: ours has {ours:,} parameters, the peer\'s {theirs:,}. The comparison would mean '
               'nothing; adapt make_peer_nets to gan/models/dcgan.py.')
    print(f'{name}: {ours:,} parameters, the same number as the peer\'s')


def main() -> None:
  """Measure, and print a table."""
  parser = argparse.ArgumentParser(description='Training steps per second: our DCGAN and eager PyTorch, on the CPU.')
  for name, default, text in (('repetitions', 5, 'number of turns'),
                              ('steps', 20, 'training steps of each variant in a turn'),
                              ('batch_size', 64, 'number of images'), ('width', 64, 'channels before the last layer')):
    parser.add_argument(f'--{name}', type=int, default=default, help=text)
  args = parser.parse_args()
  if torch is None:
    sys.exit('This benchmark needs PyTorch for the peer: pip install torch==2.13.0 --index-url '
             'https://download.pytorch.org/whl/cpu')
  jax.config.update('jax_platforms', 'cpu')
  torch.set_num_threads(num_cores())
  torch.manual_seed(0)

  print(f'python -m experiments.benchmarks.dcgan_vs_pytorch {" ".join(sys.argv[1:])}'.strip())
  print(f'{describe_machine()}, torch {torch.__version__}')
  config = make_config(args.batch_size, args.width)
  source, small = make_data(MNIST_SIZE), make_data()
  nets = make_peer_nets(source.shape[-1], args.width, config.model.z_dim)
  built, ours, gather = make_ours(config, source)
  check_same_size(built, nets)
  images, _ = load_all(source)
  variants = {OURS: ours, NCHW: make_peer(nets, images, config, torch.contiguous_format),
              CHANNELS_LAST: make_peer(nets, images, config, torch.channels_last),
              SMALL: make_ours(config, small)[1]}
  for run in (*variants.values(), gather):
    run(2)  # Compile, and fill the caches.

  start, foreign = time.perf_counter(), foreign_seconds()
  rates = {name: [] for name in variants}
  gather_rates = []
  for _ in range(args.repetitions):
    for name, run in variants.items():
      rates[name].append(rate(run, args.steps))
    gather_rates.append(rate(gather, 50 * args.steps))
  rates = {name: np.array(values) for name, values in rates.items()}
  foreign = (foreign_seconds() - foreign) / (time.perf_counter() - start)

  print(f'\n{"steps per second":24}{"median":>8} {"min":>8} {"max":>8}   ours / this:  median      min      max')
  for name, values in rates.items():
    print(f'{name:24}{describe(values)}   {"":12} {describe(rates[OURS] / values) if name != OURS else ""}')
  share = 100 * rates[OURS] / np.array(gather_rates)
  print(f'\nindices, gather and decoding of a batch from 60,000 resident images, in percent of our step: '
        f'median {np.median(share):.2f}, min {np.min(share):.2f}, max {np.max(share):.2f}')
  print(f'other programs used {foreign:.2f} of {num_cores()} cores meanwhile')
  if foreign > MAX_FOREIGN * num_cores():
    print('Warning: other programs make this comparison unfair: PyTorch waits for its slowest thread in every '
          'operation, so it slows down more than XLA. Repeat it on a quiet machine before you quote a ratio.')


if __name__ == '__main__':
  main()

r"""Speed of populations: member-steps per second of many runs in one program, and of runs one by one.

  pip install torch==2.13.0 && python -m experiments.benchmarks.population
  python -m experiments.benchmarks.population --members=256                # on a GPU, where the peer runs there too

Ring: members of configs/toy.py (two hidden layers of 128, batch 256), compared with one of our runs alone, and with one
run of the same step in eager PyTorch (fresh latents, Adam, averaged generator) at its fastest number of threads.
Digits: small DCGANs at 16 pixels, together and alone. All variants take turns. The speed of a machine drifts, so the
ratio within a turn counts. Our runs compute all scalars of a run at every step, the peer none.
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable

import jax
import ml_collections
import numpy as np

from configs import dcgan, toy
from experiments import executors
from experiments.benchmarks.timing import Run, describe, describe_machine, foreign_seconds, rate
from gan import build
from gan.config.complete import complete
from gan.games.cast import PLAYERS
from gan.population import compiled
from gan.run.environment import num_cores

try:
  import torch
  from torch import nn
except ImportError:
  torch = None


def make_members(config: ml_collections.ConfigDict, num: int) -> tuple[Run, int]:
  """Make a `Run` of a population of `num` seeds; also return its size."""
  configs = []
  for seed in range(num):
    member_config = config.copy_and_resolve_references()
    member_config.seed = seed
    configs.append(member_config)
  data = build.open_data(config)
  population = compiled.make_population(configs, data.columns, jax.local_devices())
  batches = build.make_pipeline(config, data, population.built.parallel, None)
  loop, state = compiled.make_loop(population, batches), compiled.initial_state(population)
  fed, hparams = batches.feed(0, 1), population.place(population.hparams)

  def run(steps: int) -> None:
    nonlocal state
    state = loop(state, fed, hparams, np.int32(steps))
    if not bool(jax.block_until_ready(state.alive).all()):
      sys.exit('a member is no longer finite; its speed would mean nothing')

  return run, num


def make_peer(config: ml_collections.ConfigDict, device: str) -> Run:
  """Make a `Run` of the same step in eager PyTorch."""
  width, z_dim, batch_size = config.model.gen.width, config.model.z_dim, config.train.batch_size
  gen = nn.Sequential(nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
  disc = nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
                       nn.Linear(width, 1))
  gen, disc = gen.to(device), disc.to(device)
  ema = copy.deepcopy(gen).requires_grad_(False)
  settings, decay = config.optimizer.gen, config.train.ema_decay
  gen_opt, disc_opt = (torch.optim.Adam(net.parameters(), settings.lr, (settings.b1, settings.b2), settings.eps)
                       for net in (gen, disc))
  mixture = build.open_data(config)
  modes = torch.from_numpy(mixture.modes).to(device)
  criterion = nn.BCEWithLogitsLoss()
  ones, zeros = torch.ones(batch_size, device=device), torch.zeros(batch_size, device=device)

  def latents() -> 'torch.Tensor':
    return torch.randn(batch_size, z_dim, device=device)

  def step() -> None:
    chosen = torch.randint(len(modes), (batch_size,), device=device)
    batch = modes[chosen] + mixture.sigma * torch.randn(batch_size, 2, device=device)
    with torch.no_grad():
      fakes = gen(latents())
    disc_opt.zero_grad()
    (criterion(disc(batch)[:, 0], ones) + criterion(disc(fakes)[:, 0], zeros)).backward()
    disc_opt.step()
    disc.requires_grad_(False)
    gen_opt.zero_grad()
    criterion(disc(gen(latents()))[:, 0], ones).backward()
    gen_opt.step()
    disc.requires_grad_(True)
    with torch.no_grad():
      for averaged, latest in zip(ema.parameters(), gen.parameters(), strict=True):
        averaged.lerp_(latest, 1.0 - decay)

  def run(steps: int) -> None:
    for _ in range(steps):
      step()
    if device == 'cuda':
      torch.cuda.synchronize()

  return run


def best_threads(run: Run, steps: int) -> int:
  """Find and set the number of threads at which the peer is fastest."""
  speeds = {}
  for threads in range(1, num_cores() + 1):
    torch.set_num_threads(threads)
    run(5)
    speeds[threads] = rate(run, steps)
  fastest = max(speeds, key=speeds.get)
  torch.set_num_threads(fastest)
  return fastest


def measure(title: str, runs: dict[str, tuple[Run, int, int]], repetitions: int, first: str) -> None:
  """Let runs take turns, and print a table.

  Args:
    title: title of the table.
    runs: name -> (run, number of members, steps in a turn).
    repetitions: number of turns.
    first: name of the run with which the others are compared.
  """
  for run, _, _ in runs.values():
    run(2)  # Compile, and fill the caches.
  start, foreign = time.perf_counter(), foreign_seconds()
  rates: dict[str, list[float]] = {name: [] for name in runs}
  for _ in range(repetitions):
    for name, (run, members, steps) in runs.items():
      rates[name].append(members * rate(run, steps))
  foreign = (foreign_seconds() - foreign) / (time.perf_counter() - start)
  print(f'\n{title:36}{"median":>8} {"min":>8} {"max":>8}   population / this:  median      min      max')
  for name, values in rates.items():
    ratio = describe(np.array(rates[first]) / np.array(values)) if name != first else ''
    print(f'{name:36}{describe(np.array(values))}   {"":18} {ratio}')
  print(f'other programs used {foreign:.2f} of {num_cores()} cores meanwhile')


def main() -> None:
  """Measure, and print two tables."""
  parser = argparse.ArgumentParser(description='Member-steps per second of populations.')
  for name, default, text in (('members', 64, 'members of the population on the ring'),
                              ('images', 4, 'members of the population of DCGANs'),
                              ('width', 16, 'width of the DCGANs'), ('repetitions', 5, 'number of turns'),
                              ('steps', 20, 'steps of the population in a turn; other runs take more steps')):
    parser.add_argument(f'--{name}', type=int, default=default, help=text)
  args = parser.parse_args()
  print(f'python -m experiments.benchmarks.population {" ".join(sys.argv[1:])}'.strip())
  executors.use_cores(num_cores())  # A sweep does the same.
  device = jax.devices()[0]
  print(f'{describe_machine()}, {device.device_kind}' + (f', torch {torch.__version__}' if torch else ''))

  config = complete(toy.get_config('ring'))
  members, num = make_members(config, args.members)
  alone, _ = make_members(config, 1)
  together = f'population of {num}'
  runs = {together: (members, num, args.steps), 'one of our runs': (alone, 1, 20 * args.steps)}
  if torch:
    peer = make_peer(config, 'cuda' if device.platform == 'gpu' and torch.cuda.is_available() else 'cpu')
    threads = best_threads(peer, 100)
    runs[f'one PyTorch run, {threads} thread(s)'] = (peer, 1, 10 * args.steps)
  measure('ring, member-steps per second', runs, args.repetitions, together)

  config = complete(dcgan.get_config('digits'), {f'model.{player}.width': args.width for player in PLAYERS})
  members, num = make_members(config, args.images)
  alone: tuple[Callable, int] = make_members(config, 1)
  together = f'population of {num}'
  measure(f'digits, width {args.width}, member-steps per second',
          {together: (members, num, args.steps), 'one run alone': (alone[0], 1, num * args.steps)}, args.repetitions,
          together)
  if not torch:
    print('The peer, PyTorch, is not installed: pip install torch==2.13.0')


if __name__ == '__main__':
  main()

"""Extraction of one member as an ordinary run, which can be sampled, scored, analysed and continued as any other."""

import json
from pathlib import Path

import jax

from gan import build
from gan.build import DataInfo
from gan.config import flatten
from gan.data import toy
from gan.population import PopulationState, compiled
from gan.population.store import DATA, ENVIRONMENT, Store, member_rows
from gan.run import ledger, workdir
from gan.run.checkpoint import CheckpointError, Checkpoints
from gan.run.paths import write
from gan.run.report import MetricsFile
from gan.sampling import make_sampler, make_stream
from gan.show import page
from gan.show.frames import FRAMES
from gan.show.images import frame_path, save_png
from gan.state import GanState


def extract(root: str, run: str, out: Path) -> int:
  """Write the run directory of one member: configuration, metrics, newest checkpoint, a picture and its page.

  Args:
    root: directory of the population.
    run: id of the member.
    out: directory of the run; it is created.

  Returns:
    The step of its checkpoint.

  Raises:
    WorkdirError: if `out` is in use, or cannot be used.
    CheckpointError: if the population has no checkpoint yet.
  """
  workdir.check_path(out, '--out')
  workdir.check_writable(out, '--out')
  store = Store(root)
  ids, configs = store.members()
  member = ids.index(run)
  info = workdir.data_info(store.read(DATA), store.root / DATA)
  environment = store.read(ENVIRONMENT)
  state = _restore(store, configs, info)
  config = configs[member]
  state_of_member = member_state(state, member)
  if (out / workdir.CONFIG).exists():
    raise workdir.WorkdirError(f'{out} holds a run already; name another --out')
  for name, content in ((workdir.DATA, info._asdict()), (workdir.ENVIRONMENT, environment),
                        (workdir.CONFIG, flatten(config))):
    write(out / name, (json.dumps(content, indent=2) + '\n').encode())
  metrics = MetricsFile(out)
  rows = [row for row in member_rows(store.rows(), member) if row['step'] <= int(state_of_member.step)]
  for row in rows:
    metrics.write(row['step'], {name: value for name, value in row.items() if name != 'step'})
  metrics.close()
  checkpoints = Checkpoints(out)
  checkpoints.save(int(state_of_member.step), state_of_member, ledger.note((row['step'] for row in rows), ()))
  checkpoints.close()

  built = build.build(config, info.columns, jax.local_devices()[:1])
  data = toy.MIXTURES[config.data.name]() if config.data.name in toy.MIXTURES else None
  if built.game.conditions:  # Other games need no data for a picture, and the data may be absent on this machine.
    data = build.open_data(config)
  sample = make_sampler(make_stream(built.game, conditions=build.picture_conditions(config, built, data)))
  draw_frame = FRAMES[build.show_of(config).frame](build.make_sight(config, built, data, sample))
  save_png(frame_path(out, int(state_of_member.step)), draw_frame(state_of_member, int(state_of_member.step), rows))
  page.write_page(out)
  return int(state_of_member.step)


def member_state(state: PopulationState, member: int) -> GanState:
  """Return the state of one member as that of an ordinary run, on the host's first device."""
  extracted = jax.tree.map(lambda leaf: leaf[member], state.members.replace(step=state.stopped_at))
  return jax.tree.map(lambda leaf: jax.device_put(leaf, jax.local_devices()[0]), extracted)


def _restore(store: Store, configs: list, info: DataInfo) -> PopulationState:
  """Return the newest checkpoint, on one device however many trained it."""
  population = compiled.make_population(configs, info.columns, jax.local_devices()[:1])
  checkpoints = Checkpoints(store.root, read_only=True)
  restored = checkpoints.restore_latest(compiled.abstract_state(population), print)
  if restored is None:
    raise CheckpointError(f'{store.root} has no checkpoint yet; the first one comes at step train.save_every')
  return restored[1]

"""The run of a population, from top to bottom; `gan.run.train` is the same for a single run."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from gan import health, randomness
from gan.build import describe_data, is_conditional, is_resident, make_pipeline, open_data, show_of
from gan.config import ConfigError
from gan.config.validate import validate
from gan.data import toy
from gan.data.pipeline import make_conditions
from gan.games import Game
from gan.population import PopulationState, compiled, pictures
from gan.population.store import DATA, SAMPLES, Row, Store, member_rows
from gan.run import environment
from gan.run.checkpoint import Checkpoints
from gan.run.dispatch import Clock, Interrupted, next_boundary
from gan.run.paths import write
from gan.run.workdir import WorkdirError, data_differences, data_info
from gan.sampling import CHUNK, classes_of
from gan.scoring import Score
from gan.scoring.evaluator import make_evaluator
from gan.show import images

KEPT_IMAGES, KEPT_POINTS = 16, 1000   # Final samples of each member that are saved for reports.
SHOWN_IMAGES, SHOWN_POINTS = 16, 512  # Samples of each member in a picture.
SHOWN_SCORES = 3                      # Scores on the console.
Say = Callable[[str], None]


def run(ids: Sequence[str], configs: Sequence[ml_collections.ConfigDict], root: str, argv: list[str],
        devices: Sequence[jax.Device] | None = None, devices_per_member: int = 1, say: Say = print) -> int:
  """Train a population to `train.num_steps`, from its newest checkpoint if there is one.

  Args:
    ids: names of the members.
    configs: configurations of the members; valid, and all with the same `program_key`.
    root: directory of the population, local or in a bucket.
    argv: the command, for the record of the environment.
    devices: devices of this host; all of them by default.
    devices_per_member: number of devices that share the batch of a member.
    say: function that prints a line of progress.

  Returns:
    Exit code: 0 for a finished population, 128 + n if signal n ended it.

  Raises:
    ConfigError, DataError, WorkdirError, CheckpointError, MetricsError: if the user has to correct something first.
  """
  config, store = configs[0], Store(root)
  settings, num_steps, devices = config.train, config.train.num_steps, list(devices or jax.local_devices())
  if len(devices) % devices_per_member:
    raise ConfigError(f'--devices_per_member={devices_per_member} must divide the {len(devices)} devices; try 1')
  validate(config, devices_per_member)
  data = open_data(config)
  info = describe_data(data, is_conditional(config))
  if store.exists() and store.members()[0] != list(ids):
    raise ConfigError(f'{store.root} holds another population; name another --workdir')
  if store.exists() and (differing := data_differences(data_info(store.read(DATA), store.root / DATA), info)):
    raise WorkdirError(f'{store.root} was trained on other data: {"; ".join(differing)}. Restore the data, or name '
                       'another --workdir')
  if not is_resident(config, data):
    raise ConfigError(f'data.name={config.data.name} does not fit on the device, and members of a population draw from '
                      'one resident data set; raise data.resident_bytes, or train the runs one by one with gan.main')
  population = compiled.make_population(configs, info.columns, devices, devices_per_member)
  env = environment.describe(argv)
  if not store.exists():
    store.claim(ids, configs, info._asdict(), env)
  checkpoints = Checkpoints(store.root, keep=2)  # Two, because the newest one may turn out to be damaged.
  batches = make_pipeline(config, data, population.built.parallel, None)
  restored = None
  if checkpoints.steps():  # Tracing the shapes of the state takes time, so it is done only for a restore.
    restored = checkpoints.restore_latest(compiled.abstract_state(population), lambda text: say(f'Warning: {text}'))
  step = restored[0] if restored else 0
  state = compiled.filled(population, restored[1]) if restored else compiled.initial_state(population)
  if step and (differing := environment.differences(env, store.read('environment.json'))):
    say('Warning: resuming where the environment differs, so the result equals an uninterrupted run only to rounding: '
        + '; '.join(differing))
  store.cut_rows(step)
  log = _Log(store, len(ids), show_of(config).failures)
  loop, probe = compiled.make_loop(population, batches), compiled.make_probe(population, batches)
  show = show_of(config)
  stream = compiled.make_stream(population, make_conditions(data, population.built.game.conditions, CHUNK))
  evaluator = make_evaluator(config, data) if show.scored else None
  hparams = population.place(population.hparams)
  clock = Clock(step, settings.batch_size * settings.disc_steps * len(ids), log.elapsed())
  periods = (settings.log_every, settings.save_every, settings.eval_every, settings.sample_every)
  say(f'{"Resuming" if step else "Training"} {len(ids)} members at step {step} of {num_steps} in {store.root}, on '
      f'{len(population.built.parallel.mesh.devices.flat)} {jax.devices()[0].platform} device(s)')

  with Interrupted() as interrupted:
    while step < num_steps and interrupted.signum is None and bool(np.any(state.alive)):
      stop = next_boundary(step, num_steps, settings.steps_per_call, periods)
      fed = batches.feed(step, stop - step)
      state = loop(state, fed, hparams, np.int32(stop - step))
      step, done = stop, stop == num_steps
      due = {task: done or step % getattr(settings, f'{task}_every') == 0 for task in ('log', 'eval', 'sample', 'save')}
      over = not bool(np.any(state.alive))
      if step == 1 or due['log'] or due['eval'] or over:
        jax.block_until_ready(state)
        scalars = state.scalars | (probe(state, fed, hparams) if probe else {})
        scores = None
        if due['eval'] and evaluator:
          scores, state = _evaluate(evaluator, population.built.game, stream, state, population.num, config)
        row = log.add(step, scalars, state, scores, clock.read(step))
        say(_line(row, num_steps, len(ids)))
        if due['eval']:
          state = _stop_failed(state, configs, log)
      if due['sample']:
        rngs = jax.vmap(lambda rng: randomness.purpose_key(rng, 'samples'))(state.members.rng)
        shown = _first_samples(stream, state, rngs, population.num, SHOWN_IMAGES, SHOWN_POINTS)
        picture = pictures.panels(shown, ids, data if isinstance(data, toy.Mixture) else None, f'step {step}')
        write(store.root / 'samples' / f'step_{step:08d}.png', images.png_bytes(picture))
      if due['save']:
        log.write(step)
        checkpoints.save(step, compiled.trimmed(population, state))
    if step not in checkpoints.steps():  # A signal has ended the loop, or no member is alive.
      log.write(step)
      checkpoints.save(step, compiled.trimmed(population, state))
  checkpoints.close()
  finished = step == num_steps or not bool(np.any(state.alive))
  if not finished:
    say(f'Signal {interrupted.signum}: saved step {step}. The same command goes on from there.')
    return 128 + interrupted.signum
  _write_samples(store, stream, state, population.num)
  return 128 + interrupted.signum if interrupted.signum else 0  # After a signal, a sweep does not go on.


def is_finished(root: str) -> bool:
  """Return whether the population in a directory is finished."""
  return Store(root).is_finished()


class _Log:
  """The rows logged for all members: kept in memory for verdicts, written to files part by part."""

  def __init__(self, store: Store, num: int, failures: Sequence[str]):
    self._store, self._num, self._failures, self._new = store, num, failures, []
    self._rows: list[Row] = store.rows()
    self.members = [member_rows(self._rows, member) for member in range(num)]

  def elapsed(self) -> float:
    """Return the seconds that earlier processes have spent on this population."""
    return self._rows[-1]['time/elapsed_sec'] if self._rows else 0.0

  def add(self, step: int, scalars: dict[str, jax.Array], state: PopulationState, scores: list | None,
          clock: dict[str, float]) -> Row:
    """Add the row of a step: its scalars, and scores and verdicts if there are any; return the row."""
    values_of_members = {name: np.asarray(values, np.float64)[:self._num].tolist()
                         for name, values in jax.device_get(scalars).items()}
    alive, stopped_at = (np.asarray(x)[:self._num].tolist() for x in (state.alive, state.stopped_at))
    row = {'step': step, 'alive': alive, 'stopped_at': stopped_at} | values_of_members | clock
    for i, member_scores in enumerate(scores or []):
      for score in member_scores or []:
        row.setdefault(f'eval/{score.metric}', [None] * self._num)[i] = score.value
    num_rows_before = [len(rows) for rows in self.members]
    for i, rows in enumerate(self.members):
      rows[:] = rows + member_rows([row], i) if not rows or rows[-1]['step'] < stopped_at[i] else rows
    for i, rows in enumerate(self.members):
      died = not alive[i] and len(rows) > num_rows_before[i]
      if died or (scores is not None and alive[i]):
        verdict = health.judge(rows, self._failures).row()
        rows[-1] |= verdict
        for name, value in verdict.items():
          row.setdefault(name, [None] * self._num)[i] = value
    self._rows.append(row)
    self._new.append(row)
    return row

  def write(self, step: int) -> None:
    """Write the rows since the last part, up to `step`."""
    self._store.write_rows(step, self._new)
    self._new = []


def _evaluate(evaluator: Any, game: Game, stream: Callable, state: PopulationState, num_members: int,
              config: ml_collections.ConfigDict) -> tuple[list, PopulationState]:
  """Score all members that are alive; freeze those whose samples are not all finite.

  Returns:
    List of the scores of each member, None for a frozen member; and the new state.
  """
  alive = np.flatnonzero(np.asarray(state.alive)[:num_members])
  rngs = jax.vmap(lambda rng: randomness.purpose_key(rng, 'evaluation'))(state.members.rng)
  num = config.eval.num_samples
  classes = [classes_of(game, rngs[member], num) for member in alive]
  scores_of_alive = evaluator.score_members(stream(state.members.ema, rngs, num), alive, num, classes)
  scores: list = [None] * num_members
  good = np.ones(len(state.alive), bool)
  for member, member_scores in zip(alive, scores_of_alive, strict=True):
    scores[member], good[member] = member_scores or [Score('scale', math.inf)], member_scores is not None
  return scores, state.replace(alive=state.alive & jnp.asarray(good))


def _stop_failed(state: PopulationState, configs: Sequence[ml_collections.ConfigDict], log: _Log) -> PopulationState:
  """Freeze the members whose verdict has been a failure for longer than their configuration allows."""
  failed = [config.train.on_failure == 'stop' and health.failures_in_a_row(rows) > config.train.patience
            for config, rows in zip(configs, log.members, strict=True)]
  if not any(failed):
    return state
  going_on = np.ones(len(state.alive), bool)
  going_on[:len(failed)] = ~np.array(failed)
  return state.replace(alive=state.alive & jnp.asarray(going_on))


def _first_samples(stream: Callable, state: PopulationState, rngs: jax.Array, num_members: int, num_images: int,
                   num_points: int) -> np.ndarray:
  """Return the first samples of each member [M, N, ...]: N is `num_images` for images, `num_points` for points."""
  parts = [np.asarray(samples)[:num_members, :count] for samples, count in stream(state.members.ema, rngs, num_points)]
  samples = np.concatenate(parts, axis=1)
  return samples[:, :num_images] if samples.ndim == 5 else samples


def _write_samples(store: Store, stream: Callable, state: PopulationState, num_members: int) -> None:
  """Write samples of each member's final state, images as uint8; this file marks the population as finished."""
  rngs = jax.vmap(lambda rng: randomness.purpose_key(rng, 'samples'))(state.members.rng)
  samples = _first_samples(stream, state, rngs, num_members, KEPT_IMAGES, KEPT_POINTS)
  buffer = io.BytesIO()
  np.savez_compressed(buffer, samples=images.to_uint8(samples) if samples.ndim == 5 else samples)
  write(store.root / SAMPLES, buffer.getvalue())


def _line(row: Row, num_steps: int, num: int) -> str:
  """Return a line for the console: progress, speed, members alive, the spread of scores, and verdicts."""
  parts = [f'step {row["step"]:>{len(str(num_steps))}}/{num_steps}', f'{sum(row["alive"])}/{num} going on']
  if math.isfinite(rate := row.get('time/steps_per_sec', math.nan)):
    seconds = (num_steps - row['step']) / max(rate, 1e-9)
    parts.append(f'{rate * num:,.0f} member-steps/s, {seconds / 60:.1f} min to go')
  for name, values in [item for item in row.items() if item[0].startswith('eval/')][:SHOWN_SCORES]:
    if (present := [value for value in values if value is not None]):
      parts.append(f'{name[5:]} {np.median(present):.4g} ({min(present):.4g} to {max(present):.4g})')
  if 'health/verdict' in row and (kinds := [kind for kind in row['health/verdict'] if kind]):
    parts.append(', '.join(f'{kinds.count(kind)} {kind}' for kind in dict.fromkeys(kinds)))
  return '  '.join(parts)

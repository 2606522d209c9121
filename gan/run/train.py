"""Train one run, from top to bottom: open the data, build, restore, loop, evaluate, save, report."""

import math
import signal
from pathlib import Path

import jax
import ml_collections
import numpy as np

from gan import health, randomness
from gan.build import (
  build,
  describe_data,
  images_per_step,
  is_conditional,
  make_initial_state,
  make_loop,
  make_pipeline,
  make_probe,
  make_sight,
  open_data,
  picture_conditions,
  show_of,
)
from gan.config import flatten
from gan.config.validate import validate
from gan.data.pipeline import make_conditions
from gan.metrics import NonFiniteSamplesError
from gan.parallel import is_writer, on_any_host
from gan.run import environment, ledger, workdir
from gan.run.checkpoint import Checkpoints
from gan.run.dispatch import Clock, Interrupted, next_boundary
from gan.run.report import Report
from gan.sampling import CHUNK, classes_of, make_sampler, make_stream
from gan.scoring import records
from gan.scoring.evaluator import make_evaluator
from gan.scoring.samples import VERSIONS
from gan.show import images, page
from gan.show.frames import FRAMES


class NonFiniteError(RuntimeError):
  """A scalar of the run is not finite; the message says at which step."""


class FailedError(RuntimeError):
  """The run was stopped by its verdict; the message says at which step."""


def run(config: ml_collections.ConfigDict, run_dir: Path, argv: list[str]) -> int:
  """Train to `train.num_steps`, from the newest checkpoint if there is one.

  Args:
    config: complete configuration.
    run_dir: directory of the run; created if absent.
    argv: the command, which is stored with the run.

  Returns:
    Exit code: 0 for a finished run, 128 + n if signal n ended it.

  Raises:
    ConfigError, DataError, WorkdirError, CheckpointError: if the user has to correct something.
    NonFiniteError: if a scalar is not finite; the last good checkpoint is kept.
    FailedError: if the verdict is a failure and the configuration says that the run then stops.
  """
  config = validate(config, jax.device_count())
  with workdir.held(run_dir):
    return _train(config, run_dir, argv)


def _train(config: ml_collections.ConfigDict, run_dir: Path, argv: list[str]) -> int:
  settings, num_steps = config.train, config.train.num_steps
  data = open_data(config)
  info = describe_data(data, is_conditional(config))
  env = environment.describe(argv)
  claim = workdir.claim(run_dir, config, info, env)
  for warning in claim.warnings:
    print(f'Warning: {warning}', flush=True)

  checkpoints = Checkpoints(run_dir, settings.keep)
  built = build(config, info.columns)
  state = make_initial_state(built, config.seed)
  restored = checkpoints.restore_latest(state, lambda text: print(f'Warning: {text}', flush=True))
  step, state = restored or (0, state)
  noted = checkpoints.note(step) if step else None
  for warning in ledger.lost(run_dir, step, noted) if is_writer() else ():
    print(f'Warning: {warning}', flush=True)
  if step >= num_steps:
    print(f'{run_dir} is finished: step {step} of {num_steps}. See {run_dir / "report.html"}; '
          'to go on, raise --config.train.num_steps.')
    checkpoints.close()
    if not _is_newer(run_dir / 'report.html', run_dir / 'metrics.jsonl'):  # A kill came before the page was written.
      _write_page(run_dir)
    return 0

  batches = make_pipeline(config, data, built.parallel, state.rng)
  loop = make_loop(config, built, batches)
  hparams = built.parallel.place(built.hparams)
  show = show_of(config)
  stream = make_stream(built.game, built.parallel, make_conditions(data, built.game.conditions, CHUNK))
  pictured = make_stream(built.game, built.parallel, picture_conditions(config, built, data)) if built.game.classes \
      else stream   # One program for scores and pictures where both draw the same inputs.
  evaluator = None
  if show.scored:
    evaluator = make_evaluator(config, data, built.parallel, title='Reference' if is_writer() else '')
  draw_frame = FRAMES[show.frame](make_sight(config, built, data, make_sampler(pictured)))
  probe = make_probe(built, batches) if settings.dynamics and built.game.slopes else None

  report = Report(run_dir, num_steps, step, settings.tensorboard, enabled=is_writer(), main=show.main,
                  tracker=settings.tracker, config=flatten(config))
  report.message(f'{"Resuming" if step else "Training"} {run_dir} at step {step} of {num_steps} on '
                 f'{jax.device_count()} {jax.devices()[0].platform} device(s)')
  periods = (settings.log_every, settings.save_every, settings.eval_every, settings.sample_every)
  clock = Clock(step, images_per_step(config))
  pending = None

  def is_logged(step: int) -> bool:
    return step in (1, num_steps) or step % settings.log_every == 0

  def save() -> None:
    """Save a checkpoint, after all rows that it notes are on the disk."""
    if is_writer():
      ledger.sync(run_dir)
    checkpoints.save(step, state, ledger.note((row['step'] for row in report.rows), report.scored))

  def has_failed() -> bool:
    return settings.on_failure == 'stop' and health.failures_in_a_row(report.rows) > settings.patience

  def finish(pending: tuple, extra: dict[str, float]) -> None:
    """Fetch the scalars of a dispatch, and write them if they are due."""
    dispatched, scalars, last = pending
    reached, finite = int(last[0]), bool(last[1])
    if finite and not (extra or is_logged(dispatched)):
      return
    values = {name: float(value) for name, value in jax.device_get(scalars).items()}
    row = values | extra | clock.read(reached)
    verdict = health.judge([*report.rows, {'step': reached, **row}], show.failures) if extra or not finite else None
    report.scalars(reached, row, verdict)
    if not finite:
      bad = ', '.join(name for name, value in values.items() if not np.isfinite(value))
      saved = checkpoints.steps()
      good = f'the checkpoint of step {saved[-1]} is the last good one' if saved else 'there is no earlier checkpoint'
      raise NonFiniteError(f'step {reached}: not finite: {bad}. Training stopped; {good}. Lower the learning rates, or '
                           'look at the curves in report.html.')

  def scores(step: int) -> dict[str, float]:
    if evaluator is None:
      return {}
    num = config.eval.num_samples
    try:
      rng = randomness.purpose_key(state.rng, 'evaluation')
      results = evaluator.score(stream(state.ema, rng, num), num, '', classes_of(built.game, rng, num))
    except NonFiniteSamplesError as error:  # The last update overflowed; the loss, computed before it, did not.
      finish(pending, {'eval/scale': math.inf})
      raise NonFiniteError(f'step {step}: {error}') from None
    sampled = {'samples': 'ema', 'num_samples': num, 'step': step, 'seed': config.seed, 'during_training': True}
    report.scores(records.lines_of(results, evaluator.provenance | sampled | {key: env[key] for key in VERSIONS}))
    return {f'eval/{result.metric}': result.value for result in results}

  try:
    with Interrupted() as interrupted:
      if step == 0:
        report.samples(0, draw_frame(state, 0, report.rows))
      failed = has_failed()  # True if an earlier process was killed after the verdict that would have stopped it.
      while step < num_steps and not on_any_host(interrupted.signum is not None) and not on_any_host(failed):
        stop = next_boundary(step, num_steps, settings.steps_per_call, periods)
        fed, count = batches.feed(step, stop - step), np.int32(stop - step)
        state, scalars, last = loop(state, fed, hparams, count)
        if probe and (is_logged(stop) or stop % settings.eval_every == 0):
          scalars = scalars | probe(state, fed, hparams, count - 1)
        if pending:  # Scalars are fetched one dispatch late, so that the device never waits for the report.
          finish(pending, {})
        step, pending = stop, (stop, scalars, last)
        done = step == num_steps
        due = {every: done or step % getattr(settings, f'{every}_every') == 0 for every in ('eval', 'sample', 'save')}
        if any(due.values()):  # All scalars up to this step are written before a checkpoint of this step.
          finish(pending, scores(step) if due['eval'] and bool(last[1]) else {})
          pending = None
        if due['eval']:
          failed = has_failed()
        if due['sample']:
          report.samples(step, draw_frame(state, step, report.rows))
        if due['save']:
          save()
      if pending:
        finish(pending, {})
      if step < num_steps:
        save()
        checkpoints.close()
        if on_any_host(failed):
          raise FailedError(f'step {step}: the run was stopped by its verdict, because of '
                            '--config.train.on_failure=stop. Its state is saved: with '
                            '--config.train.on_failure=continue the same command goes on.')
        signum = interrupted.signum or signal.SIGTERM  # The signal may have reached another host only.
        report.message(f'{signal.Signals(signum).name}: saved step {step}. The same command goes on from there.')
        return 128 + signum
      checkpoints.close()
  except (NonFiniteError, FailedError):
    checkpoints.close()
    _write_page(run_dir)
    raise
  finally:
    report.close()
  _write_page(run_dir)
  if (verdict := health.last_verdict(report.rows)) and not verdict.failed:  # The report has printed failures already.
    print(f'Verdict: {verdict}')
  print(f'Finished {num_steps} steps. Look at {run_dir / "report.html"}'
        f' and at the newest picture in {run_dir / "samples"}.')
  return 0


def _is_newer(page: Path, than: Path) -> bool:
  return page.exists() and not (than.exists() and page.stat().st_mtime_ns < than.stat().st_mtime_ns)


def _write_page(run_dir: Path) -> None:
  if not is_writer():
    return
  images.animate(run_dir)
  page.write_page(run_dir)

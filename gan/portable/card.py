"""The model card of an exported generator: what it is, how it was made and scored, and how to load it."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jinja2

from gan.build import DataInfo, images_per_step
from gan.config import flatten
from gan.health import Verdict, last_verdict
from gan.portable.program import KEY, PLATFORMS, Checked, Input, Portable
from gan.run import workdir
from gan.run.report import FILE as METRICS
from gan.run.report import read_metrics
from gan.scoring import records

NORMAL_95 = 1.959964   # Standard errors between an estimate and the ends of its 95% interval.
PATHS = ('data.path', 'eval.inception_weights')
MANY_CLASSES = 20      # Names of more classes are not listed.
KEY_INPUT = Input((2,), 'uint32', 'key of the noise inside the network: the same key gives the same noise',
                  "np.array([0, 1], 'uint32')")

Rows = Sequence[tuple[str, str]]


class About(NamedTuple):
  """What a card says of a generator, besides its inputs.

  Attributes:
    title: headline.
    summary: sentences on what the generator is.
    facts: heading -> (label, value) of each line of its table.
    scores: a row for each score: metric, value, interval, samples, against; None: a generator without a run.
    verdicts: verdict of the run and its secondary findings, as text; empty if none was recorded.
    notes: sentences on limits.
    config: (field, value) of the configuration.
  """

  title: str
  summary: Sequence[str]
  facts: Mapping[str, Rows]
  scores: Sequence[Mapping[str, str]] | None = None
  verdicts: Sequence[str] = ()
  notes: Sequence[str] = ()
  config: Rows = ()


def render(about: About, portable: Portable, checked: Checked, batch: int | None, files: Mapping[str, str]) -> str:
  """Write a card as Markdown.

  Args:
    about: what it says of the generator.
    portable: the generator.
    checked: samples of its program.
    batch: number of samples of each call; None: any number.
    files: file name -> description, of the files beside the card.
  """
  environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
                                   undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                                   keep_trailing_newline=True)
  environment.filters['cell'] = _cell
  inputs = portable.inputs | ({KEY: KEY_INPUT} if portable.random else {})
  rows = 'N' if batch is None else str(batch)
  shown = [{'name': name, 'shape': _shape(value.shape if name == KEY else (rows, *value.shape)),
            'dtype': value.dtype, 'meaning': value.meaning, 'example': value.example} for name, value in inputs.items()]
  sample_shape = checked.samples.shape[1:]
  return environment.get_template('card.md.j2').render(
      about=about, inputs=shown, count=batch or 16, batch=batch, images=len(sample_shape) == 3,
      output=_shape((rows, *sample_shape)), files=files, difference=checked.difference, checked=len(checked.samples),
      backend=jax.default_backend(), platforms=PLATFORMS, jax_version=jax.__version__,
      num_parameters=sum(array.size for array in portable.weights.values()), classes='labels' in inputs)


def about_run(run_dir: Path, data: DataInfo, step: int, raw: bool, truncation: float | None = None) -> About:
  """Collect what the card of a trained run says, from the files of the run.

  Args:
    run_dir: directory of the run.
    data: description of its data.
    step: step of the checkpoint.
    raw: whether the generator is the latest one, not the averaged one.
    truncation: what of the distance from the mean style is kept; None: all.

  Raises:
    MetricsError, RecordsError: if a file of the run is damaged before its last line.
  """
  whole = workdir.load_config(run_dir)
  config, seen = flatten(whole), step * images_per_step(whole)
  environment = json.loads((run_dir / workdir.ENVIRONMENT).read_text(encoding='utf-8'))
  which = 'the latest generator' if raw else 'the averaged generator (exponential moving average)'
  summary = [f'A `{config["model.gen.name"]}` generator, trained with the objective `{config["loss.name"]}` on '
             f'`{data.name}`; {which} at step {step:,} of {config["train.num_steps"]:,}.']
  if truncation is not None:
    summary.append(f'Styles are pulled towards their mean: truncation {truncation:g}, where 1 leaves them.')
  rows = [row for row in read_metrics(run_dir / METRICS) if row['step'] <= step]
  verdict = last_verdict(rows)
  facts = {'Data': _data_facts(data), 'Training': [
      ('step', f'{step:,} of {config["train.num_steps"]:,}'), ('real samples seen', f'{seen:,}'),
      ('seed', str(config['seed'])),
      ('device', f'{environment.get("device_count", 1)} x {environment.get("device_kind", "unknown")}'),
      ('JAX, Flax', f'{environment.get("version.jax", "?")}, {environment.get("version.flax", "?")}'),
      ('commit', str(environment.get('git_commit') or 'not recorded')
       + (', with changes' if environment.get('git_dirty') else ''))]}
  notes = [] if truncation is None else ['The scores are those of whole styles, without truncation.']
  return About(' · '.join(str(config[field]) for field in ('model.gen.name', 'loss.name', 'data.name')), summary, facts,
               _scores(run_dir, step, 'raw' if raw else 'ema'),
               [_verdict(found) for found in verdict.findings] if verdict else [], notes, _settings(config))


def _data_facts(data: DataInfo) -> Rows:
  facts = [('name', data.name)]
  facts += [(f'column {name}', f'{_shape(column.shape)} {column.dtype}') for name, column in data.columns.items()]
  facts.append(('examples', 'drawn afresh, without end' if data.num_examples is None else f'{data.num_examples:,}'))
  if data.class_names:
    count = len(data.class_names)
    facts.append(('classes', ', '.join(data.class_names) if count <= MANY_CLASSES else f'{count:,}'))
  return [*facts, ('fingerprint', data.fingerprint)]


def _scores(run_dir: Path, step: int, samples: str) -> list[dict[str, str]]:
  lines = [line for line in records.read(run_dir) if line['step'] == step and line.get('samples') == samples]
  return [{
      'metric': line['metric'], 'value': f'{line["value"]:.5g}', 'interval': _interval(line),
      'samples': f'{line.get("num_samples", 0):,}{", in training" * bool(line["during_training"])}',
      'against': ' '.join(str(line[key]) for key in ('data', 'split', 'features') if line.get(key))} for line in lines]


def _interval(line: Mapping[str, Any]) -> str:
  error = line['standard_error']
  if not math.isfinite(error):
    return ''
  return f'{line["value"] - NORMAL_95 * error:.5g} to {line["value"] + NORMAL_95 * error:.5g}'


def _verdict(found: Verdict) -> str:
  return f'{found.kind} ({found.evidence})' if found.evidence else found.kind


def _settings(config: Mapping[str, Any]) -> Rows:
  """List a configuration without empty schedules and without paths of this machine."""
  return [(field, value if isinstance(value, str) else json.dumps(value)) for field, value in sorted(config.items())
          if field not in PATHS and not (field.startswith('schedule.') and not value)]


def _shape(shape: Sequence[object]) -> str:
  return f'[{", ".join(map(str, shape))}]'


def _cell(text: object) -> str:
  """Write text for a cell of a table in Markdown."""
  return str(text).replace('|', '\\|').replace('\n', ' ')

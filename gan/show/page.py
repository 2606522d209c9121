"""The page of a run, report.html: one self-contained file, made from the files of its workdir.

The page depends on these files alone, so that it can be made at any time, for a run that is finished, dead or running.
"""

import base64
import io
import itertools
import json
import math
import os
import re
import shlex
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from gan.games.show import DISC, GEN, OTHER, Line, Plot, Show, label_of
from gan.games.table import show_of
from gan.health import last_verdict
from gan.run.report import read_metrics
from gan.scoring import records
from gan.scoring.meanings import meaning
from gan.show import images

MAX_POINTS = 2000              # Points in a curve; more cannot be distinguished and make the page large.
INK = '#010203'                # Stands for the CSS currentColor, which Matplotlib does not know.

Rows = list[dict[str, float]]


def write_page(workdir: str | os.PathLike, title: str | None = None) -> Path:
  """Write <workdir>/report.html from the files in the workdir; missing parts are left out or reported as missing.

  Args:
    workdir: Folder of a run; config.json, environment.json, metrics.jsonl, samples/ and training.gif are all optional.
    title: Headline; by default the names of the generator, the loss and the data set in the configuration.

  Returns:
    The path of the page, which needs no other file and no network.

  Raises:
    ValueError: if a JSON file, or metrics.jsonl before its last line, is damaged.
  """
  workdir = Path(workdir)
  config, environment = _read_json(workdir / 'config.json'), _read_json(workdir / 'environment.json')
  show = show_of(config.get('game.name'))
  rows, frames = read_metrics(workdir / 'metrics.jsonl'), images.frames(workdir)
  loader = jinja2.FileSystemLoader(Path(__file__).parent / 'templates')
  template = jinja2.Environment(
      loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
  ).get_template('report.html.j2')
  html = template.render(
      title=title or _default_title(config) or workdir.resolve().name,
      status=_status(config, rows, frames),
      verdicts=_verdicts(rows),
      facts=_facts(rows, environment, show),
      samples=(frames[-1][0], _data_uri(frames[-1][1])) if frames else None,
      animation=_data_uri(workdir / 'training.gif') if (workdir / 'training.gif').exists() else None,
      plots=[(plot, markupsafe.Markup(svg)) for plot in [*show.plots, *_eval_plots(rows)] if (svg := draw(plot, rows))],
      num_rows=len(rows),
      scores=_scores(workdir),
      config=_grouped(config),
      environment=[(key, _text(value)) for key, value in _flat(environment).items() if key != 'argv'],
      command=_command(environment),
  )
  return images.write_atomic(workdir / 'report.html', html.encode())


def draw(plot: Plot, rows: Rows) -> str | None:
  """Draw a plot as an <svg> element in the CSS currentColor.

  If a curve has many points, they are drawn faintly behind their running mean.

  Returns:
    The markup, the same for the same rows; None if no row has any of the scalars.
  """
  series = [(line, *_series(rows, line.key)) for line in [*plot.lines, *_lines_under(plot.prefix, rows)]]
  series = [(line, steps, values) for line, steps, values in series if len(steps)]
  if not series:
    return None
  with matplotlib.rc_context(svg_settings(plot.heading)):
    figure = Figure(figsize=(5.2, 2.9))
    axes = figure.add_axes((0.105, 0.115, 0.875, 0.765 if any(line.label for line, _, _ in series) else 0.85))
    for line, steps, values in series:
      _draw_line(axes, line, steps, np.where(values > 0, values, np.nan) if plot.log else values)
    if plot.half:
      axes.axhline(0.5, color=INK, linestyle=(0, (5, 4)), linewidth=1.1, alpha=0.6, zorder=1)
      axes.set_ylim(-0.03, 1.03)
    if plot.log and any(np.nanmax(values, initial=0.0) > 0 for _, _, values in series):
      use_log_scale(axes)
    _style(axes, max(steps[-1] for _, steps, _ in series))
    return to_svg(figure, plot.heading)


def _lines_under(prefix: str, rows: Rows) -> list[Line]:
  """Make a curve for each scalar whose name begins with `prefix`; colours vary first, then dash patterns."""
  keys = sorted({key for row in rows for key in row if prefix and key.startswith(prefix)})
  styles = itertools.cycle(itertools.product(('-', ':', '--', '-.'), (DISC, GEN, OTHER)))
  return [Line(key, label_of(key.removeprefix(prefix)), color, style)
          for key, (style, color) in zip(keys, styles, strict=False)]


def svg_settings(salt: str) -> dict[str, Any]:
  """Return the Matplotlib settings for a figure that `to_svg` writes; the same `salt` gives the same markup."""
  return {'svg.hashsalt': salt, 'svg.fonttype': 'none', 'path.simplify_threshold': 0.3, 'font.size': 9.5,
          'text.color': INK, 'axes.labelcolor': INK, 'xtick.color': INK, 'ytick.color': INK}


def to_svg(figure: Figure, label: str) -> str:
  """Write a figure as an <svg> element for a page: the colour INK becomes that of the surrounding text."""
  buffer = io.StringIO()
  FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')))
  svg = buffer.getvalue()
  svg = svg[svg.index('<svg'):].replace(INK, 'currentColor')
  svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
  svg = re.sub(r'( xmlns(:xlink)?="[^"]*"| (width|height)="[\d.]+pt")', '', svg)   # HTML needs none of these.
  return svg.replace('<svg', f'<svg role="img" aria-label="{markupsafe.escape(label)}"', 1)


def style_axes(axes: Any) -> None:
  """Reduce axes to a bottom line, faint horizontal lines and plain numbers."""
  axes.spines[['top', 'right', 'left']].set_visible(False)
  axes.spines['bottom'].set(color=INK, alpha=0.35)
  axes.grid(axis='y', color=INK, alpha=0.13, linewidth=0.7)
  axes.tick_params(length=0, which='both', pad=5)
  axes.set_facecolor('none')
  axes.figure.set_facecolor('none')
  axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))   # No mathtext, no common factor.
  axes.yaxis.set_minor_formatter(NullFormatter())


def use_log_scale(axes: Any) -> None:
  """Make the vertical axis of `style_axes` logarithmic; an axis shorter than two decades also has labels at 2 and 5."""
  axes.set_yscale('log')
  style_axes(axes)  # The new scale has replaced the formatters.
  low, high = axes.get_ylim()
  if high < 100 * low:
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def thin(steps: np.ndarray, values: np.ndarray, max_points: int = MAX_POINTS) -> tuple[np.ndarray, np.ndarray]:
  """Keep at most `max_points` points of a curve: the first, the last, and the extremes of every stretch.

  A single spike thus survives, which a plain stride would lose. NaN is dropped unless a whole stretch is NaN.
  """
  if len(steps) <= max_points:
    return steps, values
  keep = {0, len(steps) - 1}
  for part in np.array_split(np.arange(len(steps)), max_points // 2 - 1):
    finite = part[np.isfinite(values[part])]
    keep |= {finite[values[finite].argmin()], finite[values[finite].argmax()]} if len(finite) else {part[0]}
  index = np.array(sorted(keep))
  return steps[index], values[index]


def _series(rows: Rows, key: str) -> tuple[np.ndarray, np.ndarray]:
  points = [(row['step'], row[key]) for row in rows if key in row]
  steps, values = np.array(points, np.float64).reshape(-1, 2).T
  return thin(steps, np.where(np.isfinite(values), values, np.nan))


def _draw_line(axes: Any, line: Line, steps: np.ndarray, values: np.ndarray) -> None:
  many = len(steps) > 150
  style = {'color': line.color, 'linestyle': line.style, 'label': line.label, 'solid_joinstyle': 'round'}
  if many:
    if line.style == '-':
      axes.plot(steps, values, color=line.color, linewidth=0.7, alpha=0.3)
    values = _running_mean(values, len(values) // 40)
  marker = {'marker': 'o', 'markersize': 3.2, 'clip_on': False} if len(steps) <= 40 else {}
  axes.plot(steps, values, linewidth=1.7, **style, **marker)


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
  finite = np.isfinite(values)
  kernel = np.ones(2 * (width // 2) + 1)
  total = np.convolve(np.where(finite, values, 0.0), kernel, mode='same')
  return np.where(finite, total / np.maximum(np.convolve(finite, kernel, mode='same'), 1), np.nan)


def _style(axes: Any, last_step: float) -> None:
  style_axes(axes)
  axes.set_xlim(0, max(last_step, 1) * 1.015)
  axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
  axes.xaxis.set_major_formatter(EngFormatter(sep=''))
  if axes.get_legend_handles_labels()[1]:
    axes.legend(loc='lower left', bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, borderaxespad=0.0,
                handlelength=1.4, columnspacing=1.3, handletextpad=0.5, fontsize=9)


def _eval_plots(rows: Rows) -> list[Plot]:
  keys = sorted({key for row in rows for key in row if key.startswith('eval/')})
  return [Plot(key, meaning(key.removeprefix('eval/')) or 'A score of generated samples, computed during training.',
               (Line(key, '', GEN),)) for key in keys]


def _scores(workdir: Path) -> list[dict[str, str]]:
  """Return a row for each score in evaluation.jsonl: last value, best value, and mean over the end of the run."""
  rows = []
  for s in records.summarise(records.read(workdir)):
    setting = s.setting
    error = f' ± {s.last[2]:.2g}' if math.isfinite(s.last[2]) else ''
    step, best = (f' at {step:,}' if step >= 0 else '' for step in (s.last[0], s.best[0]))
    rows.append({
        'metric': s.metric, 'last': f'{s.last[1]:.5g}{error}{step}', 'best': f'{s.best[1]:.5g}{best}',
        'tail': f'{s.tail_mean:.5g} (of {s.num_tail})',
        'samples': f'{setting["num_samples"]:,} {setting["samples"]}{", in training" * setting["during_training"]}',
        'against': f'{setting["data"]} {setting["split"]}' + (
            f', {setting["features"]} {setting["feature_weights"][:8]}' if setting['features'] else '')})
  return rows


def _default_title(config: dict[str, Any]) -> str:
  names = [config.get(f'{part}.name') for part in ('model.gen', 'loss', 'data')]
  return ' · '.join(str(name) for name in names if name)


def _status(config: dict[str, Any], rows: Rows, frames: list) -> dict[str, str]:
  """Return the kind of the status (finished, stopped, failed), a word and a sentence."""
  done = int(max([row['step'] for row in rows] + [step for step, _ in frames], default=0))
  total = config.get('train.num_steps')
  counted = f'{done:,} of {total:,} steps' if isinstance(total, int) else f'{done:,} steps'
  bad = [(row['step'], key) for row in rows for key, value in row.items()
         if not key.startswith(('eval/', 'health/')) and not math.isfinite(value)]
  if bad:
    step, key = min(bad)
    return {'kind': 'failed', 'word': 'Non-finite',
            'text': f'{counted}; {key} was no longer finite at step {step:,}.'}
  if not isinstance(total, int):
    return {'kind': 'stopped', 'word': 'Run', 'text': f'{counted}; config.json does not say how many were planned.'}
  if done >= total:
    return {'kind': 'finished', 'word': 'Finished', 'text': f'{counted}.'}
  return {'kind': 'stopped', 'word': 'Stopped',
          'text': f'{counted}: the run stopped early, or was still running when this page was written.'}


def _verdicts(rows: Rows) -> list[dict[str, str]]:
  """Return the last verdict and its secondary findings: kind, CSS class, evidence and advice; [] if there is none."""
  last = last_verdict(rows)
  return [{'kind': verdict.kind, 'evidence': verdict.evidence, 'advice': _with_code(verdict.advice),
           'step': f'{verdict.step:,}',
           'style': 'failed' if verdict.failed else 'finished' if verdict.kind == 'healthy' else 'stopped'}
          for verdict in (last.findings if last else ())]


def _with_code(advice: str) -> markupsafe.Markup:
  """Mark the flags in an advice as code, so that no line breaks inside a flag."""
  return markupsafe.Markup(re.sub(r'--[\w.=+]*\w', r'<code>\g<0></code>', str(markupsafe.escape(advice))))


def _facts(rows: Rows, environment: dict[str, Any], show: Show) -> list[tuple[str, str]]:
  """Return the main facts as (label, value): latest values of the main scalars, time and device."""
  last = {key: value for row in rows for key, value in row.items()}
  facts = [(label, f'{last[key]:.3g}') for label, key, _ in show.main[:2] if key in last]
  facts += [(key, f'{last[key]:.4g}') for key in sorted(last) if key.startswith('eval/')][:4]
  if math.isfinite(seconds := last.get('time/elapsed_sec', math.nan)):
    size, unit = (3600, 'h') if seconds >= 7200 else (60, 'min') if seconds >= 120 else (1, 's')
    facts.append(('time', f'{seconds / size:.3g} {unit}'))
  speeds = [row['time/images_per_sec'] for row in rows if math.isfinite(row.get('time/images_per_sec', math.nan))]
  if speeds:
    facts.append(('images/s, median', f'{np.median(speeds):,.0f}'))
  flat = _flat(environment)
  device = next((str(flat[key]) for key in flat if re.search(r'device.*kind|kind.*device', key)), None)
  count = next((flat[key] for key in flat if re.search(r'num_devices|device.*count', key)), None)
  return [*facts, ('device', f'{count} × {device}' if count else device)] if device else facts


def _command(environment: dict[str, Any]) -> str:
  """Return the shell command that repeats the run; '' if environment.json does not have it."""
  argv = environment.get('argv') or ''
  if isinstance(argv, str):
    return argv
  program, *arguments = [str(arg) for arg in argv]
  path = Path(program)   # For `python -m gan.main` this is the path of gan/main.py.
  program = ['-m', f'gan.{path.stem}'] if path.parent.name == 'gan' else [program]
  command = shlex.join(['python', *program, *arguments])
  commits = [str(value) for key, value in environment.items() if 'commit' in key]
  commits = [commit for commit in commits if re.fullmatch('[0-9a-f]{7,40}', commit)]
  return f'git checkout {commits[0]}\n{command}' if commits else command


def _grouped(config: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
  groups: dict[str, list[tuple[str, str]]] = {}
  for key, value in sorted(_flat(config).items()):
    if key.startswith('schedule.') and not value:   # Most schedules are empty: the number is constant.
      continue
    group, _, name = key.rpartition('.')
    groups.setdefault(group, []).append((name, _text(value)))
  return list(groups.items())


def _flat(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
  flat = {}
  for key, value in tree.items():
    flat |= _flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value}
  return flat


def _text(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_json(path: Path) -> dict[str, Any]:
  if not path.exists():
    return {}
  value = json.loads(path.read_text(encoding='utf-8'))
  if not isinstance(value, dict):
    raise ValueError(f'{path} contains a {type(value).__name__}; it must be a JSON object')
  return value


def _data_uri(path: Path) -> str:
  return f'data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}'

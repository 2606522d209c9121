"""What a run tells while it runs: metrics.jsonl, evaluation.jsonl, the console, sample frames, TensorBoard, a tracker.

Only the writing process reports, and everything here runs on the host. gan/show/page.py makes the page of a run.
"""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from gan.games.show import GENERATION
from gan.health import Verdict
from gan.run.tracker import Tracker
from gan.scoring import records
from gan.show import images

FILE = 'metrics.jsonl'
Main = Sequence[tuple[str, str, str]]   # (label, name of the scalar, format) for each scalar on the console.


class MetricsError(ValueError):
  """A metrics file cannot be read; the message says where it is damaged and what to do."""


class MetricsFile:
  """metrics.jsonl: one flat JSON object per line, {"step": 10, "disc/loss": 1.25, ...}, appended and flushed.

  Values are written as the shortest decimals that are read back as the same double, hence also as the same float32.
  JSON has no NaN, so non-finite values are the strings 'nan', 'inf', '-inf'. Only verdicts (health/*) contain words.
  """

  def __init__(self, workdir: str | os.PathLike):
    self.path = Path(workdir) / FILE
    self._file: TextIO | None = None

  def cut(self, step: int) -> None:
    """Drop rows newer than `step`, and a half-written last line of a killed process; call before the first `write`.

    Raises:
      ValueError: if a line other than the last is damaged.
    """
    if not self.path.exists():
      return
    self.close()
    kept = [line for line, row in _parse_lines(self.path) if row['step'] <= step]
    images.write_atomic(self.path, ''.join(f'{line}\n' for line in kept).encode())

  def write(self, step: int, scalars: Mapping[str, float | str]) -> None:
    """Append one row: `step`, then the scalars sorted by name.

    Args:
      step: Steps finished.
      scalars: Numbers (anything that `float` accepts) or words, by name.

    Raises:
      ValueError: if a scalar is called 'step'.
    """
    if 'step' in scalars:
      raise ValueError("a scalar must not be called 'step': that is the key of the row; rename it")
    row = {'step': int(step)} | {name: _encode(scalars[name]) for name in sorted(scalars)}
    if self._file is None:
      self.path.parent.mkdir(parents=True, exist_ok=True)
      self._file = self.path.open('a', encoding='utf-8')
    self._file.write(json.dumps(row, allow_nan=False) + '\n')  # One call: a kill rarely leaves half a line.
    self._file.flush()

  def close(self) -> None:
    """Close the file; a later `write` opens it again."""
    if self._file is not None:
      self._file.close()
      self._file = None


def read_metrics(path: str | os.PathLike) -> list[dict[str, float]]:
  """Read the rows of a metrics.jsonl.

  Returns:
    One dict per line in file order: 'step' is an int, the words of verdicts are texts, all else is a float; [] if the
    file does not exist. A half-written last line, left by a killed or a still writing process, is ignored.

  Raises:
    ValueError: if a line other than the last is damaged.
  """
  path = Path(path)
  if not path.exists():
    return []
  return [{k: v if k == 'step' else _decode(v) for k, v in row.items()} for _, row in _parse_lines(path)]


class Progress:
  """Progress on the console: a bar on a terminal, one aligned line per logged step elsewhere (a file, a pipe).

  Args:
    num_steps: Steps of the whole run.
    start_step: Steps already done when this process began.
    stream: Where to write; stdout by default.
    main: Scalars shown: (label, name, format) each.
  """

  def __init__(self, num_steps: int, start_step: int = 0, stream: TextIO | None = None, main: Main = GENERATION.main):
    self._num_steps, self._main = num_steps, main
    self._stream = sys.stdout if stream is None else stream
    self._bar = None
    if self._stream.isatty():
      self._bar = tqdm(total=num_steps, initial=start_step, unit='step', dynamic_ncols=True, file=self._stream)

  def update(self, step: int, scalars: Mapping[str, float]) -> None:
    """Show that `step` steps are finished, with the main and eval/* scalars in `scalars`."""
    shown = [f'{label} {float(scalars[key]):{form}}' for label, key, form in self._main if key in scalars]
    shown += [f'{key} {float(scalars[key]):.4g}' for key in sorted(scalars) if key.startswith('eval/')]
    speed = scalars.get('time/images_per_sec')
    speed = '' if speed is None else f'{speed:>9,.0f} img/s'
    if self._bar is not None:
      self._bar.set_postfix_str(', '.join(' '.join(text.split()) for text in (speed, *shown) if text), refresh=False)
      self._bar.update(step - self._bar.n)
      self._bar.refresh()
      return
    width = len(str(self._num_steps))
    share = step / self._num_steps if self._num_steps else 1.0
    fields = [f'step {step:>{width}}/{self._num_steps} {share:>4.0%}', f'{speed:>15}',
              f'ETA {self._eta(step, scalars):>8}', *shown]
    print('  '.join(fields).rstrip(), file=self._stream, flush=True)

  def message(self, text: str) -> None:
    """Print a line of text, above the bar if there is one."""
    if self._bar is not None:
      self._bar.write(text, file=self._stream)
    else:
      print(text, file=self._stream, flush=True)

  def close(self) -> None:
    """Close the bar and leave it on the terminal."""
    if self._bar is not None:
      self._bar.close()

  def _eta(self, step: int, scalars: Mapping[str, float]) -> str:
    rate = float(scalars.get('time/steps_per_sec', math.nan))  # Absent at first, when most of the time is compilation.
    if not (math.isfinite(rate) and rate > 0):
      return '--:--'
    minutes, seconds = divmod(math.ceil(max(self._num_steps - step, 0) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{seconds:02d}' if hours else f'{minutes:02d}:{seconds:02d}'


class TensorBoard:
  """Scalars and samples as TensorBoard event files in <workdir>/tensorboard, through the optional tensorboardX.

  Args:
    workdir: Folder of the run.
    start_step: TensorBoard hides newer events, which a killed process has left.

  Raises:
    ImportError: if tensorboardX is not installed.
  """

  def __init__(self, workdir: str | os.PathLike, start_step: int = 0):
    try:
      import tensorboardX  # Optional, and slow to import.
    except ImportError as error:
      raise ImportError(
          'TensorBoard output needs tensorboardX; run `pip install tensorboardX`, or set train.tensorboard=False: '
          'metrics.jsonl and report.html have the same numbers') from error
    self._writer = tensorboardX.SummaryWriter(str(Path(workdir) / 'tensorboard'), purge_step=start_step + 1)

  def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    """Write every scalar under its own name."""
    for name, value in scalars.items():
      self._writer.add_scalar(name, float(value), step)

  def samples(self, step: int, image: np.ndarray) -> None:
    """Write one picture, uint8 [H, W, 1 or 3]."""
    self._writer.add_image('samples', image, step, dataformats='HWC')

  def close(self) -> None:
    """Flush and close."""
    self._writer.close()


class Report:
  """The report of a run during training; opening it removes records newer than `start_step` from the workdir.

  Args:
    workdir: Folder of the run.
    num_steps: Steps of the whole run.
    start_step: Steps done by earlier processes: 0, or the step of the restored checkpoint.
    tensorboard: Whether to write TensorBoard event files too.
    enabled: False in a process that is not the writer: every method then does nothing.
    main: Scalars of the console: label, name, format.
    tracker: 'wandb', 'trackio', or '' for neither.
    config: Fields and their values, for the tracker.

  Raises:
    ImportError: if what `tensorboard` or `tracker` needs is not installed.
    ValueError: if the existing metrics.jsonl is damaged before its last line.
  """

  def __init__(self, workdir: str | os.PathLike, num_steps: int, start_step: int = 0, tensorboard: bool = False,
               enabled: bool = True, main: Main = GENERATION.main, tracker: str = '',
               config: Mapping[str, Any] | None = None):
    self._workdir, self._enabled = Path(workdir), enabled
    self._others: list[TensorBoard | Tracker] = []
    self._failing = False                    # The last verdict.
    self.rows: list[dict[str, float]] = []   # All that was logged, by this process and earlier ones.
    self.scored: set[int] = set()            # Steps with scores in evaluation.jsonl.
    if not enabled:
      return
    self._metrics = MetricsFile(workdir)
    self._progress = Progress(num_steps, start_step, main=main)
    if tensorboard:  # First, because it may fail: nothing is cut then.
      self._others.append(TensorBoard(workdir, start_step))
    if tracker:
      logged = max((row['step'] for row in read_metrics(self._metrics.path)), default=-1)
      self._others.append(Tracker(tracker, workdir, config or {}, logged, self.message))
    self._metrics.cut(start_step if start_step > 0 else -1)  # From the start: row 0 will be written again.
    self.rows = read_metrics(self._metrics.path)
    images.cut_frames(workdir, start_step)
    records.cut(workdir, start_step)
    self.scored = records.scored_steps(workdir)

  def scalars(self, step: int, scalars: Mapping[str, float], verdict: Verdict | None = None) -> None:
    """Write the scalars of `step` to all outputs; several calls with the same step make several rows.

    Args:
      step: Steps finished.
      scalars: Values by name.
      verdict: Verdict on the run so far. The console shows failures, and the first verdict after them that is none.
    """
    if not self._enabled:
      return
    row = {**scalars, **(verdict.row() if verdict else {})}
    self._metrics.write(step, row)
    self.rows.append({'step': step, **row})
    for other in self._others:
      other.scalars(step, scalars)
    self._progress.update(step, scalars)
    if verdict and verdict.failed:
      self._progress.message(f'Verdict at step {step}: {verdict}')
    elif verdict and self._failing:
      self._progress.message(f'Verdict at step {step}: no failure now ({verdict.kind}).')
    self._failing = verdict.failed if verdict else self._failing

  def scores(self, lines: Sequence[dict[str, Any]]) -> None:
    """Add lines of `records.lines_of` to evaluation.jsonl."""
    if self._enabled:
      records.add(self._workdir, lines)
      self.scored |= {line['step'] for line in lines}

  def samples(self, step: int, image: np.ndarray) -> None:
    """Save the picture of `step`, uint8 [H, W, 1 or 3], as samples/step_<step>.png."""
    if not self._enabled:
      return
    images.save_png(images.frame_path(self._workdir, step), image)
    for other in self._others:
      other.samples(step, image)

  def message(self, text: str) -> None:
    """Print a line of text without breaking the progress bar."""
    if self._enabled:
      self._progress.message(text)

  def close(self) -> None:
    """Close files and the bar."""
    if not self._enabled:
      return
    self._metrics.close()
    self._progress.close()
    for other in self._others:
      other.close()


def _encode(value: float | str) -> float | str:
  if isinstance(value, str):
    return value
  return float(value) if math.isfinite(value) else str(float(value))


def _decode(value: float | str) -> float | str:
  try:
    return float(value)
  except ValueError:
    return value


def _parse_lines(path: Path) -> list[tuple[str, dict]]:
  lines = path.read_text(encoding='utf-8', errors='replace').split('\n')  # Not splitlines: it also splits at U+2028.
  while lines and not lines[-1]:
    lines.pop()
  rows = []
  for number, line in enumerate(lines, start=1):
    try:
      row = json.loads(line)
      if not isinstance(row, dict) or 'step' not in row:
        raise ValueError('no "step"')
      if not all(isinstance(value, int | float | str) for value in row.values()):
        raise ValueError('a value that is neither a number nor a text')
    except ValueError as error:
      if number == len(lines):
        break
      raise MetricsError(f'{path}, line {number} is damaged ({error}); delete that line to go on') from error
    rows.append((line, row))
  return rows

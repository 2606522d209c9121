"""The plots of a comparison as PNG files, for papers and README files."""

import re
from pathlib import Path

from experiments.comparison import figures
from experiments.comparison.evidence import ACCURACY, collect
from experiments.comparison.page import Compared
from experiments.comparison.value_curve import value_curve
from gan.run.workdir import check_writable
from gan.show import images


def write_pictures(compared: Compared, folder: str) -> list[Path]:
  """Write the plots: forest_<score>.png, and for each setting its learning curves and its runs seed by seed.

  If the arms are values of a number, a plot over this number replaces the forest and the runs seed by seed.

  Args:
    compared: the sweep and its results.
    folder: local directory; created if absent.

  Returns:
    Paths of the files.

  Raises:
    WorkdirError: if the directory cannot be written.
  """
  check_writable(Path(folder), '--pictures')
  results = [result for result in compared.results if result.arms]
  measures = list(dict.fromkeys(result.measure for result in results))
  evidence = collect(compared.plan, compared.workdir, [*(f'eval/{m.metric}' for m in measures), ACCURACY])
  colors, is_curve = figures.colors_of(compared.grouping), compared.grouping.is_curve
  drawn = {}
  for measure in measures:
    same_measure = [result for result in results if result.measure == measure]
    drawn[f'forest {measure.name}'] = None if is_curve else figures.forest(same_measure, colors, figures.picture)
  for result in results:
    name = result.setting.name
    for scalar in (f'eval/{result.measure.metric}', ACCURACY):
      drawn[f'{scalar} {name}'] = figures.learning_curve(result, evidence.curves, scalar, colors, figures.picture)
    if is_curve:
      drawn[f'runs {name}'] = value_curve(result, compared.grouping, figures.picture)
    elif len(result.arms) <= figures.MAX_PAIRED:
      drawn[f'runs {name}'] = figures.seed_by_seed(result, colors, figures.picture)
  return [images.write_atomic(Path(folder) / f'{_file_name(label)}.png', images.png_bytes(pixels))
          for label, pixels in drawn.items() if pixels is not None]


def _file_name(label: str) -> str:
  return re.sub(r'[^a-z0-9.]+', '_', label.removeprefix('eval/').lower()).strip('_')

"""A run's scalars and pictures for Weights & Biases or Trackio too, which have the same interface.

metrics.jsonl stays the record. A tracker that fails is left out with one warning, and training goes on; nothing here
asks for a login.
"""

import importlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gan.show.images import write_atomic

FILE = 'tracker.json'   # Package -> the id that the run has there.
PROJECT = 'gan'
_SETTINGS = {'init_timeout': 30.0, 'finish_timeout': 300.0}   # Seconds that wandb may wait for its server.


class Tracker:
  """One run of wandb or trackio, resumed if the directory had one before.

  Args:
    package: 'wandb' or 'trackio'.
    workdir: directory of the run, by which the run is called there.
    config: fields and their values.
    logged: last step that an earlier process has logged, -1 for none. An earlier process has sent it, so it is not sent
      again.
    warn: is told why the tracker fails, once.

  Raises:
    ImportError: if the package is not installed.
  """

  def __init__(self, package: str, workdir: str | os.PathLike, config: Mapping[str, Any], logged: int,
               warn: Callable[[str], None]):
    try:
      self._module = importlib.import_module(package)
    except ImportError as error:
      raise ImportError(f'train.tracker={package} needs the package {package}; run `pip install -U {package}`, or '
                        'leave the field empty: metrics.jsonl and report.html hold the same numbers') from error
    self._package, self._warn, self._run = package, warn, None
    workdir = Path(workdir).absolute()

    def start() -> None:
      file = workdir / FILE
      known = json.loads(file.read_text(encoding='utf-8')) if file.exists() else {}
      id = known.get(package) or secrets.token_hex(4)   # Drawn: two directories of one name are two runs.
      self._logged = logged if package in known else -1
      self._run = self._module.init(project=PROJECT, name=f'{workdir.name}-{id}', config=dict(config), resume='allow',
                                    **_options(self._module, package, workdir, id))
      write_atomic(file, (json.dumps(known | {package: id}) + '\n').encode())

    self._try(start)

  def scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    """Send every scalar under its own name."""
    if self._run and step > self._logged:
      self._try(lambda: self._run.log({name: float(value) for name, value in scalars.items()}, step=step))

  def samples(self, step: int, image: np.ndarray) -> None:
    """Send one picture, uint8 [H, W, 1 or 3]."""
    if self._run and step >= self._logged:
      colour = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image   # Trackio takes no grey ones.
      self._try(lambda: self._run.log({'samples': self._module.Image(colour)}, step=step))

  def close(self) -> None:
    """Wait until everything is sent or on the disk."""
    if self._run:
      self._try(self._run.finish)
      self._run = None

  def _try(self, action: Callable[[], Any]) -> None:
    try:
      action()
    except Exception as error:   # Of every kind: networks, servers, full disks, and versions with another interface.
      self._run = None
      self._warn(f'Warning: {self._package} fails and gets no more of this run ({type(error).__name__}: '
                 f'{" ".join(str(error).split())}); metrics.jsonl has all of it')


def _options(module: Any, package: str, workdir: Path, id: str) -> dict[str, Any]:
  """What `init` takes beside the arguments that both have."""
  if package != 'wandb':
    return {'embed': False}   # No dashboard in a notebook.
  options = {'id': id, 'dir': str(workdir), 'allow_val_change': True, 'settings': _SETTINGS}
  if not os.environ.get('WANDB_MODE') and not module.login(prompt=False, verify=False):   # Looks, and never asks.
    options['mode'] = 'offline'
  return options

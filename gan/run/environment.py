"""The environment of a run: versions, devices and settings that an exact resume needs, and the code's commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from gan.run import settings

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'ml-collections', 'tensorflow-datasets',
            'grain', 'pillow', 'scikit-learn')
DISTRIBUTION = 'gan-jax-research'   # The name of the package in pyproject.toml.
DETERMINISTIC = '--xla_gpu_deterministic_ops=true'
SHIPPED_COMMIT = 'GAN_GIT_COMMIT'   # Variable with the commit of code that was copied without its git history.
# Fields that may differ when a run is resumed exactly.
INFORMATIVE = ('argv', 'git_commit', 'git_dirty')


def describe(argv: list[str]) -> dict[str, Any]:
  """Return versions, devices, cores, commit and command of this process: a flat dict of JSON values."""
  device = jax.devices()[0]
  # An installed package may lie inside another repository, whose commit says nothing about the package.
  is_checkout = bool(_git('ls-files', '--error-unmatch', Path(__file__).name))
  commit = _git('rev-parse', 'HEAD') if is_checkout else ''
  return {
      'argv': argv,
      'git_commit': commit or os.environ.get(SHIPPED_COMMIT) or _installed_commit(),
      'git_dirty': is_checkout and bool(_git('status', '--porcelain', '--untracked-files=no')),
      'python': platform.python_version(),
      'platform': device.platform,
      'device_kind': device.device_kind,
      'device_count': jax.device_count(),
      'process_count': jax.process_count(),
      'cpu_cores': num_cores(),
      'deterministic': DETERMINISTIC in os.environ.get('XLA_FLAGS', ''),
      'settings': settings.describe(),
  } | {f'version.{package}': importlib.metadata.version(package) for package in PACKAGES}


def ask_for_determinism() -> None:
  """Make operations on a GPU bit-reproducible, though slower; call this before JAX is first used."""
  flags = os.environ.get('XLA_FLAGS', '')
  if DETERMINISTIC not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {DETERMINISTIC}'.strip()


def num_cores() -> int:
  """Count the cores that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def differences(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
  """List the changes that make a resume equal only to rounding, such as 'device_count: 1 then, 2 now'.

  A field that an older record does not have is not compared.
  """
  changed = [key for key in sorted(then) if key not in INFORMATIVE and now.get(key) != then[key]]
  return [f'{key}: {_changed_value(key, then, now)} then, {_changed_value(key, now, then)} now' for key in changed]


def _changed_value(key: str, one: dict[str, Any], other: dict[str, Any]) -> Any:
  if key == 'settings':  # Only those that differ: the common ones would hide them.
    return ' '.join(word for word in one.get(key, '').split() if word not in other.get(key, '').split()) or 'none'
  return one.get(key)


def _installed_commit() -> str:
  """Return the commit that `pip install git+...` installed; '' if the package was installed in another way."""
  for distribution in importlib.metadata.distributions(name=DISTRIBUTION):
    if Path(str(distribution.locate_file('gan'))).resolve() == Path(__file__).resolve().parents[1]:
      origin = json.loads(distribution.read_text('direct_url.json') or '{}')
      return origin.get('vcs_info', {}).get('commit_id', '')
  return ''


def _git(*arguments: str) -> str:
  try:
    result = subprocess.run(('git', *arguments), cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5,
                            check=True)
  except (OSError, subprocess.SubprocessError):
    return ''  # No git, or not a checkout: the run goes on without its commit.
  return result.stdout.strip()

"""Every command that README and docs show is parsed, and what it would train is built: a page cannot show a typo.

Commands run in this process, in an empty directory with links to `configs` and `experiments`, as in a checkout. A run
is built by the same code as under `--dry_run`; a sweep is expanded and each of its runs validated; other commands have
their flags parsed. What needs a data set that this machine does not have is validated only.
"""

import argparse
import contextlib
import importlib.machinery
import os
import runpy
import shutil
import sys
import types

import jax
import pytest
from absl import flags

from experiments.sweep import load_sweep
from gan import cli
from gan.config.files import load_config
from gan.config.validate import validate
from gan.data.source import DataError
from gan.losses import LOSSES
from gan.losses.pair import LossPair
from gan.run import dry_run
from gan.show import images
from tests import markdown
from tests.markdown import ROOT

COMMANDS = {' '.join(words): words for page in markdown.PAGES for words in markdown.commands(page)}
TOOLS = {'pip', 'git', 'source', 'export', 'cd', 'ray', 'sbatch', 'gcloud', 'srun', 'mpirun', 'tensorboard', 'wandb',
         'trackio'}   # Not ours to check.


class ParsedError(Exception):
  """Raised in the place of what a command would do, once its flags are parsed."""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
  """A directory that has what the commands name."""
  for folder in ('configs', 'experiments'):
    os.symlink(ROOT / folder, tmp_path / folder)
  os.mkdir(tmp_path / 'my_images')
  for shade in range(4):
    images.save_png(tmp_path / 'my_images' / f'{shade}.png', jax.numpy.full((70, 70, 3), 60 * shade, 'uint8'))
  _, loss, sweep = markdown.code(ROOT / 'README.md', 'python')
  (tmp_path / 'mine.py').write_text(sweep)
  mine = types.ModuleType('mine')
  exec(loss, mine.__dict__)
  for name in ('wandb', 'trackio'):   # As if they were installed.
    package = types.ModuleType(name)
    package.__spec__ = importlib.machinery.ModuleSpec(name, None, origin='stand-in')
    monkeypatch.setitem(sys.modules, name, package)
  monkeypatch.setitem(LOSSES, 'mine', LossPair(mine.disc, mine.gen))   # The line that README tells to write.
  monkeypatch.chdir(tmp_path)


def defined_here():
  """Flag -> its module, for the flags that this project's modules have defined so far."""
  modules = {name: flags.FLAGS.find_module_defining_flag(name) or '' for name in flags.FLAGS}
  return {name: module for name, module in modules.items() if module.startswith(('gan', 'experiments'))}


@pytest.fixture
def flag_values():
  """The flags of other modules step aside while a command defines its own."""
  before = {name: (module, flags.FLAGS[name]) for name, module in defined_here().items()}
  for name in before:
    delattr(flags.FLAGS, name)
  yield
  for name in defined_here():
    delattr(flags.FLAGS, name)
  for name, (module, flag) in before.items():
    flags.FLAGS[name] = flag
    flags.FLAGS.register_flag_by_module(module, flag)


def parsed(module, arguments, monkeypatch):
  """The values of a module's flags on this command line, and the fields that it sets."""
  fields = {}

  def parse(main, *, positional=False, extract=None):
    del main
    argv = [module, *arguments]
    if extract:
      argv, overrides = extract(argv)
      fields.update(overrides)
    if len(rest := flags.FLAGS(argv)) > 1 and not positional:
      raise AssertionError(f'{rest[1:]} are no flags')

  def parse_args(parser, *_):
    parser.parse_known_args(arguments)[1] and parser.error(f'{arguments}: unknown')
    raise ParsedError

  monkeypatch.setattr(cli, 'run', parse)
  monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
  monkeypatch.setattr(sys, 'argv', [module, *arguments])
  with contextlib.suppress(ParsedError):
    runpy.run_module(module, run_name='__main__')
  return {name: flags.FLAGS[name].value for name in flags.FLAGS}, fields


def check(words, monkeypatch):
  """Fails if a command is none."""
  tool, *arguments = words
  if tool == 'make':
    targets = (ROOT / 'Makefile').read_text()
    assert all(f'\n{target}:' in targets for target in arguments if '=' not in target), words
  elif tool.endswith('python') and arguments[0] == '-m' and arguments[1].startswith(('gan', 'experiments')):
    values, fields = parsed(arguments[1], arguments[2:], monkeypatch)
    if arguments[1] == 'gan.main':
      config = validate(load_config(values['config']), jax.device_count(), fields)
      with contextlib.suppress(DataError):   # The data set is not on this machine.
        dry_run.describe(config)
    elif arguments[1] == 'experiments.run':
      assert load_sweep(values['sweep']).runs
  elif tool.endswith('python') and arguments[0].endswith('.py'):
    assert (ROOT / arguments[0]).is_file(), words
  else:
    assert tool in TOOLS or '=' in tool or tool.endswith('python') or shutil.which(tool), words


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_is_one(command, checkout, flag_values, monkeypatch):
  check(COMMANDS[command], monkeypatch)


@pytest.mark.parametrize('command', [
    'python -m gan.main --config=configs/dcgan.py --config.model.gen.widht=3',
    'python -m gan.main --config=configs/nonesuch.py', 'python -m gan.sample --workdir=x --nonesuch=3',
    'python -m experiments.run --sweep=experiments/nonesuch.py', 'python -m gan.nonesuch', 'make nonesuch'])
def test_a_typo_is_seen(command, checkout, flag_values, monkeypatch):
  with pytest.raises((Exception, SystemExit)):
    check(command.split(), monkeypatch)

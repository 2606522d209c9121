"""The package: what a wheel holds, what it asks for, and that `gan` is of use away from its checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from setuptools import find_packages

from gan.run import environment

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / 'pyproject.toml').read_text())
SETUPTOOLS = PROJECT['tool']['setuptools']
OWN_LOOP = CHECKOUT / 'tests' / 'outside' / 'own_loop.py'


def tracked(*where):
  """Files of the checkout that git knows, relative to it."""
  try:
    listed = subprocess.run(['git', 'ls-files', '-z', *where], cwd=CHECKOUT, capture_output=True, text=True, check=True)
  except (OSError, subprocess.SubprocessError):
    pytest.skip('this is not a checkout')
  return [Path(name) for name in listed.stdout.split('\0') if name]


def lines(name):
  """A requirements file without comments."""
  return [line for line in (text.partition(' #')[0].strip() for text in (CHECKOUT / name).read_text().splitlines())
          if line and not line.startswith('#')]


def python(program, *arguments, cwd, **variables):
  """Runs a Python elsewhere and returns its output."""
  clean = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
  done = subprocess.run([program, *arguments], cwd=cwd, env=clean | variables, capture_output=True, text=True,
                        timeout=300)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


def test_packages_are_the_folders_of_gan():
  folders = {path.parent for path in CHECKOUT.glob('gan/**/__init__.py')}
  found = find_packages(str(CHECKOUT), **SETUPTOOLS['packages']['find'])
  assert sorted(found) == sorted('.'.join(folder.relative_to(CHECKOUT).parts) for folder in folders)
  assert {path.parent for path in CHECKOUT.glob('gan/**/*.py')} == folders   # A folder without __init__ is left out.


def test_every_data_file_is_packaged():
  declared = {path.relative_to(CHECKOUT) for package, patterns in SETUPTOOLS['package-data'].items()
              for pattern in patterns for path in CHECKOUT.joinpath(*package.split('.')).glob(pattern)}
  assert declared == {path for path in tracked('gan') if path.suffix != '.py'}


def test_requirements_are_those_of_the_files():
  """Setuptools accepts no options such as -r in these files, so the extra `dev` lists them by name."""
  dynamic = SETUPTOOLS['dynamic']
  assert dynamic['dependencies']['file'] == ['requirements.txt']
  extras = {name: extra['file'] for name, extra in dynamic['optional-dependencies'].items()}
  assert set(PROJECT['project']['dynamic']) == set(dynamic)
  assert extras.keys() == {'prepare', 'ray', 'dev', 'parity'}
  for name in {name for files in extras.values() for name in files} | {'requirements.txt'}:
    assert [Requirement(line).name for line in lines(name)]
  includes = [line.removeprefix('-r ') for line in lines('requirements-dev.txt')]
  assert includes == ['requirements.txt', *extras['dev']]


def test_the_name_is_the_one_that_environments_look_for():
  assert PROJECT['project']['name'] == environment.DISTRIBUTION


def test_the_citation_has_the_version():
  version = re.search(r'^version: (.+)$', (CHECKOUT / 'CITATION.cff').read_text(), re.MULTILINE)[1]
  assert version == PROJECT['project']['version']


def check_loop(output, where):
  """`gan` was imported from `where`; plain descent, which circles on a Dirac-GAN, loses against both cures."""
  found = json.loads(output)
  assert Path(found['gan']).is_relative_to(where)
  for cure in ('R1/plain', 'extragradient/plain'):
    compared = found['comparisons'][cure]
    assert compared['p'] < 0.01
    assert compared['success_x'] > 0.9 > 0.5 > compared['success_y']
    assert re.match(rf'{cure.split("/")[0]} is better than plain', compared['verdict'])


def test_a_loop_elsewhere(tmp_path):
  shutil.copy(OWN_LOOP, tmp_path)
  check_loop(python(sys.executable, OWN_LOOP.name, cwd=tmp_path, PYTHONPATH=str(CHECKOUT)), CHECKOUT)


def test_the_commit_of_a_repository_around_it_is_not_ours(tmp_path):
  """`gan` is installed in an environment that lies within the repository of another project."""
  site = tmp_path / 'venv'
  shutil.copytree(CHECKOUT / 'gan', site / 'gan', ignore=shutil.ignore_patterns('__pycache__'))
  (tmp_path / 'theirs').write_text('')
  git = ['git', '-c', 'user.name=a', '-c', 'user.email=a@b.example', '-c', 'commit.gpgsign=false']
  for command in (['init', '-q'], ['add', 'theirs'], ['commit', '-qm', 'theirs']):
    subprocess.run([*git, *command], cwd=tmp_path, check=True)
  show = 'from gan.run import environment as e; print([e.describe([])[key] for key in ("git_commit", "git_dirty")])'
  told = python(sys.executable, '-c', show, cwd=tmp_path, PYTHONPATH=str(site), **{environment.SHIPPED_COMMIT: ''})
  assert told.strip() == "['', False]"


@pytest.mark.slow
def test_a_wheel_has_all_of_gan_and_nothing_else(tmp_path):
  """Built in isolation, for which pip asks its index for setuptools, and used from a new environment."""
  source, site = tmp_path / 'source', tmp_path / 'venv'
  for path in tracked():
    if (CHECKOUT / path).is_file():
      (source / path).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(CHECKOUT / path, source / path)
  built = subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-w', tmp_path, source],
                         capture_output=True, text=True)
  if 'No matching distribution found for setuptools' in built.stderr:
    pytest.skip('pip finds no setuptools: no network')
  assert built.returncode == 0, built.stderr
  (wheel,) = tmp_path.glob('*.whl')
  names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
  assert {name for name in names if '.dist-info' not in name.parts[0]} == set(tracked('gan'))

  venv.create(site, with_pip=True)
  inside = str(site / 'bin' / 'python')
  python(inside, '-m', 'pip', 'install', '--no-deps', '--no-index', str(wheel), cwd=tmp_path)
  (home,) = site.glob('lib/python*/site-packages')
  (home / 'requirements.pth').write_text(sysconfig.get_path('purelib'))   # What it requires, from this environment.
  shutil.copy(OWN_LOOP, tmp_path)
  check_loop(python(inside, OWN_LOOP.name, cwd=tmp_path), home)
  run = tmp_path / 'run'
  page = ('from pathlib import Path; from gan.show import page; '
          'Path("run").mkdir(); page.write_page(Path("run"))')
  python(inside, '-c', page, cwd=tmp_path)
  assert (run / 'report.html').stat().st_size > 1000

"""A run goes on with its own images only: changed ones are refused, moved ones are not."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gan.build import describe_data, open_data
from gan.config import base_config
from gan.config.complete import complete
from gan.data.source import DataError
from gan.population import run as population
from gan.population.store import Store
from gan.run import workdir
from tests import runs

NUM = 200
# What enters a fingerprint as pixels, at both ends and evenly between.
DECODED = {int(i) for i in np.linspace(0, NUM - 1, 64)}


def write(path, seed):
  """An uncompressed image: all files have one size."""
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8), np.uint8)).save(path)


def fill(root, num=NUM):
  for i in range(num):
    write(root / ('cats' if i < num // 2 else 'dogs') / f'{i:03}.bmp', i)
  return root


@pytest.fixture(scope='module')
def pets(tmp_path_factory):
  """Two classes of 100 images; not to be changed."""
  return fill(tmp_path_factory.mktemp('pets'))


def configured(path, **overrides):
  config = complete(base_config(), {'data.name': 'folder', 'data.path': str(path), 'data.image_size': 8} | overrides)
  return config


def claim(run_dir, config):
  return workdir.claim(run_dir, config, describe_data(open_data(config)), {})


def copied(pets, to):
  """A copy with the dates of now."""
  return shutil.copytree(pets, to, copy_function=shutil.copyfile)


def blacken(root):
  """The issue: 136 of 200 images replaced by black, all that no fingerprint decodes."""
  for i, file in enumerate(sorted(root.rglob('*.bmp'))):
    if i not in DECODED:
      Image.new('L', (8, 8)).save(file)


def one_bit(root):
  file = root / 'cats' / '001.bmp'
  data = bytearray(file.read_bytes())
  data[-1] ^= 1
  file.write_bytes(data)


CHANGES = {
    'black': (blacken, 'files of the folder were changed or renamed'),
    'one bit': (one_bit, 'files of the folder were changed or renamed'),
    'renamed': (lambda root: (root / 'cats' / '001.bmp').rename(root / 'cats' / '001b.bmp'), 'changed or renamed'),
    'exchanged': (lambda root: (write(root / 'cats' / '001.bmp', 2), write(root / 'cats' / '002.bmp', 1)),
                  'changed or renamed'),
    'one less': (lambda root: (root / 'dogs' / '150.bmp').unlink(), 'num_examples: 200 there, 199 here'),
    'one more': (lambda root: write(root / 'dogs' / 'new.bmp', 999), 'num_examples: 200 there, 201 here'),
    'a class renamed': (lambda root: (root / 'dogs').rename(root / 'hounds'), "class_names: ('cats', 'dogs') there"),
}


@pytest.mark.parametrize('change', CHANGES)
def test_changed_images_are_no_way_to_go_on(change, pets, tmp_path):
  root = copied(pets, tmp_path / 'pets')
  claim(tmp_path / 'run', configured(root))
  alter, message = CHANGES[change]
  alter(root)
  with pytest.raises(workdir.WorkdirError) as error:
    claim(tmp_path / 'run', configured(root))
  assert message in str(error.value)
  assert 'put the images back as they were' in str(error.value)
  with pytest.raises(workdir.WorkdirError, match='does not hold the images') as error:
    workdir.check_data(tmp_path / 'run', describe_data(open_data(configured(root))), str(root))
  assert message in str(error.value)


def test_a_folder_that_moved_holds_the_same_images(pets, tmp_path):
  root = copied(pets, tmp_path / 'here')
  claim(tmp_path / 'run', configured(root))
  moved = root.rename(tmp_path / 'there')
  (moved / 'README').write_text('Notes are no images.')
  with pytest.raises(DataError, match=r'does not exist.*--config\.data\.path=<folder>'):
    open_data(configured(root))
  with pytest.raises(workdir.WorkdirError, match=r'train\.batch_size'):
    claim(tmp_path / 'run', configured(moved, **{'train.batch_size': 7}))
  assert json.loads((tmp_path / 'run' / 'config.json').read_text())['data.path'] == str(root)
  assert claim(tmp_path / 'run', configured(moved)).resumed
  assert workdir.load_config(tmp_path / 'run').data.path == str(moved)
  write(tmp_path / 'other' / '0.bmp', 0)
  write(tmp_path / 'other' / '1.bmp', 1)
  with pytest.raises(workdir.WorkdirError) as error:  # Other images in another place: both are said.
    claim(tmp_path / 'run', configured(tmp_path / 'other'))
  assert f'data.path: {moved} there, {tmp_path / "other"} here' in str(error.value)
  assert 'num_examples: 200 there, 2 here' in str(error.value)


def test_what_was_written_before_contents_counted_is_still_known(pets, tmp_path):
  config = configured(pets)
  info = describe_data(open_data(config))
  old = info._replace(fingerprint=info.fingerprint.partition('/')[0])
  workdir.claim(tmp_path, config, old, {})
  assert claim(tmp_path, config).resumed
  assert workdir.load_data_info(tmp_path) == info   # From now on contents count.
  workdir.claim(tmp_path / 'other', config, old._replace(fingerprint='0' * 16), {})
  with pytest.raises(workdir.WorkdirError, match=f'fingerprint: {"0" * 16} there'):
    claim(tmp_path / 'other', config)


def test_a_population_goes_on_with_its_own_images_only(pets, tmp_path):
  root = copied(pets, tmp_path / 'pets')
  config = configured(root, **{'data.image_size': 16, 'train.num_steps': 1})
  Store(tmp_path / 'population').claim(['0'], [config], describe_data(open_data(config))._asdict(), {})
  one_bit(root)
  with pytest.raises(workdir.WorkdirError, match='trained on other data: files of the folder were changed'):
    population.run(['0'], [config], str(tmp_path / 'population'), [])


@pytest.mark.parametrize(('name', 'fingerprint'), [('digits', '8d94ce8662f400d3'),
                                                   ('ring', 'ring: 8 modes, sigma 0.01')])
def test_other_data_keep_their_fingerprint(name, fingerprint, tmp_path):
  """As stored in directories of runs that were trained before."""
  config = complete(base_config(), {'data.name': name, 'data.image_size': 16})
  data = describe_data(open_data(config))
  workdir.claim(tmp_path, config, data._replace(fingerprint=fingerprint), {})
  assert claim(tmp_path, config).resumed
  assert data.fingerprint == fingerprint


def test_the_same_flag_names_the_new_place_everywhere(tmp_path):
  """Trained, moved, scored, sampled, gone on with; other images are refused."""
  here, run_dir = fill(tmp_path / 'here', num=20), tmp_path / 'run'
  command = ('--config=configs/vanilla.py:runlocal', '--config.data.name=folder', '--config.data.image_size=8',
             f'--workdir={run_dir}', '--config.train.dynamics=False')
  code, _, err = runs.run('gan.main', *command, '--config.train.num_steps=2', f'--config.data.path={here}')
  assert code == 0, err
  there = here.rename(tmp_path / 'there')
  for module, *arguments in (('gan.evaluate', '--metrics=diversity', '--num_samples=10'),
                             ('gan.main', *command, '--config.train.num_steps=3')):
    code, _, err = runs.run(module, f'--workdir={run_dir}', *arguments, f'--config.data.path={there}')
    assert (module, code) == (module, 0), err
  write(there / 'cats' / '000.bmp', 999)
  code, _, err = runs.run('gan.dynamics', f'--workdir={run_dir}')   # By now the new place is known.
  assert code == 2, err
  assert f'{there} does not hold the images' in err
  code, _, err = runs.run('gan.sample', f'--workdir={tmp_path}', f'--config.data.path={there}')
  assert f'no run in {tmp_path}' in err   # The flag is known; samples need no images.

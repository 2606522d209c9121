"""Exported generators: every network, any number of samples, JAX alone in a process of its own, and the model card."""

import functools
import math
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from jax import export

from gan import build
from gan.config import base_config
from gan.config.complete import complete
from gan.config.files import load_config
from gan.config.validate import validate
from gan.data.source import columns_of
from gan.health import Verdict
from gan.portable import PortableError, card, folder, program, trained
from gan.portable.program import DEFAULT, KEY, Input, Portable
from gan.randomness import PURPOSES, purpose_key, root_key
from gan.run import workdir
from gan.run.report import MetricsFile
from gan.sampling import CHUNK, OTHERS, make_sampler, make_stream
from gan.scoring import records
from tests import markdown, runs
from tests.extensions import game as translation

STYLES = {'model.gen.width': 2, 'model.gen.max_width': 4, 'model.gen.w_dim': 5, 'model.z_dim': 3}
CASES = {
    'vanilla': ('configs/vanilla.py', {'model.gen.width': 8}),
    'mlp': ('configs/toy.py', {'model.gen.width': 8, 'model.z': 'uniform'}),
    'pacgan': ('configs/pacgan.py:pac=2', {'model.gen.width': 8}),
    'dcgan': ('configs/dcgan.py', {'model.gen.width': 4}),
    'resnet': ('configs/dcgan.py', {'model.gen.name': 'resnet', 'model.gen.width': 4}),
    'projection': ('configs/dcgan.py:condition=projection', {'model.gen.width': 4}),
    'acgan, vanilla': ('configs/dcgan.py:condition=acgan', {'model.gen.name': 'vanilla', 'model.gen.width': 4}),
    'infogan': ('configs/dcgan.py:condition=infogan', {'model.gen.width': 4}),
    'stylegan2': ('configs/stylegan2.py:condition=projection', STYLES)}


def games_of(config, columns):
  """The game in the form of convolutions of each platform."""
  games = {}
  for platform, form in (('cpu', 'matmul'), (DEFAULT, 'lax')):
    config.model.convolution = form
    games[platform] = build.build(config, columns, jax.devices()[:1]).game
  return games


def drawn(shapes):
  """Parameters and statistics in which nothing is 0: no strength of noise, and no average of batch norm."""
  rng = np.random.default_rng(0)
  return jax.tree.map(lambda leaf: np.float32(
      rng.normal(size=leaf.shape) / math.sqrt(math.prod(leaf.shape[:-1])) if len(leaf.shape) > 1
      else rng.uniform(0.5, 1.5, leaf.shape)), shapes)


@functools.cache
def ready(case):
  """The games, drawn weights, what is exported of them, and the program, loaded again."""
  name, changes = CASES[case]
  config = validate(load_config(name), 1, changes)
  data = build.describe_data(build.open_data(config), build.is_conditional(config))
  games = games_of(config, data.columns)
  start = jax.eval_shape(games['cpu'].init, root_key(0))['gen']
  gen = drawn({'params': start.params, 'stats': start.stats})
  portable = trained.portable(games, gen, data.columns, data.class_names)
  return games['cpu'], gen, portable, export.deserialize(program.compile_program(portable))


@pytest.mark.parametrize('case', CASES)
def test_any_number_of_samples_equal_those_of_gan_sample(case):
  """Bit for bit at as many as `gan.sample` computes at a time; to rounding at other numbers."""
  game, gen, portable, loaded = ready(case)
  root = purpose_key(root_key(trained.SEED), 'samples')
  expected = make_sampler(make_stream(game))(gen, root, CHUNK)
  assert np.std(expected) > 0.01
  inputs, key = portable.draw(CHUNK), {}
  if portable.random:   # The key of the first chunk's noise.
    noise = jax.random.fold_in(jax.random.fold_in(root, np.uint32(OTHERS + PURPOSES['network'])), 0)
    key[KEY] = np.asarray(jax.random.key_data(noise))
  assert inputs.keys() == portable.inputs.keys()
  assert loaded.platforms == ('cpu', 'cuda', 'tpu')
  for count in (1, 3, 64, CHUNK):
    samples = np.asarray(loaded.call(portable.weights, **{name: x[:count] for name, x in inputs.items()}, **key))
    if count == CHUNK:
      np.testing.assert_array_equal(samples, expected)
    else:
      np.testing.assert_allclose(samples, expected[:count], atol=1e-5)


def test_convolutions_have_the_form_of_each_platform():
  """XLA's own on accelerators, products on a CPU; networks without convolutions have one form."""
  assert len(ready('vanilla')[2].functions) == 1
  portable = ready('dcgan')[2]
  assert portable.functions.keys() == {'cpu', DEFAULT}
  for platform, is_lax in (('cpu', False), ('cuda', True), ('tpu', True)):
    function = portable.functions.get(platform, portable.functions[DEFAULT])
    text = export.export(jax.jit(function), platforms=[platform])(portable.weights, **portable.draw(2)).mlir_module()
    assert ('stablehlo.convolution' in text) == is_lax


def test_noise_depends_on_the_key_alone():
  _, _, portable, loaded = ready('stylegan2')
  inputs = portable.draw(3)
  one, same, other = (np.asarray(loaded.call(portable.weights, **inputs, key=np.array([0, i], np.uint32)))
                      for i in (1, 1, 2))
  np.testing.assert_array_equal(one, same)
  assert np.abs(one - other).max() > 1e-3


def test_a_program_has_a_gradient():
  """So that the latent of an image can be looked for."""
  game, gen, portable, loaded = ready('vanilla')
  z = portable.draw(3)['z']
  slope = jax.grad(lambda z: jnp.sum(loaded.call(portable.weights, z=z) ** 2))(z)
  np.testing.assert_allclose(slope, jax.grad(lambda z: jnp.sum(game.sample(gen, {'z': z}) ** 2))(z), atol=1e-5)


def test_samples_made_of_data(monkeypatch):
  """Translation of points: the input is a column of the data, and one of two networks of the generator is read."""
  for table, name, entry in translation.LINES:
    monkeypatch.setitem(table, name, entry)
  config = complete(base_config(), {'data.name': 'clouds', 'model.disc.name': 'mlp', 'model.gen.name': 'mlp'}
                    | translation.OVERRIDES)
  columns = build.open_data(config).columns
  games = games_of(config, columns)
  start = jax.jit(games['cpu'].init)(root_key(0))['gen']
  portable = trained.portable(games, {'params': start.params, 'stats': start.stats}, columns)
  assert list(portable.inputs) == ['a']
  assert not program.check(program.compile_program(portable), portable).difference
  assert 'params.ab.Dense_0.kernel' in portable.weights


def pairs(weights, z):
  """A network that compares the samples of a batch, two by two."""
  return weights['scale'] * jnp.flip(z.reshape(-1, 2, 2), axis=1).reshape(z.shape)


def test_a_network_for_some_numbers_of_samples_has_a_fixed_one():
  portable = Portable({DEFAULT: pairs}, {'scale': np.ones((), np.float32)}, {'z': Input((2,), 'float32', '', '')},
                      False, lambda count: {'z': np.arange(2 * count, dtype=np.float32).reshape(count, 2)})
  with pytest.raises(PortableError, match=r'for any number of samples at once .*--batch=16'):
    program.compile_program(portable)
  checked = program.check(program.compile_program(portable, batch=4), portable, batch=4)
  np.testing.assert_array_equal(checked.samples, [[2, 3], [0, 1], [6, 7], [4, 5]])


def test_another_failure_keeps_its_cause():
  portable = Portable({DEFAULT: lambda weights, z: z @ weights['w']}, {'w': np.ones((3, 3), np.float32)},
                      {'z': Input((2,), 'float32', '', '')}, False, lambda count: {})
  with pytest.raises(TypeError, match='dot_general'):
    program.compile_program(portable)


@pytest.mark.parametrize(('tree', 'message'), [
    ({'theta': np.float32([0.5])}, 'is the single number 0.5 of a game in closed form'),
    ({'w': np.zeros((2, 2), np.float32), 'n': np.zeros(3, np.int32)}, 'params.n is int32')])
def test_what_is_no_network_is_refused(tree, message):
  with pytest.raises(PortableError, match=message):
    trained.portable({DEFAULT: ready('vanilla')[0]}, {'params': tree, 'stats': {}}, {})


def test_samples_that_are_not_finite_are_refused():
  portable = ready('vanilla')[2]
  broken = portable._replace(weights={name: np.full_like(x, np.nan) for name, x in portable.weights.items()})
  with pytest.raises(PortableError, match='not finite numbers'):
    program.check(program.compile_program(broken), broken)


ALONE = """
{load}
{check}
assert not {{'gan', 'flax', 'safetensors'}} & set(sys.modules), 'JAX is not alone'
np.savez({out!r}, at_random=samples, checked=sample(weights, **check))
"""


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory):
  """A small run, trained for two steps and saved after each."""
  where = tmp_path_factory.mktemp('run')
  code, _, err = runs.run('gan.main', '--config=configs/vanilla.py:runlocal', '--config.model.condition=concat',
                          '--config.train.num_steps=2', '--config.train.save_every=1', f'--workdir={where}')
  assert code == 0, err
  return where


def exported(run_dir, out, *flags):
  """Runs `gan.export`, and then the code of the card in a process that knows JAX alone; its samples."""
  code, text, err = runs.run('gan.export', f'--workdir={run_dir}', f'--out={out}', *flags)
  assert code == 0, err
  assert 'samples of the program differ by at most' in text
  load, check = markdown.code(out / folder.CARD, 'python')
  code = ALONE.format(load=load, check=check, out=str(out / 'samples.npz'))
  done = subprocess.run([sys.executable, '-c', f'import sys\n{code}'], cwd=out, capture_output=True, text=True,
                        env={'PATH': os.environ['PATH'], 'JAX_PLATFORMS': 'cpu'}, check=False)
  assert done.returncode == 0, done.stderr
  assert float(done.stdout) < 1e-5
  return dict(np.load(out / 'samples.npz'))


def test_a_folder_is_loaded_by_jax_alone(run_dir, tmp_path):
  """The program and the weights give the images of `gan.sample`, in another process and without this code."""
  out = tmp_path / 'new' / 'folder'
  alone = exported(run_dir, out, '--step=1', '--raw')
  code, _, err = runs.run('gan.sample', f'--workdir={run_dir}', '--step=1', '--raw', '--npz', '--num=16',
                          f'--out={tmp_path / "ours.npz"}')
  assert code == 0, err
  ours = np.load(tmp_path / 'ours.npz')['samples'].astype(np.int32)
  levels = (alone['checked'] + 1) * 127.5
  assert levels.shape == ours.shape == (16, 16, 16, 1)
  assert np.abs(levels - ours).max() < 0.5 + 1e-2   # Bytes are rounded.
  assert alone['at_random'].shape == (16, 16, 16, 1)
  weights = safetensors.numpy.load_file(out / folder.WEIGHTS)
  assert weights['params.labels.table'].shape == (10, 32)
  assert {path.name for path in out.iterdir()} == {*folder.FILES, folder.CARD, 'samples.npz'}
  text = (out / folder.CARD).read_text()
  for part in ('the latest generator at step 1 of 2', '| `labels` | [N] | int32 | classes, 0 to 9 |',
               '| loss.name | nonsaturating |', 'No score of this generator was recorded at this step.'):
    assert part in text
  assert 'data.path' not in text

  # Where something is, nothing is written; nor without a checkpoint, nor where nothing can be written.
  refused = {('--workdir', run_dir, '--out', out): 'is not empty; name a new folder',
             ('--workdir', run_dir, '--out', out / folder.CARD): 'is a file; name a new folder',
             ('--workdir', run_dir, '--out', '/proc/folder'): 'name another with --out',
             ('--workdir', tmp_path, '--out', tmp_path / 'a'): 'no run in',
             ('--workdir', run_dir, '--out', tmp_path / 'b', '--step', 7): 'has checkpoints of steps [1, 2]',
             ('--workdir', run_dir, '--out', tmp_path / 'c', '--truncation', 0.5): 'needs a generator with styles',
             ('--workdir', run_dir, '--out', tmp_path / 'd', '--truncation', 2): 'not a number in the range'}
  for arguments, message in refused.items():
    code, _, err = runs.run('gan.export', *map(str, arguments))
    assert code == 2
    assert message in ' '.join(err.split())
    assert 'Traceback' not in err


def test_the_page_shows_the_code_of_a_card():
  game, _, portable, _ = ready('dcgan')
  checked = program.Checked({}, np.zeros((2, 16, 16, 1), np.float32), 0.0)
  text = card.render(card.About('', (), {}), portable, checked, None, {})
  assert game.z_dim == 100
  assert markdown.code(markdown.ROOT / 'docs' / 'export.md', 'python')[0] in text


def test_a_run_without_a_checkpoint_is_refused(run_dir, tmp_path):
  shutil.copytree(run_dir, tmp_path / 'run', ignore=shutil.ignore_patterns('checkpoints'))
  code, _, err = runs.run('gan.export', f'--workdir={tmp_path / "run"}', f'--out={tmp_path / "out"}')
  assert code == 2
  assert 'has no checkpoint yet; the first one comes at step train.save_every' in err


def test_the_card_has_scores_and_a_verdict_of_this_step(tmp_path):
  config = complete(load_config('configs/dcgan.py'), {'data.path': '/home/me', 'train.batch_size': 32})
  data = build.DataInfo('digits | mine', columns_of((16, 16, 1)), 1500, ('zero', 'one'), 'abc')
  workdir.claim(tmp_path, config, data, {'device_kind': 'abacus', 'device_count': 3, 'git_commit': 'a1' * 20})
  metrics = MetricsFile(tmp_path)
  for step, kind in ((10, 'mode collapse'), (20, 'healthy')):
    metrics.write(step, Verdict(kind, step, 'eval/classes', 3.0, 5.0).row())
  metrics.close()
  line = {'during_training': False, 'samples': 'ema', 'num_samples': 5000, 'data': 'digits', 'split': 'train',
          'features': 'classifier', 'standard_error': 0.5}
  records.add(tmp_path, [line | {'metric': 'fd', 'value': 8.0, 'step': 10}, line | {'metric': 'kd', 'step': 20,
                         'value': 1.0}, line | {'metric': 'cs', 'value': 2.0, 'step': 10, 'samples': 'raw'},
                         line | {'metric': 'modes', 'value': 9.0, 'standard_error': math.nan, 'step': 10}])
  about = card.about_run(tmp_path, data, 10, raw=False)
  portable = ready('vanilla')[2]
  checked = program.Checked({}, np.zeros((2, 16, 16, 1), np.float32), 1e-7)
  text = card.render(about, portable, checked, None, {})
  assert '| fd | 8 | 7.02 to 8.98 | 5,000 | digits train classifier |' in text   # 1.96 standard errors to either side.
  assert '| modes | 9 |  | 5,000 | digits train classifier |' in text
  assert '| kd |' not in text
  assert '| cs |' not in text
  assert '* mode collapse (eval/classes = 3, below 5)' in text
  assert 'healthy' not in text
  for part in ('real samples seen | 320 |', 'digits \\| mine', '3 x abacus', 'a1' * 20, '[N, 16, 16, 1]: -1 is black'):
    assert part in text
  assert '/home/me' not in text
  assert '| cs | 2 |' in card.render(card.about_run(tmp_path, data, 10, raw=True), portable, checked, None, {})

"""The page is one file, escapes what it shows, and copes with incomplete runs."""

import html
import html.parser
import json
import math
import warnings

import numpy as np
import pytest

from gan.games.show import GENERATION
from gan.health import Verdict
from gan.run.report import MetricsFile
from gan.show import images, page

PLOTS = GENERATION.plots
SCALARS = (*(line.key for plot in PLOTS for line in plot.lines), 'penalty/r1', 'penalty/my_own', 'eval/modes')
CONFIG = {'model.gen.name': 'mlp', 'loss.name': 'hinge', 'data.name': '<script>alert("ring")</script>',
          'train.num_steps': 100, 'seed': 0}
ENVIRONMENT = {'versions': {'jax': '9.8.7'}, 'device_kind': 'abacus', 'device_count': 3, 'git_commit': 'a1' * 20,
               'argv': ['/home/x/gan/main.py', '--workdir=my <run>']}


class Fetches(html.parser.HTMLParser):
  """Collects what a browser would load, tags, and the text a reader sees."""

  def __init__(self, text):
    super().__init__()
    self.urls, self.tags, self.text = [], [], ''
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.urls += [value for key, value in attrs if key in ('src', 'srcset', 'href', 'xlink:href', 'data', 'action')]

  def handle_data(self, data):
    self.text += data


@pytest.fixture(autouse=True)
def no_warnings():
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    yield


def make_run(workdir, steps=(10, 50, 100), value=0.7, samples=True):
  workdir.mkdir(exist_ok=True)
  (workdir / 'config.json').write_text(json.dumps(CONFIG))
  (workdir / 'environment.json').write_text(json.dumps(ENVIRONMENT))
  metrics = MetricsFile(workdir)
  for step in steps:
    metrics.write(step, dict.fromkeys(SCALARS, value) | {'time/elapsed_sec': 600.0, 'time/images_per_sec': 1234.0})
  metrics.close()
  if samples:
    for step, level in ((0, 0), (50, 90), (max(steps), 200)):
      images.save_png(images.frame_path(workdir, step), np.full((8, 8, 1), level, np.uint8))
    images.animate(workdir)
  return workdir


@pytest.mark.parametrize(('verdict', 'words'), [
    (Verdict('healthy', 100), ('healthy', 'Verdict at step 100')),
    (Verdict('too early', 100, 'evaluations', 1.0, 4.0), ('too early', 'evaluations = 1, below 4')),
    (Verdict('mode collapse', 100, 'eval/reverse_kl', 1.75, 0.69),
     ('mode collapse', 'eval/reverse_kl = 1.75, above 0.69', 'model.disc.pack=2')),
    (Verdict('generator stalled', 100, 'gen/update_norm', 0.1, 0.3,
             also=(Verdict('mode collapse', 100, 'eval/modes', 1.0, 2.0),)),
     ('Verdict at step 100: gen/update_norm = 0.1', 'gen_steps', 'Also at step 100: eval/modes = 1', 'disc.pack=2'))])
def test_page_says_the_last_verdict(tmp_path, verdict, words):
  make_run(tmp_path)
  metrics = MetricsFile(tmp_path)
  for each in (Verdict('oscillating', 50, 'disc/accuracy', 0.1, 0.3), verdict):
    metrics.write(each.step, each.row())
  metrics.close()
  text = Fetches(render(tmp_path)).text
  assert 'oscillating' not in text
  for wanted in words:
    assert wanted in text, wanted


def test_flags_in_advice_are_code_and_end_before_the_full_stop(tmp_path):
  make_run(tmp_path)
  metrics = MetricsFile(tmp_path)
  metrics.write(100, Verdict('oscillating', 100, 'disc/accuracy', 0.1, 0.3).row())
  metrics.close()
  source = render(tmp_path)
  for flag in ('--config.penalty.r1=1', '--config.update.rule=extragradient'):
    assert f'<code>{flag}</code>' in source


def render(workdir, **kwargs):
  path = page.write_page(workdir, **kwargs)
  assert path == workdir / 'report.html'
  return path.read_text(encoding='utf-8')


def test_page_has_every_section(tmp_path):
  text = Fetches(render(make_run(tmp_path))).text
  for wanted in ('Finished', '100 of 100 steps', 'Samples', 'Generated at step 100', 'Curves', 'eval/modes',
                 *(plot.heading for plot in PLOTS), '1/2', 'Configuration', 'num_steps', 'hinge', 'Environment',
                 '9.8.7', '3 × abacus', '10 min', '1,234', 'Reproduce', f'git checkout {"a1" * 20}',
                 "python -m gan.main '--workdir=my <run>'"):
    assert wanted in text, wanted


def test_page_loads_nothing_from_outside(tmp_path):
  text = render(make_run(tmp_path))
  found = Fetches(text)
  assert sum(url.startswith('data:image/') for url in found.urls) == 2
  assert all(url.startswith(('data:', '#')) for url in found.urls)
  assert 'http' not in text
  assert '@import' not in text
  assert str(tmp_path) not in text


def test_config_values_are_escaped(tmp_path):
  text = render(make_run(tmp_path))
  assert 'script' not in Fetches(text).tags
  assert html.escape('<script>alert(', quote=False) in text


def test_title_can_be_given_and_is_escaped(tmp_path):
  text = render(make_run(tmp_path), title='<b>mine</b>')
  assert '<h1>&lt;b&gt;mine&lt;/b&gt;</h1>' in text


def test_names_of_scalars_are_escaped_and_not_mathtext(tmp_path):
  metrics = MetricsFile(tmp_path)
  metrics.write(1, {'eval/<script>$\\x{': 1.0})
  metrics.close()
  found = Fetches(render(tmp_path))
  assert 'script' not in found.tags
  assert 'eval/<script>$\\x{' in found.text


def test_page_is_deterministic(tmp_path):
  make_run(tmp_path)
  assert render(tmp_path) == render(tmp_path)


@pytest.mark.parametrize('steps', [(0,), (1,), (100,), (3, 3)])
def test_very_few_rows(tmp_path, steps):
  assert Fetches(render(make_run(tmp_path, steps=steps))).tags.count('svg') == len(PLOTS) + 1


@pytest.mark.parametrize('value', [math.nan, math.inf, 0.0, -1.0, 1e300])
def test_extreme_values(tmp_path, value):
  found = Fetches(render(make_run(tmp_path, value=value)))
  assert found.tags.count('svg') == len(PLOTS) + 1
  assert ('Non-finite' in found.text) == (not math.isfinite(value))


def test_non_finite_is_headline_news(tmp_path):
  metrics = MetricsFile(make_run(tmp_path))
  metrics.write(60, {'gen/loss': math.inf, 'disc/loss': 1.0})
  metrics.close()
  text = Fetches(render(tmp_path)).text
  assert 'gen/loss was no longer finite at step 60' in text


def test_stopped_run_says_so(tmp_path):
  text = Fetches(render(make_run(tmp_path, steps=(10, 42), samples=False))).text
  assert '42 of 100 steps: the run stopped early' in text
  assert 'Finished' not in text


def test_missing_pieces(tmp_path):
  make_run(tmp_path, samples=False)
  found = Fetches(render(tmp_path))
  assert 'no sample pictures' in found.text
  assert 'img' not in found.tags
  for name in ('config.json', 'environment.json', 'metrics.jsonl'):
    (tmp_path / name).unlink()
    render(tmp_path)
  text = Fetches(render(tmp_path)).text
  assert tmp_path.name in text
  for wanted in ('no metrics', 'config.json is missing', 'environment.json is missing'):
    assert wanted in text


def test_samples_without_animation(tmp_path):
  (make_run(tmp_path) / 'training.gif').unlink()
  assert Fetches(render(tmp_path)).tags.count('img') == 1


def test_damaged_json_is_an_error(tmp_path):
  (tmp_path / 'config.json').write_text('[]')
  with pytest.raises(ValueError, match='must be a JSON object'):
    page.write_page(tmp_path)


@pytest.mark.parametrize('count', [1, 1999, 2000, 2001, 50_000])
def test_thinning_keeps_ends_and_spikes(count):
  steps, values = np.arange(count, dtype=float), np.sin(np.arange(count) / 50)
  values[count // 3], values[count // 2] = 100.0, -100.0
  thin_steps, thin_values = page.thin(steps, values)
  assert len(thin_steps) == min(count, len(thin_steps)) <= page.MAX_POINTS
  assert {steps[0], steps[-1], steps[count // 3], steps[count // 2]} <= set(thin_steps)
  assert (np.diff(thin_steps) > 0).all()
  np.testing.assert_array_equal(values[thin_steps.astype(int)], thin_values)


def test_thinning_keeps_a_long_gap():
  values = np.ones(10_000)
  values[4000:6000] = np.nan
  assert np.isnan(page.thin(np.arange(10_000.0), values)[1]).sum() > 100


def test_a_long_run_makes_a_light_page(tmp_path):
  rng = np.random.default_rng(0)
  with (tmp_path / 'metrics.jsonl').open('w') as file:
    for step in range(30_000):
      file.write(json.dumps({'step': step} | {key: float(rng.normal()) for key in SCALARS[:4]}) + '\n')
  assert len(render(tmp_path)) < 1_000_000

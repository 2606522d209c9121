"""The classic pictures: that they show what the library does, and that what they claim was measured."""

import base64
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dirac as dirac_config
from configs import toy as toy_config
from experiments.explain import __main__ as program
from experiments.explain import collapse, dirac, divergences, gradients, losses, page, style
from experiments.explain.style import Explained
from gan.config import ConfigError, command
from gan.config.validate import validate
from gan.data.toy import MIXTURES
from gan.rules import RULES

TINY = {'model.gen.width': 8, 'model.disc.width': 8, 'train.batch_size': 16}


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
  monkeypatch.setattr(style, 'DPI', 40)


def is_picture(image):
  return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.std() > 5


def test_slopes_have_the_ratio_of_the_closed_form():
  logits = np.linspace(-6.0, 6.0, 25)
  belief = 1 / (1 + np.exp(-logits))
  saturating, nonsaturating = (losses.curves(name, logits)[1] for name in ('saturating', 'nonsaturating'))
  np.testing.assert_allclose(saturating, -belief, rtol=1e-5)
  np.testing.assert_allclose(nonsaturating, -(1 - belief), rtol=1e-4)
  np.testing.assert_allclose(saturating / nonsaturating, belief / (1 - belief), rtol=1e-4)


def test_losses_picture_says_how_much_weaker():
  explained = losses.draw()
  assert is_picture(explained.image)
  assert explained.facts['times'] == pytest.approx(99, rel=1e-3)


@pytest.mark.parametrize('key', divergences.DIVERGENCES)
@pytest.mark.parametrize('q', [(0.6, 1.0), (-1.0, 1.5)])
def test_the_best_discriminator_of_an_f_gan_gains_its_divergence(key, q):
  assert divergences.library_bound(key, *q) == pytest.approx(divergences.divergence(key, *q), rel=1e-4)


def test_divergences_match_known_values():
  """Far apart, the bounded ones reach their bounds; every divergence is near 0 where q is nearly p."""
  bounds = {'fgan_jensen_shannon': 2 * np.log(2), 'fgan_squared_hellinger': 2.0, 'fgan_total_variation': 1.0}
  for key, bound in bounds.items():
    assert divergences.divergence(key, 11.0, 0.3) == pytest.approx(bound, rel=1e-4)
  assert all(divergences.divergence(key, *divergences.Q) > 0.1 for key in divergences.DIVERGENCES)


def test_kl_matches_moments_and_reverse_kl_takes_one_hump():
  """The Gaussian nearest in KL(p || q) has the mean and the variance of p."""
  weights, means, spreads = (np.array(x) for x in (divergences.WEIGHTS, divergences.MEANS, divergences.SPREADS))
  mean = np.sum(weights * means)
  spread = np.sqrt(np.sum(weights * (spreads**2 + means**2)) - mean**2)
  assert divergences.best_gaussian('fgan_kl')[:2] == pytest.approx((mean, spread), abs=5e-3)
  assert divergences.best_gaussian('fgan_reverse_kl')[:2] == pytest.approx((means[0], spreads[0]), abs=0.05)


@pytest.mark.parametrize(('overrides', 'verdict'), [
    ({'update.rule': 'simultaneous'}, 'leaves'),
    ({'update.rule': 'alternating'}, 'circles'),
    (dirac.REGULARISERS['R1'], 'rests')])
def test_dirac_paths_end_where_theory_says(overrides, verdict):
  path = dirac.follow(overrides)
  assert path.points.shape == (dirac.STEPS + 1, 2)
  assert path.verdict == verdict


@pytest.mark.slow
def test_all_dirac_paths_end_where_theory_says():
  expected = {'alternating': 'circles', 'simultaneous': 'leaves', 'LeCam': 'nears', 'non-saturating loss': 'nears',
              'DRAGAN': 'circles', 'Wasserstein unbounded': 'circles', 'Wasserstein + WGAN-GP': 'circles',
              'Wasserstein + clipping': 'circles'}
  for group in dirac.games().values():
    for name, overrides in group.items():
      assert dirac.follow(overrides).verdict == expected.get(name, 'rests'), name


def test_dirac_field_is_the_closed_form():
  """The saturating game: theta' = psi s(psi theta), psi' = -theta s(psi theta)."""
  field = dirac.follow({}, steps=1).field
  side = np.linspace(-dirac.HALF, dirac.HALF, dirac.ARROWS)
  theta, psi = np.meshgrid(side, side)
  belief = 1 / (1 + np.exp(-psi * theta))
  np.testing.assert_allclose(field[..., 0], psi * belief, atol=1e-5)
  np.testing.assert_allclose(field[..., 1], -theta * belief, atol=1e-5)


def test_dirac_picture_has_every_rule():
  def follow(overrides, steps):
    field = np.ones((dirac.ARROWS, dirac.ARROWS, 2))
    return dirac.Path(np.linspace((1.0, 1.0), (0.0, 0.0) if 'update.rule' in overrides else (1.0, 1.0), 20), field)
  explained = dirac.draw(steps=2, follow=follow)
  assert is_picture(explained.image)
  assert {game['name'] for game in explained.facts['games']['rules']} == set(RULES)
  assert all(game['verdict'] == 'circles' for game in explained.facts['games']['regularisers'])


@pytest.mark.parametrize(('distances', 'verdict'), [
    (np.ones(100), 'circles'), (np.geomspace(1, 1e-3, 100), 'rests'), (np.arange(1, 101) ** -0.5, 'nears'),
    (np.geomspace(1, 3, 100), 'leaves'), (np.minimum(np.geomspace(1, 30, 100), 3), 'leaves')])
def test_verdicts_of_paths(distances, verdict):
  angles = np.linspace(0, 60, 100)
  points = distances[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
  assert dirac.Path(points, np.ones((3, 3, 2))).verdict == verdict


def test_gradients_are_measured_at_one_state():
  """With all samples at one D the two norms have the ratio D / (1 - D); a constant D is such a state."""
  run = gradients.ring(gradients.STRONG | TINY)
  norms = gradients.make_norms(run)
  disc = jax.tree.map(jnp.copy, run.state.disc.params)
  last = max(disc, key=lambda name: int(name.rpartition('_')[2]))
  disc[last]['kernel'] = disc[last]['kernel'] * 1e-3
  disc[last]['bias'] = jnp.full_like(disc[last]['bias'], -2.0)
  found = norms(run.state.replace(disc=run.state.disc.replace(params=disc)))
  belief = float(found['fake_prob'])
  assert belief == pytest.approx(1 / (1 + np.exp(2.0)), rel=1e-2)
  assert float(found['saturating'] / found['nonsaturating']) == pytest.approx(belief / (1 - belief), rel=1e-2)


def fake_record(form, steps, every, overrides):
  del overrides
  step = np.arange(0, steps + 1, every)
  curve = np.geomspace(1.0, 0.01 if form == 'saturating' else 0.5, len(step))
  return {'step': step, 'saturating': curve, 'nonsaturating': np.ones(len(step)), 'fake_prob': curve / 2, 'modes': 5}


def fake_snapshots(overrides, stops):
  spread, mixture = 0.5 if 'penalty.r1' in overrides else 0.1, MIXTURES['ring']()
  return [{'step': stop, 'points': mixture.modes * spread, 'modes': 8, 'high_quality': 0.5, 'truth': mixture}
          for stop in stops]


def test_pictures_of_trainings_and_their_page(tmp_path):
  made = {'gradients': gradients.draw(steps=40, every=2, record=fake_record),
          'collapse': collapse.draw(stops=[1, 3], snapshots=fake_snapshots), 'losses': losses.draw()}
  assert all(is_picture(explained.image) for explained in made.values())
  assert [shot['step'] for shot in made['collapse'].facts['plain']] == [1, 3]
  assert made['gradients'].facts['runs']['saturating']['times'] > made['gradients'].facts['runs'][
      'nonsaturating']['times'] > 1
  for name, explained in made.items():
    page.save(tmp_path, name, explained)
  html = page.write_page(tmp_path).read_text()
  assert re.findall(r'<section id="(\w+)">', html) == ['losses', 'gradients', 'collapse']
  uris = re.findall(r'<img src="data:image/png;base64,([^"]+)"', html)
  assert [base64.b64decode(uri) for uri in uris] == [(tmp_path / f'{name}.png').read_bytes()
                                                     for name in ('losses', 'gradients', 'collapse')]
  assert 'src="http' not in html
  assert '{{' not in html


@pytest.mark.slow
def test_trainings_measure_what_the_pictures_show():
  """The strong discriminator starves the saturating form; the plain GAN covers fewer modes than the cured one."""
  runs = gradients.draw().facts['runs']
  assert runs['saturating']['times'] > 3
  shots = collapse.draw().facts
  assert shots['plain'][-1]['modes'] <= 4
  assert shots['cured'][-1]['modes'] >= 6


def test_tiny_training_is_recorded():
  found = gradients.record('saturating', steps=4, every=2, overrides=TINY | {'train.disc_steps': 1})
  assert found['step'].tolist() == [0, 2, 4]
  assert all(np.isfinite(found[name]).all() for name in (*gradients.FORMS, 'fake_prob'))
  # A discriminator that knows nothing says 1/2: both forms then pull alike.
  assert found['saturating'][0] / found['nonsaturating'][0] == pytest.approx(1.0, rel=0.2)


def example_facts():
  """Facts of all pictures, with the extremes that the words have to bear."""
  game = [{'name': f'{verdict} {i}', 'verdict': verdict, 'start': 1.0, 'end': 0.5}
          for verdict in dirac.WORDS for i in range(3)]
  run = {'saturating': 1e-3, 'nonsaturating': 1.0, 'fake_prob': 0.01, 'modes': 3, 'times': 1e3}
  best = {key: {'name': entry.name, 'mean': 0.0, 'spread': 1.0, 'value': 1.0, 'humps': i % 2 + 1}
          for i, (key, entry) in enumerate(divergences.DIVERGENCES.items())}
  shot = {'step': 1000, 'modes': 1, 'high_quality': 0.01}
  return {'losses': {'times': 99.0}, 'dirac': {'games': {'rules': game, 'regularisers': game}, 'steps': 300, 'lr': 0.4},
          'gradients': {'runs': {'saturating': run, 'nonsaturating': run}, 'steps': 10, 'disc_steps': 5},
          'divergences': {'best': best, 'gap': 1e-8},
          'collapse': {'plain': [shot], 'cured': [shot | {'modes': 8}], 'samples': 2000, 'seed': 0, 'r1': 0.1, 'of': 8}}


def test_page_has_all_sections_and_words_follow_the_numbers(tmp_path):
  facts = example_facts()
  for name, found in facts.items():
    page.save(tmp_path, name, Explained(np.zeros((4, 4, 3), np.uint8), found))
  html = page.write_page(tmp_path).read_text()
  assert re.findall(r'<section id="(\w+)">', html) == list(page.SECTIONS)
  assert 'rests 0, rests 1 and rests 2' in html
  assert 'This is mode collapse' in html
  facts['collapse']['plain'][0]['modes'] = 8
  (tmp_path / 'collapse.json').write_text(json.dumps(facts['collapse']))
  assert 'This run has not collapsed' in page.write_page(tmp_path).read_text()


def test_page_of_an_empty_directory(tmp_path):
  assert 'No picture has been made yet' in page.write_page(tmp_path).read_text()


@pytest.mark.parametrize('name', page.SECTIONS)
def test_commands_on_the_page_are_valid(name):
  module, config, *overrides = page.SECTIONS[name][1].removeprefix('python -m ').split()
  assert module == 'gan.main'
  file, _, arg = config.removeprefix('--config=').partition(':')
  stated = {'configs/toy.py': toy_config, 'configs/dirac.py': dirac_config}[file].get_config(arg)
  rest, given = command.extract([module, *overrides])
  assert rest == [module]
  validate(stated, overrides=given)


def test_configurations_of_the_trainings_are_valid():
  for overrides in (gradients.STRONG, collapse.PLAIN, collapse.PLAIN | collapse.CURE):
    validate(toy_config.get_config(), overrides=overrides)


def test_program_draws_what_is_asked_for_and_refuses_the_rest(tmp_path, monkeypatch, capsys):
  def say(out, only):
    monkeypatch.setattr(program, 'OUT', type('Flag', (), {'value': str(out)}))
    monkeypatch.setattr(program, 'ONLY', type('Flag', (), {'value': only}))
  say(tmp_path / 'new', ['losses'])
  assert program.main([]) == 0
  assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['index.html', 'losses.json', 'losses.png']
  assert re.search(r'losses\.png \.\.\. [\d.]+ s', capsys.readouterr().out)
  say(tmp_path, ['loses'])
  with pytest.raises(ConfigError, match=r'--only=loses: no such picture; known: .*did you mean losses'):
    program.main([])
  (tmp_path / 'file').write_text('')
  say(tmp_path / 'file' / 'below', [])
  with pytest.raises(ConfigError, match='--out'):
    program.main([])

"""Imports point one way only. The table says what each module may import of ours; the code is read, not run."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATHS = {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
         for folder in ('gan', 'experiments') for path in sorted((ROOT / folder).rglob('*.py'))}
TREES = {module: ast.parse(path.read_text()) for module, path in PATHS.items()}

EVERYWHERE = ('gan.declare',)   # Says how settings are declared; whoever has some imports it.
# The longest prefix that fits decides; a module that none fits (build, train, entry points) is free of this table.
OURS = {
    'gan.losses': ('gan.losses',), 'gan.augment': ('gan.augment',),
    'gan.penalties': (), 'gan.state': (), 'gan.randomness': (), 'gan.optimizers': (),
    'gan.schedules': (), 'gan.config.scheduling': ('gan.config', 'gan.schedules'),
    'gan.show.images': (), 'gan.health': (), 'gan.show.plots': ('gan.show.images',),
    'gan.run.settings': ('gan.randomness',), 'gan.run.environment': ('gan.run.settings',),
    'gan.models': ('gan.models', 'gan.randomness'),
    'gan.metrics': ('gan.metrics',), 'gan.statistics': ('gan.statistics',),
    'gan.games': ('gan.state', 'gan.losses', 'gan.penalties', 'gan.augment', 'gan.randomness', 'gan.models.spectral',
                  'gan.models.conditional', 'gan.games'),
    'gan.games.show': ('gan.health',),
    'gan.rules': ('gan.state', 'gan.optimizers', 'gan.games'),
    'gan.step': ('gan.state', 'gan.games', 'gan.rules'),
    'gan.dynamics.field': ('gan.state', 'gan.games', 'gan.rules'), 'gan.dynamics.spectrum': ('gan.dynamics.field',),
    'gan.data': ('gan.data', 'gan.randomness'), 'gan.data.prepare': ('gan.data', 'gan.cli', 'gan.cache'),
    'gan.download': (), 'gan.data.original': ('gan.data', 'gan.download'),
    'gan.parallel': ('gan.state',),
    'gan.run.checkpoint': ('gan.state', 'gan.parallel', 'gan.run.paths'),
    'gan.run.paths': ('gan.show.images',), 'gan.run.dispatch': (),
    'gan.population': ('gan.state',),
    'gan.population.program': ('gan.build', 'gan.config', 'gan.losses', 'gan.schedules', 'gan.config.scheduling'),
    'gan.population.compiled': ('gan.population', 'gan.build', 'gan.sampling', 'gan.step', 'gan.data.pipeline',
                                'gan.data.source', 'gan.parallel', 'gan.state'),
    'gan.population.store': ('gan.config', 'gan.config.complete', 'gan.run.paths', 'gan.run.report'),
    'gan.population.pictures': ('gan.show.images', 'gan.data.toy'),
    'gan.population.run': ('gan',), 'gan.population.members': ('gan',),
    'gan.run.ledger': ('gan.show.images', 'gan.run.report', 'gan.scoring.records'),
    'gan.run.tracker': ('gan.show.images',),
    'gan.run.report': ('gan.run.tracker', 'gan.show.images', 'gan.games.show', 'gan.health', 'gan.scoring.records'),
    'gan.show.page': ('gan.show.images', 'gan.run.report', 'gan.games.show', 'gan.games.table', 'gan.health',
                      'gan.scoring.records', 'gan.scoring.meanings'),
    'gan.sampling': ('gan.games', 'gan.parallel', 'gan.state', 'gan.randomness'),
    'gan.portable': (), 'gan.portable.program': ('gan.portable', 'gan.games', 'gan.randomness', 'gan.state'),
    'gan.portable.trained': ('gan.portable', 'gan.games', 'gan.data.source', 'gan.sampling', 'gan.randomness',
                             'gan.state'),
    'gan.portable.stylegan2_ada': ('gan.portable', 'gan.games.cast', 'gan.models.stylegan2'),
    'gan.portable.card': ('gan.portable', 'gan.build', 'gan.config', 'gan.health', 'gan.run', 'gan.scoring.records'),
    'gan.portable.folder': ('gan.portable', 'gan.run.workdir', 'gan.show.images'),
    'gan.cache': (), 'gan.run.compilation': ('gan.cache', 'gan.run.environment'),
    # Networks to look at images with. They know data sets, because some are trained on them; never a generator.
    'gan.features': ('gan.features', 'gan.data', 'gan.models', 'gan.state', 'gan.randomness', 'gan.show.images',
                     'gan.cache', 'gan.download', 'gan.run.settings'),
    'gan.scoring': (), 'gan.scoring.collect': ('gan.features', 'gan.metrics', 'gan.parallel'),
    'gan.scoring.records': ('gan.scoring', 'gan.show.images'),
    'gan.scoring.meanings': ('gan.scoring.records',),
    'gan.scoring.reference': ('gan.scoring.collect', 'gan.features', 'gan.metrics', 'gan.data', 'gan.cache',
                              'gan.run.settings'),
    'gan.scoring.table': ('gan.scoring', 'gan.scoring.collect', 'gan.scoring.reference', 'gan.metrics'),
    'gan.scoring.plan': ('gan.scoring.table', 'gan.config', 'gan.metrics', 'gan.data.toy'),
    'gan.scoring.evaluator': ('gan.scoring', 'gan.features', 'gan.metrics', 'gan.data', 'gan.parallel', 'gan.config',
                              'gan.cache'),
    'gan.scoring.ranges': ('gan.data',),
    'gan.scoring.samples': ('gan.scoring.collect', 'gan.scoring.ranges', 'gan.data', 'gan.sampling', 'gan.run.restore',
                            'gan.randomness', 'gan.run.environment'),
    # What the tables declare is gathered here; nothing of it is built.
    'gan.declare': (), 'gan.config': (), 'gan.config.files': ('gan.config',),
    'gan.config.command': ('gan.config.complete', 'gan.config'),
    'gan.config.complete': ('gan.config', 'gan.losses', 'gan.models', 'gan.optimizers', 'gan.parallel', 'gan.rules',
                            'gan.games', 'gan.augment', 'gan.features.resizing', 'gan.schedules'),
    'gan.config.document': ('gan.config.complete',),
    # Of `build` it asks which fields are numbers of the run.
    'gan.config.validate': ('gan.config.complete', 'gan.config', 'gan.games', 'gan.models', 'gan.rules', 'gan.data',
                            'gan.scoring.plan', 'gan.build', 'gan.config.scheduling'),
}
# Mathematics: these packages only, beside the standard library.
NUMERIC = {'jax', 'flax', 'optax', 'numpy', 'scipy', 'math', 'functools', 'inspect', 'collections', 'typing', 'types',
           'dataclasses', 'itertools', 'zlib', 'gan'}
MATHEMATICS = ('gan.losses', 'gan.penalties', 'gan.models', 'gan.state', 'gan.randomness', 'gan.optimizers',
               'gan.schedules', 'gan.metrics', 'gan.step', 'gan.rules', 'gan.games', 'gan.augment',
               'gan.dynamics.field', 'gan.dynamics.spectrum', 'gan.health')
ENTRY_POINTS = {'gan.main', 'gan.sample', 'gan.evaluate', 'gan.export', 'gan.convert', 'gan.cli', 'gan.data.prepare',
                'gan.dynamics.__main__', 'experiments.explain.__main__', 'experiments.run', 'experiments.extract',
                'experiments.compare'}
MAY_KNOW_CONFIGS = {'gan.config', 'gan.config.files', 'gan.config.complete', 'gan.config.validate', 'gan.build',
                    'gan.run.train', 'gan.run.workdir', 'gan.run.dry_run', 'gan.run.restore', 'gan.sample',
                    'gan.evaluate', 'gan.scoring.evaluator', 'gan.scoring.samples', 'gan.population.program',
                    'gan.population.compiled', 'gan.population.store', 'gan.population.run'}


def belongs(module, prefixes):
  return any(module == prefix or module.startswith(f'{prefix}.') for prefix in prefixes)


def typing_only(tree):
  """Nodes under `if TYPE_CHECKING:`."""
  return {id(node) for branch in ast.walk(tree) if isinstance(branch, ast.If)
          and ast.unparse(branch.test).endswith('TYPE_CHECKING') for child in branch.body for node in ast.walk(child)}


def imports(module):
  """Every module that is imported anywhere in `module`; a name imported from a package counts if it is a module."""
  tree = TREES[module]
  skipped = typing_only(tree)
  found = set()
  for node in ast.walk(tree):
    if id(node) in skipped:
      continue
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{module}: relative import; imports are absolute here'
      names = {f'{node.module}.{alias.name}' for alias in node.names}
      submodules = names & set(PATHS)
      found |= submodules
      if names - submodules:
        found.add(node.module)
  return found


def ours(module):
  return {name for name in imports(module) if belongs(name, ('gan', 'experiments'))} - {module}


def test_there_is_something_to_walk():
  assert {'gan.losses', 'gan.step', 'gan.data.order', 'gan.models'} <= set(PATHS)
  assert ours('gan.step') == {'gan.declare', 'gan.games', 'gan.games.cast', 'gan.rules', 'gan.state'}
  assert 'gan.models.layers' in ours('gan.models.dcgan')


@pytest.mark.parametrize('module', PATHS)
def test_imports_follow_the_table(module):
  rule = max((prefix for prefix in OURS if belongs(module, [prefix])), key=len, default=None)
  if rule:
    wrong = {name for name in ours(module) if not belongs(name, (*OURS[rule], *EVERYWHERE))}
    assert not wrong, f'{module} may import of ours only {OURS[rule]}, and imports {wrong}'
  if belongs(module, MATHEMATICS):
    wrong = {name for name in imports(module) if name.partition('.')[0] not in NUMERIC}
    assert not wrong, f'{module} is mathematics: jax, flax, optax, numpy and scipy; it imports {wrong}'


@pytest.mark.parametrize('module', PATHS)
def test_what_nobody_imports(module):
  found = imports(module)
  private = {name for name in found if name.startswith('jax._src')}
  assert not private, 'jax._src is private and changes without notice'
  source = PATHS[module].read_text()
  assert 'PRNGKey' not in source, 'keys are typed: jax.random.key'
  if module != 'gan.data.prepare':
    assert not {name for name in found if name.partition('.')[0] in ('tensorflow', 'tensorboard', 'clu')}
  if belongs(module, ['gan']):
    assert not {name for name in found if belongs(name, ['experiments'])}, 'experiments uses gan, never the other way'
  if module not in ENTRY_POINTS:
    wrong = found & {'gan.main', 'gan.sample', 'gan.export', 'gan.convert', 'gan.cli', 'gan.data.prepare',
                     'gan.dynamics.__main__'}
    assert not wrong, f'only an entry point imports {wrong}'
  if belongs(module, ['gan']) and module not in MAY_KNOW_CONFIGS:
    assert 'ml_collections' not in source, 'configuration stops at the builders'


def test_no_import_cycles():
  """A package's own modules may be imported by its __init__, which then counts as one of them."""
  graph = {module: ours(module) & set(PATHS) for module in PATHS}
  list(graphlib.TopologicalSorter(graph).static_order())

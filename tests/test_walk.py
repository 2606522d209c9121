"""The walk through README: which commands it takes, in which form, and what its page shows."""

import ast
import re
import subprocess
import sys

import pytest
from PIL import Image

from tests import markdown, walk
from tests.markdown import ROOT

PAGE = """\
Write `gan/losses/mine.py`:

```python
CONFIG = 'configs/toy.py:ring'
```

The line `'mine': LossPair(mine.disc, mine.gen),` and `python -m gan.main --config=configs/x.py`, then:

```python
not_a_file
```

```sh
make test && python -m gan.main --config=configs/toy.py   # A comment.
```
"""


@pytest.mark.parametrize(('shown', 'runs'), [
    ('make demo', 'make demo DEMO=configs/dcgan.py:runlocal'),
    ('python -m gan.main --config=configs/toy.py --config.seed=3',
     'python -m gan.main --config=configs/toy.py:runlocal --config.seed=3'),
    ('python -m gan.main --config=configs/toy.py:ring,loss=hinge --config.train.num_steps=2000',
     'python -m gan.main --config=configs/toy.py:ring,loss=hinge,runlocal'),
    ('python -m gan.main --config=configs/toy.py:runlocal', None),
    ('python -m gan.main --config=configs/toy.py --dry_run', None),
    ('python -m gan.sample --workdir=runs/dcgan', None),
    ('python -m gan.evaluate --workdir=runs/dcgan', 'python -m gan.evaluate --workdir=runs/dcgan --num_samples=1000'),
    ('python -m experiments.run --sweep=experiments/lucic.py',
     'python -m experiments.run --sweep=experiments/lucic.py --dry_run'),
    ('python -m experiments.run --sweep=mine.py', None)])
def test_a_command_runs_in_its_smallest_form(shown, runs):
  step = walk.command(shown.split())
  assert not step.left_out
  assert (step.shown, ' '.join(step.words)) == (shown, runs or shown)


@pytest.mark.parametrize('shown', [
    'make test', 'pip install jax[tpu]', 'git clone x', 'source .venv/bin/activate', 'ray up x.yaml',
    'python -m gan.main --config=configs/dcgan.py:cifar10', 'python -m gan.main --config=configs/toy.py --multihost',
    'python -m gan.data.prepare mnist', 'python -m gan.sample --workdir=<run>', 'python -m gan.sample ...'])
def test_a_command_is_left_out_with_a_reason(shown):
  step = walk.command(shown.split())
  assert step.left_out
  assert not step.words


def test_steps_are_in_the_order_of_the_page(tmp_path):
  (tmp_path / 'page.md').write_text(PAGE)
  file, entry, test, train, inline = walk.steps(tmp_path / 'page.md')
  assert (file.file, file.text) == ('gan/losses/mine.py', "CONFIG = 'configs/toy.py:ring,runlocal'\n")
  assert (entry.file, entry.text) == (walk.TABLE, "'mine': LossPair(mine.disc, mine.gen),")
  assert test.shown == 'make test'
  assert test.left_out
  assert train.words[-1] == '--config=configs/toy.py:runlocal'
  assert inline.shown == 'python -m gan.main --config=configs/x.py'
  assert inline.left_out


def test_every_command_of_readme_is_accounted_for():
  steps = walk.steps()
  shown = {step.shown for step in steps}
  assert {walk.command(words).shown for words in markdown.commands(ROOT / 'README.md')} <= shown
  assert [step.file for step in steps if step.file] == ['gan/losses/mine.py', walk.TABLE, 'mine.py']
  trained = [' '.join(step.words) for step in steps if step.words and step.words[-1].startswith('--config')]
  assert trained
  assert all('runlocal' in line for line in trained)


def test_the_table_of_losses_gets_its_entry():
  code = walk.with_entry((ROOT / walk.TABLE).read_text(), "'mine': LossPair(mine.disc, mine.gen),")
  tree = ast.parse(code).body
  assert any(isinstance(node, ast.ImportFrom) and 'mine' in {name.name for name in node.names} for node in tree)
  assert "'mine': LossPair(mine.disc, mine.gen),\n    'saturating'" in code
  with pytest.raises(ValueError, match='0 lines'):
    walk.with_entry('', "'mine': LossPair(mine.disc, mine.gen),")


def test_a_step_is_taken(tmp_path):
  """Its exit code, the end of its output, and only the pictures that it made."""
  clone = tmp_path / 'clone'
  clone.mkdir()
  (clone / 'old.png').write_bytes(b'old')
  code = ("import sys; open('new.png', 'w').write('x'); print('first\\n' * 50); print('10%\\r\\x1b[1m100%\\x1b[0m'); "
          'sys.exit(3)')
  result = walk.take(walk.Step('shown', (sys.executable, '-c', code)), clone, {}, tmp_path / 'log')
  assert (result.code, result.made) == (3, (clone / 'new.png',))
  assert result.output.endswith('first\n\n100%')
  assert len(result.output.splitlines()) == walk.LINES
  assert walk.take(walk.Step('shown', ('no-such-program',)), clone, {'PATH': ''}, tmp_path / 'log').code == 127


def test_the_page_holds_everything(tmp_path):
  folder = tmp_path / 'runs' / 'a'
  (folder / 'samples').mkdir(parents=True)
  for name in ('1', '2'):
    Image.new('L', (2, 2)).save(folder / 'samples' / f'{name}.png')   # Is in the page of its run.
    Image.new('L', (2, 2)).save(tmp_path / f'grid{name}.png')
  (folder / 'report.html').write_text('<p title="a">"run" & report</p>')
  made = tuple(walk.pictures_and_pages(tmp_path))
  results = [walk.Result(walk.Step('python -m one', ('python', '-m', 'one', '--tiny')), 0, 3.0, '<ok>', made),
             walk.Result(walk.Step('mine.py', file='mine.py', text='x = 1'), output='x = 1'),
             walk.Result(walk.Step('python -m two', ('python', '-m', 'two')), 7, 150.0, 'Traceback')]
  html = walk.sheet(results, [walk.Step('make test', left_out='too long')], tmp_path, {'commit': 'abc'})
  order = ['abc', '1 failed', 'python -m one', '3.0 s', 'exit code 0', 'python -m one --tiny', '&lt;ok&gt;',
           'data:image/png;base64,', 'grid2.png', 'runs/a/report.html',
           'srcdoc="&lt;p title=&#34;a&#34;&gt;&#34;run&#34; &amp; report', 'and 3 more', 'write mine.py',
           'python -m two', '2.5 min', 'exit code 7', 'Traceback', 'make test', 'too long']
  places = [html.index(order[0])]
  for text in order[1:]:
    places.append(html.index(text, places[-1]))
  assert 'samples/' not in html
  assert 'grid1.png' not in html
  assert not re.search(r'(?:src|href)="(?!data:)', html)   # No other file is needed.


def test_a_folder_that_is_not_empty_is_refused(tmp_path, capsys):
  (tmp_path / 'mine').touch()
  assert walk.main([str(tmp_path)]) == 1
  assert 'WALK=' in capsys.readouterr().err


def test_a_walk_fails_if_a_command_fails(tmp_path, monkeypatch):
  """It goes on after the failure; the page has all steps, and the checkout stays as it was."""
  checkout, folder = tmp_path / 'checkout', tmp_path / 'walk'
  checkout.mkdir()
  (checkout / 'README.md').write_text(
      "```sh\npython3 -c 'open(7777)'\npython3 -c 'import os; print(os.environ[\"HOME\"], os.getcwd())'\n```\n")
  for arguments in (['init', '-q'], ['add', '.'],
                    ['-c', 'user.name=me', '-c', 'user.email=me@example.org', 'commit', '-qm', 'A title']):
    subprocess.run(['git', *arguments], cwd=checkout, check=True)
  monkeypatch.setattr(walk, 'ROOT', checkout)
  assert walk.main([str(folder)]) == 1
  html = (folder / 'walk.html').read_text()
  assert all(text in html for text in ('A title', '1 failed', 'OSError', 'exit code 0'))
  assert f'{folder / "home"} {folder / "clone"}' in html
  assert sorted(path.name for path in checkout.iterdir()) == ['.git', 'README.md']

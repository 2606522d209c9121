"""The Ray executor on a real cluster of two nodes on this machine, a worker killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.executors import population_dir
from gan.population.store import Store
from tests import runs
from tests.experiments.test_run import without_clock
from tests.xla_flags import QUICK

pytest.importorskip('ray', reason='ray is absent: see requirements-ray.txt')
# Populations of one member each: what is tested is who trains them, not what they are.
SWEEP = '''
from experiments.sweep import *
CONFIG = 'configs/toy.py:runlocal'
def sweep():
  return product(fix({{'train.num_steps': 60, 'train.save_every': 10, 'train.log_every': 10, 'train.eval_every': 30,
                      'train.sample_every': 60}}), param('train.disc_steps', range(1, {num} + 1)))
'''
# In a process of its own: the cluster is started there, and with it ends.
DRIVER = '''
import os, sys
os.environ['RAY_USAGE_STATS_ENABLED'] = '0'
from ray.cluster_utils import Cluster
cluster = Cluster()
for _ in range(2):
  cluster.add_node(num_cpus=1, include_dashboard=False)
try:
  import ray
  import runpy
  sys.argv = ['experiments.run', *sys.argv[1:], '--executor=ray', f'--address={cluster.address}']
  runpy.run_module('experiments.run', run_name='__main__', alter_sys=True)
finally:
  ray.shutdown()
  cluster.shutdown()
'''


def workers():
  """Process ids of Ray workers that are training a population."""
  found = []
  for entry in Path('/proc').glob('[0-9]*/cmdline'):
    try:
      if entry.read_bytes().startswith(b'ray::') and b'_task' in entry.read_bytes():
        found.append(int(entry.parent.name))
    except OSError:
      continue  # It has ended meanwhile.
  return found


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='looks for workers in /proc')
@pytest.mark.parametrize('num_populations', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_lost_worker_is_replaced_and_the_table_is_the_same(tmp_path, num_populations):
  sweep, local, cluster = tmp_path / 'tiny.py', tmp_path / 'local', tmp_path / 'cluster'
  sweep.write_text(SWEEP.format(num=num_populations))
  env = os.environ | {'XLA_FLAGS': f'{QUICK} --xla_force_host_platform_device_count=1', 'PYTHONPATH': str(runs.ROOT),
                      'RAY_worker_niceness': '0'}  # Else its workers starve beside whatever tests run meanwhile.
  command = [sys.executable, '-c', DRIVER, f'--sweep={sweep}', f'--workdir={cluster}', '--deterministic']
  process = subprocess.Popen(command, cwd=runs.ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
  deadline, killed = time.monotonic() + 240, 0
  while process.poll() is None and time.monotonic() < deadline:
    if not killed and any(cluster.glob('populations/*/metrics/*.jsonl')):
      for pid in workers()[:1]:
        os.kill(pid, signal.SIGKILL)
        killed += 1
    time.sleep(0.01)
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 0, output
  assert killed == 1, output
  code, _, stderr = runs.run('experiments.run', f'--sweep={sweep}', f'--workdir={local}')
  assert code == 0, stderr
  assert without_clock(cluster) == without_clock(local)
  for workdir, deterministic in ((cluster, True), (local, False)):  # Workers are asked, too.
    assert Store(population_dir(workdir, '000')).read('environment.json')['deterministic'] == deterministic

"""ops.moments(synchronized=True) over the replicas of a distributed run, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

TENSORFLOW = """
import numpy as np
import tensorflow as tf
from kcore import backends, ops

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.random.default_rng(0).normal(3.0, 2.0, (8, 3)).astype("float32")
parts = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant(np.split(x, 2)[context.replica_id_in_sync_group])
)

@tf.function
def step(part):
    with backends.use("tensorflow"):
        return ops.moments(part, [0], synchronized=True)

for m, v in zip(*(strategy.experimental_local_results(r) for r in strategy.run(step, (parts,)))):
    np.testing.assert_allclose(m, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(v, x.var(0), rtol=1e-6)
print("done")
"""

TORCH = """
import sys
import numpy as np
import torch
from kcore import backends, ops

rank, port = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
x = np.random.default_rng(0).normal(3.0, 2.0, (8, 3))
part = torch.tensor(np.split(x, 2)[rank], requires_grad=True)
with backends.use("torch"):
    m, v = ops.moments(part, [0], synchronized=True)
np.testing.assert_allclose(m.detach(), x.mean(0))
np.testing.assert_allclose(v.detach(), x.var(0))
v.sum().backward()
# Both processes add their losses up: d(2 sum var)/dx
np.testing.assert_allclose(part.grad, 2 * 2 * (np.split(x, 2)[rank] - x.mean(0)) / 8)
print("done")
"""


@pytest.mark.slow
def test_replicas_of_a_tensorflow_strategy_share_their_moments():
    pytest.importorskip("tensorflow")
    done = subprocess.run([sys.executable, "-c", TENSORFLOW], capture_output=True, text=True, timeout=300)
    assert done.stdout.endswith("done\n"), done.stderr


@pytest.mark.slow
def test_processes_of_a_torch_group_share_their_moments():
    pytest.importorskip("torch")
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", TORCH, str(rank), port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    for run in runs:
        out, err = run.communicate(timeout=300)
        assert out.endswith("done\n"), err

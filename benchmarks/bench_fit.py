"""`fit` of a small MLP (784-128-10, batch 32, Adam, float32): kcore and Keras on each backend.

python benchmarks/bench_fit.py              # the table, subjects taking turns, one thread
pytest benchmarks/bench_fit.py              # with pytest-benchmark's statistics
"""

from __future__ import annotations

import sys

import pytest
from workers import SUBJECTS, Worker, take_turns

SAMPLES = 6400
PROGRAM = f"""
generator = np.random.default_rng(0)
x = generator.normal(size=({SAMPLES}, 784)).astype("float32")
y = generator.integers(0, 10, {SAMPLES}).astype("int32")
model = keras.Sequential([
    keras.Input((784,)), keras.layers.Dense(128, activation="relu"), keras.layers.Dense(10, activation="softmax")
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
def run():
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
"""


@pytest.mark.parametrize("subject", SUBJECTS)
def test_fit_mlp(benchmark, subject):
    worker = Worker(subject, PROGRAM)
    worker.run()
    benchmark.group = "fit MLP 784-128-10, batch 32"
    benchmark.pedantic(worker.run, rounds=5)
    benchmark.extra_info["samples_per_second"] = SAMPLES / benchmark.stats.stats.min
    worker.close()


def main() -> None:
    best = take_turns(PROGRAM, SUBJECTS, rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 8)
    print(f"{'subject':20} {'samples/s':>10}  kcore : Keras")
    for subject, seconds in best.items():
        library, backend = subject.split("-")
        peer = "keras-jax" if backend == "reference" else f"keras-{backend}"
        ratio = f"{best[peer] / seconds:6.2f}  ({peer})" if library == "kcore" else ""
        print(f"{subject:20} {SAMPLES / seconds:10.0f}  {ratio}")


if __name__ == "__main__":
    main()

"""kcore beside its peers: rows, and what runs, compares and shows them.

A family of rows is a module `bench_<family>.py` with a list ROWS; `rows.py` says what a row is and
`peers.py` how the libraries are called. `kcore bench` runs rows with the peers that are installed, in
turns (`runner.py`, `worker.py`, `measure.py`), writes and compares results (`results.py`,
`comparison.py`) and makes the tables of docs/performance.md (`tables.py`). `pytest benchmarks` runs the
same rows under pytest-benchmark, one benchmark for each row and peer.

Imports within this package are relative: it is `benchmarks` in a checkout and `kcore.benchmarks` where
kcore is installed. Only modules of this package may import frameworks beside kcore's backends.
"""

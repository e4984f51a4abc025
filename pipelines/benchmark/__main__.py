"""Compares the operators with every installed peer, in speed, memory and accuracy.

    python -m pipelines.benchmark                  # half an hour
    python -m pipelines.benchmark --quick          # two minutes
    python -m pipelines.benchmark --sections=operator --sizes=64x36 --iterations=20
    pip install -e '.[bench]'                      # the peers that pip can install

Each peer has a process, one of which works at a time, and all run on the processor. For
each case every peer compiles and warms up; then the peers take turns, a short burst each,
`--repeats` times. Every result is compared with a float64 reference; a result that is off
by more than 1e-3 is marked and is not compared in speed. The program leaves
`benchmark.json` and `benchmark.png` in the run directory.

Sections: `operator`, forward and with the gradient; `scaling`, the operator as N grows;
`accuracy` over temperatures, not timed; `solver`, on the tight instance of Weed (2018),
theorem 2; `matching`, on random logits and on those of the network of Mena et al. (2018),
which is trained for it; `serving`, exported solvers through TensorFlow's C API with XLA
disabled, on random logits, on those of a trained network of context, and
`savedmodels/jigsaw_mnist_3x3` beside its matching alone (of random logits); `shapes`, the
operator and the matching of rectangles and of ragged sets, whose masks tell their sizes,
and the operator with masses of rows and columns, with balanced experts, and with dustbins;
`eager`, calls of every size from 5 to 24, one after the other, by processes that are new;
`large`, the operator of single matrices of 512 to 2048 items; `spread`, the operator on
logits as far apart as those of trained networks.

`--scaling` is the same as `python -m pipelines.training_cost`.
"""

from absl import flags

from pipelines.benchmark.config import BenchmarkConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Measures all cases that the settings ask for.

    Args:
        config: `BenchmarkConfig`.
        explicit_names: The names of the settings that the command line sets.
    """
    from pipelines.benchmark import study

    config = config.completed(explicit_names)
    if config.scaling:
        return study.run_training_cost(config)
    config.check(explicit_names)
    study.run(config)


if __name__ == "__main__":
    program.run(main, BenchmarkConfig(), flags.FLAGS)

"""The operators against every peer that is installed, in speed, memory and accuracy.

    python -m pipelines.benchmark                  # half an hour
    python -m pipelines.benchmark --quick          # two minutes
    python -m pipelines.benchmark --sections=operator --sizes=64x36 --iterations=20
    pip install -e '.[bench]'                      # the peers that pip can install

One process per peer, one at work at a time, all on the processor: for each case every
peer compiles and warms up, then short bursts go round the peers `--repeats` times.
Every result is compared with a float64 reference; a result that is further off than
1e-3 is marked, and beats nobody. Leaves `benchmark.json` and `benchmark.png` in the run
directory.

Sections: `operator`, forward and with the gradient; `scaling`, the same as N grows;
`accuracy` over temperatures, not timed; `solver`, on the tight instance of Weed (2018),
theorem 2; `matching`, on random logits and those of the network of Mena et al. (2018),
trained for it; `serving`, exported solvers through TensorFlow's C API with XLA
disabled, on random logits and those of a trained network of context, and
`savedmodels/jigsaw_mnist_3x3` beside its matching alone (of random logits).

`--scaling` is the same as `python -m pipelines.training_cost`.
"""

from absl import flags

from pipelines.benchmark.config import BenchmarkConfig
from pipelines.shared import program


def main(config, explicit_names=frozenset()):
    """Measures.

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

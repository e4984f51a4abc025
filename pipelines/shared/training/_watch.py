"""A process that ends another one, started by `strategy`, whose peers do not come.

    python -m pipelines.shared.training._watch TIMEOUT PROCESS ADDRESS...

It ends itself once its standard input is closed.
"""

import os
import select
import signal
import sys

from pipelines.shared import network


def main(timeout, process, *addresses):
    """Waits; then names the addresses without an answer, and kills the process."""
    if select.select([sys.stdin], [], [], float(timeout))[0]:
        return
    missing = []
    for address in addresses:
        try:
            network.connect(*network.host_and_port(address), 2)
        except (OSError, ValueError):
            missing.append(address)
    print(
        f"error: Not all workers came within --startup_timeout={timeout} seconds. "
        f"Without an answer: {', '.join(missing) or 'none, they wait for others'}",
        file=sys.stderr,
        flush=True,
    )
    os.kill(int(process), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])

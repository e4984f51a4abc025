"""Ends a process whose peers do not come: started by `strategy` as a script.

    python -S _watch.py TIMEOUT PROCESS ADDRESS...

Ends itself once its standard input is closed.
"""

import os
import select
import signal
import socket
import sys


def main(timeout, process, *addresses):
    """Waits; then says who is missing, and kills the process."""
    if select.select([sys.stdin], [], [], float(timeout))[0]:
        return
    missing = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), 2).close()
        except OSError:
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

"""Ports and addresses: is a port free, and does anybody listen at an address?"""

import socket
import threading


def host_and_port(address):
    """Splits `host:port`, `[host]:port` or `grpc://host:port`.

    Returns:
        The host, a string, and the port, an int.

    Raises:
        ValueError: If the address is of another form.
    """
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    number = int(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"A port is at most 65535. Received: {number}")
    return host.strip("[]"), number


def connect(host, port, seconds):
    """Opens a connection and closes it; raises OSError if nobody listens there."""
    socket.create_connection((host, port), seconds).close()


def is_reachable(host, port, seconds):
    """Whether a connection opens within so many seconds, looking up the name included."""
    opened = threading.Event()

    def attempt():
        try:
            connect(host, port, seconds)
            opened.set()
        except OSError:
            pass

    # A thread does it, because looking up the name has no time limit of its own.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return opened.is_set()


def check_free(port):
    """Raises OSError if a port of this machine is taken; 0 never is."""
    with socket.socket() as own:
        # A connection that only lingers after its end does not take the port.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind(("", port))


def free_ports(count):
    """A list of different ports of this machine at which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

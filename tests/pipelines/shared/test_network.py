"""Ports and addresses on loopback."""

import socket

import pytest

from pipelines.shared import network


@pytest.fixture
def taken():
    """A port that somebody listens at."""
    with socket.socket() as own:
        own.bind(("", 0))
        own.listen()
        yield own.getsockname()[1]


@pytest.mark.parametrize(
    "address, parts",
    [
        ("localhost:80", ("localhost", 80)),
        ("grpc://a.b:5000", ("a.b", 5000)),
        ("grpc://[::1]:5000", ("::1", 5000)),
    ],
)
def test_an_address_has_a_host_and_a_port(address, parts):
    assert network.host_and_port(address) == parts


@pytest.mark.parametrize("address", ["localhost", "a:b", "a:65536", "a:-1", ""])
def test_what_is_no_address_is_an_error(address):
    with pytest.raises(ValueError):
        network.host_and_port(address)


def test_a_port_that_is_taken_is_not_free(taken):
    with pytest.raises(OSError):
        network.check_free(taken)
    network.check_free(0)


def test_somebody_listens_or_not(taken):
    network.connect("localhost", taken, 5)
    assert network.is_reachable("localhost", taken, 5)
    (port,) = network.free_ports(1)
    with pytest.raises(ConnectionError):
        network.connect("localhost", port, 5)
    assert not network.is_reachable("localhost", port, 5)


def test_free_ports_are_different():
    ports = network.free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        network.check_free(port)

"""What the proxy does to connections: the tests of faults rely on it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest
from proxy import Proxy
from waiting import until


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back whatever it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(1024):
                    client.sendall(data)
            except ConnectionError:
                pass

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            answer(client)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=20)
    client.sendall(b"hello")
    assert client.recv(5) == b"hello"
    return client


def silent(client: socket.socket) -> bool:
    """Nothing comes for a while in which much could have come over loopback."""
    return not select.select([client], [], [], 0.05)[0]


def test_it_passes_on_both_ways_until_the_client_ends_it(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"x" * 200_000)
        client.shutdown(socket.SHUT_WR)
        got = b"".join(iter(lambda: client.recv(65536), b""))
        assert got == b"x" * 200_000
    assert proxy.accepted == 1


def test_bytes_that_were_held_come_when_it_flows_again(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.stall()
        client.sendall(b"later")
        assert silent(client)
        proxy.flow()
        assert client.recv(5) == b"later"


def test_an_answer_can_be_lost_whose_request_arrived(proxy: Proxy, echo: int) -> None:
    with connect(proxy) as client:
        proxy.stall(requests=False)
        client.sendall(b"done?")
        assert silent(client)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(5)


def test_a_cut_resets_all_connections_and_new_ones_are_taken(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(proxy):
        assert proxy.accepted == 2


def test_it_refuses_new_connections_and_keeps_the_old_ones(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.port))
        client.sendall(b"still")
        assert client.recv(5) == b"still"
        with pytest.raises(OSError, match="in use"), socket.socket() as another:
            another.bind(("127.0.0.1", proxy.port))  # nobody else is reached there meanwhile
    proxy.accept()
    connect(proxy).close()


def test_a_server_that_is_gone_ends_the_connection(proxy: Proxy) -> None:
    with Proxy(1) as nowhere, socket.create_connection(("127.0.0.1", nowhere.port), timeout=20) as client:
        assert client.recv(1) == b""
        assert until(lambda: nowhere.accepted) == 1

"""The cluster that RAY_ADDRESS names: who answers there, and who does not."""

import os
import socket
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from command_runs import run
from ray_head import ray_head
from ray_here import a_home, clean_environment

from xmrc.errors import ResourceError
from xmrc.search.cluster import ray_cluster

HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextmanager
def a_listener(answer):
    """Takes connections and says `answer` to each; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.faults
@pytest.mark.parametrize("answer", [b"", b"220 mail.example.org ESMTP\r\n", HTTP])
def test_what_is_no_ray_is_refused_in_seconds(answer, monkeypatch, capfd):
    with a_listener(answer) as address:
        monkeypatch.setenv("RAY_ADDRESS", address)
        began = time.monotonic()
        with pytest.raises(ResourceError) as refused, ray_cluster():
            pytest.fail("nobody answers")
    assert time.monotonic() - began < 15
    expected = f"RAY_ADDRESS: a Ray cluster must answer at {address}: what listens there"
    assert str(refused.value).startswith(expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("address", ["nobody", "127.0.0.1", "127.0.0.1:1"])
def test_an_address_where_nobody_is_is_refused_at_once(address, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ResourceError, match=f"^RAY_ADDRESS: .* at {address}: "), ray_cluster():
        pytest.fail("nobody answers")


@pytest.mark.faults
def test_the_users_own_token_and_environment_are_as_they_were(monkeypatch, tmp_path):
    """What a cluster of this machine alone needs is gone with it."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for key, value in clean_environment(tmp_path).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "e" * 64)
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    tokens = []
    for _ in range(2):
        with ray_cluster():
            tokens.append(os.environ["RAY_AUTH_TOKEN"])
            assert os.environ["RAY_AUTH_MODE"] == "token"
        assert os.environ["RAY_AUTH_TOKEN"] == "e" * 64
        assert "GLOO_SOCKET_IFNAME" not in os.environ
    assert len({*tokens, "e" * 64}) == 3, "another one each time"
    assert not (tmp_path / ".ray").exists()


WHO = """
import sys, ray
from ray.util.state import list_nodes
from xmrc.search.cluster import ray_cluster

with ray_cluster():
    seen = ray.get(ray.remote(lambda: [node.node_id for node in list_nodes()]).remote())
    print(*seen, *[node["NodeID"] for node in ray.nodes()])
"""


@pytest.mark.faults
def test_workers_ask_their_own_cluster_where_there_are_two():
    """As what frees a stopped group does: else its workers would be kept for ever."""
    with a_home() as home, a_home() as other, ray_head(home, home) as head, ray_head(other, other):
        mine, named = (run([sys.executable, "-c", WHO], home, **more) for more in ({}, head.joined))
        assert (mine.code, named.code) == (0, 0), mine.err + named.err
        nodes = [done.out.split() for done in (mine, named)]
        assert all(len(set(ids)) == 1 and len(ids) == 2 for ids in nodes), nodes
        assert nodes[0] != nodes[1]

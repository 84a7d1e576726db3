"""The cluster that RAY_ADDRESS names: who answers there, and who does not."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest

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
    from ray_here import clean_environment

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

"""The Ray cluster. In: the environment. Out: a connection, and readers that answer on its workers.

`RAY_ADDRESS` (also set inside a submitted job) names a running cluster; without it one is started
on this machine and stopped again. Whoever reaches a Ray cluster runs code as its user, so that one
listens on the loopback interface alone, and asks for a token that is nowhere but in the environment
of its processes.
"""

import contextlib
import ipaddress
import logging
import os
import secrets
import socket
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import grpc
import ray
from ray._private import ray_constants, services
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xmrc.data.examples import Example
from xmrc.errors import ResourceError, XmrcError
from xmrc.learning.reader import ReadingJob, predictions_from, read_share
from xmrc.learning.worker import WorkerResources
from xmrc.scoring.predictions import Prediction
from xmrc.search.machine import usable_cpus, usable_memory
from xmrc.tracking.interrupts import own_handler

_Share = TypeVar("_Share")

_WORKER_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # the default of 2 s also slows every report down
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and MLflow keep what trials report
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would end the search as if all trials were done
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer reporter prints its box even at verbosity 0
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as Ray will do it; spares a warning per process
}
_SECONDS_TO_ANSWER = 5.0
_LOOPBACK = "127.0.0.1"
_LOOPBACK_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"


@contextlib.contextmanager
def ray_cluster() -> Iterator[None]:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine.

    Errors: ResourceError if the named cluster does not answer.
    """
    if ray.is_initialized():
        yield
        return
    for name, value in _WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _connected() if named_cluster() else _started():
        # What fails is in the ledger with its cause; Ray would print its traceback too.
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            ray.shutdown()


def named_cluster() -> str | None:
    """The running cluster that RAY_ADDRESS names; None: one of this machine's own is started."""
    address = os.environ.get("RAY_ADDRESS")
    return None if address in ("", "local") else address


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """A connection to the cluster that RAY_ADDRESS names."""
    address = named_cluster()
    assert address is not None
    try:
        _knock(address)
        with own_handler():
            ray.init(
                address=address,
                runtime_env={"env_vars": _known_to_workers(address)},
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ResourceError(
            f"RAY_ADDRESS: a Ray cluster must answer at {address}: {_first_line(error)}"
        ) from error
    yield


def _known_to_workers(address: str) -> dict[str, str]:
    """Where their cluster is, for what looks around for it otherwise (see `_closed_to_others`).

    The loopback address is another machine's on each node. A client of Ray (ray://) is not told.
    """
    if "://" in address:
        return {}
    found = services.canonicalize_bootstrap_address(address)
    return {} if found is None else {"RAY_ADDRESS": found}


def _knock(address: str) -> None:
    """Raise what the network raises: Ray keeps asking whatever is there for minutes, aloud."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    if not parts.hostname or parts.port is None:
        raise ValueError("the address must be HOST:PORT")
    socket.create_connection((parts.hostname, parts.port), _SECONDS_TO_ANSWER).close()
    if "RAY_USE_TLS" in os.environ:  # its certificates are Ray's business
        return
    direct = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"{parts.hostname}:{parts.port}", direct) as channel:
        try:
            grpc.channel_ready_future(channel).result(_SECONDS_TO_ANSWER)
        except grpc.FutureTimeoutError as error:
            raise ValueError("what listens there does not speak as Ray does") from error


@contextlib.contextmanager
def _started() -> Iterator[None]:
    """A cluster of this machine's own, whatever clusters others have started on it."""
    port = _free_port()
    with _closed_to_others(port):
        try:
            with own_handler():
                ray.init(
                    address="local",
                    include_dashboard=True,  # frees the resources of trials that are stopped early
                    dashboard_host=_LOOPBACK,
                    dashboard_port=port,
                    num_cpus=usable_cpus(),
                    _memory=usable_memory(),
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                )
        except Exception as error:  # where a node is slow to start Ray raises a bare one
            raise ResourceError(f"Ray must start on this machine: {_first_line(error)}") from error
        address = ray.util.get_node_ip_address()
        if not ipaddress.ip_address(address).is_loopback:
            ray.shutdown()
            raise ResourceError(f"Ray must listen on this machine alone, got {address}")
        yield


@contextlib.contextmanager
def _closed_to_others(dashboard: int) -> Iterator[None]:
    """The environment of a cluster that is this process's alone, and put back behind it.

    A token of the user's own, in the environment or at home, is neither used nor touched.
    """
    ours = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Ray listens everywhere, and replaces a loopback address by the machine's, unless it is
        # told that there are no clusters; what it is called is because of where that is so.
        ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0",
        # Who frees what a stopped group held looks for its cluster, and gives up if it sees two.
        "RAY_API_SERVER_ADDRESS": f"http://{_LOOPBACK}:{dashboard}",
        "GLOO_SOCKET_IFNAME": _LOOPBACK_INTERFACE,
        "NCCL_SOCKET_IFNAME": _LOOPBACK_INTERFACE,
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    clusters, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    _forget_token()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        _forget_token()


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as free:
        return int(free.getsockname()[1])


def _forget_token() -> None:
    """Ray reads mode and token once a process, and here they change."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_shared(root: Path) -> None:
    """Refuse a storage folder that some node of the cluster does not see.

    Errors: ResourceError that names the folder and the node.
    """
    probe = root / f".shared-{uuid.uuid4().hex}"
    probe.touch()
    try:
        see = ray.remote(num_cpus=0)(os.path.exists)
        nodes = [node for node in ray.nodes() if node["Alive"]]
        sights = [see.options(scheduling_strategy=_on(node)).remote(str(probe)) for node in nodes]
        for node, seen in zip(nodes, ray.get(sights), strict=True):
            if not seen:
                raise ResourceError(
                    f"storage: the folder must be shared by every node of the cluster, but "
                    f"{root} is not seen on {node['NodeManagerHostname']}"
                )
    finally:
        probe.unlink()


def _on(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)


def predict_on_cluster(
    job: ReadingJob, examples: Sequence[Example], resources: WorkerResources
) -> list[Prediction]:
    """Answer all examples of a reading job, its windows shared out over the workers."""
    ranks = range(resources.workers)
    shares = share_out(read_share, [(job, rank, resources.workers) for rank in ranks], resources)
    return predictions_from(job, examples, shares)


def share_out(
    work: Callable[..., _Share], parts: Sequence[tuple[Any, ...]], resources: WorkerResources
) -> list[_Share]:
    """Call `work` with the arguments of each part, each call on a worker of one trial.

    Errors: the XmrcError of a worker, as it would be raised here.
    """
    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(work)
    try:
        return list(ray.get([remote.remote(*arguments) for arguments in parts]))
    except RayTaskError as error:
        if isinstance(error.cause, XmrcError):
            raise error.cause from error
        raise

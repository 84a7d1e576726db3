"""The Ray cluster. In: the environment. Out: a connection, and readers that answer on its workers.

`RAY_ADDRESS` (also set inside a submitted job) names a running cluster; without it one is started
on this machine and stopped again.
"""

import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xmrc.data.examples import Example
from xmrc.errors import ResourceError, XmrcError
from xmrc.learning.reader import ReadingJob, predictions_from, read_share
from xmrc.learning.worker import WorkerResources
from xmrc.scoring.predictions import Prediction

_Share = TypeVar("_Share")

WORKER_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # the default of 2 s also slows every report down
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and MLflow keep what trials report
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # a killed search loses no more than this of its trials
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would end the search as if all trials were done
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer reporter prints its box even at verbosity 0
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # as Ray will do it; spares a warning per process
}
_SECONDS_TO_ANSWER = 5.0
LOCAL_ENVIRONMENT = {
    # A token would be left in the home folder and lock later `ray job submit`s out.
    "RAY_AUTH_MODE": "disabled",
}


@contextlib.contextmanager
def ray_cluster() -> Iterator[None]:
    """Connect to the cluster of `RAY_ADDRESS`, or start one on this machine.

    Errors: ResourceError if the named cluster does not answer.
    """
    if ray.is_initialized():
        yield
        return
    address = named_cluster()
    environment = {**WORKER_ENVIRONMENT, **({} if address else LOCAL_ENVIRONMENT)}
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    try:
        if address:
            _knock(address)
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        else:
            _start_here()
    except (OSError, RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()[0]
        raise ResourceError(
            f"RAY_ADDRESS: a Ray cluster must answer at {address}: {cause}"
            if address
            else f"Ray must start on this machine: {cause}"
        ) from error
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


def _knock(address: str) -> None:
    """Raise what the network raises: Ray keeps asking a silent address for a quarter of an hour."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    if not parts.hostname or parts.port is None:
        raise ValueError("the address must be HOST:PORT")
    socket.create_connection((parts.hostname, parts.port), _SECONDS_TO_ANSWER).close()


def _start_here() -> None:
    """Start Ray on this machine, whatever clusters others have started on it.

    Errors: RuntimeError, whatever Ray raises: where a node is slow to start it is a bare Exception.
    """
    try:
        ray.init(
            address="local",
            include_dashboard=True,  # frees the resources of trials that are stopped early
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except Exception as error:
        raise RuntimeError(str(error)) from error


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

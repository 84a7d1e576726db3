"""How many trials fit, against slow packing with exact fractions."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xmrc.errors import ResourceError
from xmrc.search import resources
from xmrc.search.needs import MemoryNeeds
from xmrc.search.resources import (
    DRIVER_CPUS,
    Fit,
    Node,
    fit_trials,
    room,
    this_machine,
    trial_request,
)
from xmrc.settings import ResourceSettings

GIB = 2**30
NODES = st.lists(
    st.builds(
        Node,
        cpus=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 16.0]),
        gpus=st.sampled_from([0.0, 0.0, 1.0, 4.0]),
        memory=st.sampled_from([GIB, 5 * GIB, 64 * GIB, inf]),
    ),
    min_size=1,
    max_size=5,
)
ASKED = st.builds(
    ResourceSettings,
    workers=st.integers(1, 5),
    cpus_per_worker=st.sampled_from(["auto", 0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0]),
    gpus_per_worker=st.sampled_from(["auto", 0.0, 0.4, 0.5, 0.6, 1.0, 2.0]),
)
MEMORY = st.sampled_from([0, GIB // 2, 3 * GIB]).map(lambda host: MemoryNeeds(host, 0))


def exact(number):
    return Fraction(str(number))


def put_in_first(rooms, cpus, gpus, memory=0):
    """The slow way: take from the first node that has it; whether there was one.

    Less than one GPU is a part of a single one, more are whole ones.
    """
    for left in rooms:
        if left["CPU"] < cpus or left["memory"] < memory or not take_gpus(left["GPU"], gpus):
            continue
        left["CPU"] -= cpus
        left["memory"] -= memory
        return True
    return False


def take_gpus(left, gpus):
    """Take them from a node's, of each of which `left` is left; whether that could be done."""
    if gpus < 1:
        places = [number for number, part in enumerate(left) if part >= gpus][:1]
        found, taken = gpus == 0 or bool(places), gpus
    else:
        places = [number for number, part in enumerate(left) if part == 1][: int(gpus)]
        found, taken = len(places) == gpus, 1
    for number in places if found else ():
        left[number] -= taken
    return found


def rooms_of(nodes):
    return [
        {"CPU": exact(node.cpus), "GPU": [Fraction(1)] * int(node.gpus), "memory": node.memory}
        for node in nodes
    ]


def whole_workers(nodes, cpus, gpus, memory):
    """As many workers as go into the nodes, one after the other."""
    rooms, count = rooms_of(nodes), 0
    while put_in_first(rooms, exact(cpus), exact(gpus), memory):
        count += 1
    return count


def resolved(asked, nodes):
    """What `auto` stands for: one CPU, and one GPU where there are any."""
    cpus = 1.0 if asked.cpus_per_worker == "auto" else asked.cpus_per_worker
    gpus = asked.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if any(node.gpus for node in nodes) else 0.0
    return cpus, gpus


@settings(deadline=None)
@given(asked=ASKED, nodes=NODES, needs=MEMORY)
def test_as_many_as_fit_and_never_more(asked, nodes, needs):
    cpus, gpus = resolved(asked, nodes)
    expected = whole_workers(nodes, cpus, gpus, needs.host) // asked.workers
    if expected == 0:
        with pytest.raises(ResourceError, match=r"^resources: one trial must fit: workers"):
            fit_trials(asked, nodes, needs)
        return
    fit = fit_trials(asked, nodes, needs)
    assert (fit.trial.workers, fit.trial.cpus, fit.trial.gpus) == (asked.workers, cpus, gpus)
    assert fit.at_once == expected


@settings(deadline=None)
@given(asked=ASKED, nodes=NODES, needs=MEMORY)
def test_drivers_and_workers_all_have_a_place_on_some_node(asked, nodes, needs):
    """Also with the drivers that trials of several workers have beside them: none starves."""
    try:
        fit = fit_trials(asked, nodes, needs)
    except ResourceError:
        assume(False)
    rooms, several = rooms_of(nodes), fit.trial.workers > 1
    request = trial_request(fit.trial)
    worker = exact(fit.trial.cpus) - (exact(DRIVER_CPUS) if several else 0)
    for _ in range(fit.at_once * (fit.trial.workers if several else 0)):
        assert put_in_first(rooms, worker, exact(fit.trial.gpus), fit.trial.memory)
    for _ in range(fit.at_once):  # the trial's own process, which is the worker where there is one
        gpus, memory = exact(request.get("GPU", 0)), request.get("memory", 0)
        assert put_in_first(rooms, exact(request["CPU"]), gpus, memory)


def test_two_workers_fill_two_cpus():
    fit = fit_trials(ResourceSettings(workers=2), [Node(2.0, 0.0)])
    assert fit.at_once == 1
    assert fit.describe() == "2 workers of 1 CPU; 1 trial at once"


def test_one_gpu_each_where_there_are_gpus():
    nodes = [Node(4.0, 0.0), Node(8.0, 2.0)]
    fit = fit_trials(ResourceSettings(), nodes)
    assert (fit.at_once, fit.trial.gpus) == (2, 1.0)
    assert fit.describe() == "1 worker of 1 CPU, 1 GPU; 2 trials at once"
    assert fit_trials(ResourceSettings(gpus_per_worker=0.0), nodes).at_once == 12


def test_memory_limits_how_many_run_at_once():
    """The sixteen readers of a machine with sixteen cores and room for three."""
    node = Node(16.0, 0.0, memory=32 * GIB)
    fit = fit_trials(ResourceSettings(), [node], MemoryNeeds(10 * GIB, 0))
    assert fit.describe() == "1 worker of 1 CPU, 10.0 GiB; 3 trials at once"
    assert fit_trials(ResourceSettings(), [node]).at_once == 16
    with pytest.raises(ResourceError) as refused:
        fit_trials(ResourceSettings(), [node], MemoryNeeds(40 * GIB, 0))
    text = str(refused.value)
    assert "each takes about 40.0 GiB of memory (resources.memory_per_worker)" in text
    assert "no node has more than 32.0 GiB" in text
    assert "\n" not in text


def test_parts_of_a_gpu_are_large_enough_for_its_memory():
    def gpus(asked, needed):
        node = Node(16.0, 2.0, gpu_memory=80 * GIB)
        fit = fit_trials(
            ResourceSettings(gpus_per_worker=asked), [node], MemoryNeeds(0, needed * GIB)
        )
        return fit.trial.gpus, fit.at_once

    assert gpus(0.25, 10) == (0.25, 8)
    assert gpus(0.25, 30) == (0.5, 4)
    assert gpus(0.5, 25) == (0.5, 4), "asked for more than it needs"
    assert gpus(0.25, 25) == (0.3333, 6)
    assert gpus(0.25, 90) == (1.0, 2)
    assert gpus(1.0, 90) == (1.0, 2), "a whole GPU is all that there is"
    assert fit_trials(ResourceSettings(gpus_per_worker=0.25), [Node(16.0, 2.0)]).at_once == 8


def test_more_than_a_gpu_are_whole_ones():
    with pytest.raises(ResourceError, match=r"^resources\.gpus_per_worker: must be a part of a"):
        fit_trials(ResourceSettings(gpus_per_worker=1.5), [Node(16.0, 4.0)])


def test_a_head_without_cpus_holds_nothing():
    nodes = [Node(0.0, 0.0), Node(4.0, 1.0), Node(4.0, 0.0)]
    assert fit_trials(ResourceSettings(), nodes).at_once == 1
    assert fit_trials(ResourceSettings(gpus_per_worker=0.0), nodes).at_once == 8


def test_there_is_room_on_the_nodes_of_the_moment(monkeypatch):
    node = Node(2.0, 0.0)
    fit = fit_trials(ResourceSettings(workers=2), [node])
    counts = []
    for nodes in ([node], [node] * 3, [], [Node(1.0, 0.0)]):
        monkeypatch.setattr(resources, "cluster_nodes", lambda nodes=nodes: nodes)
        counts.append(
            (room(fit, ResourceSettings(workers=2)), room(fit, ResourceSettings(workers=2, wait=5)))
        )
    assert counts == [(1, 2), (3, 4), (1, 1), (1, 1)], "one waits where nodes may still come"


def test_a_worker_is_never_split_over_nodes():
    with pytest.raises(ResourceError) as refused:
        fit_trials(ResourceSettings(cpus_per_worker=3.0), [Node(2.0, 0.0)] * 4)
    text = str(refused.value)
    assert "workers 1 with 3 CPUs and 0 GPUs each" in text
    assert "4 node(s) with 8 CPUs" in text
    assert "\n" not in text


def test_a_worker_beside_others_needs_more_than_the_driver():
    asked = ResourceSettings(workers=2, cpus_per_worker=DRIVER_CPUS)
    with pytest.raises(ResourceError, match=r"^resources\.cpus_per_worker: must be above 0\.01"):
        fit_trials(asked, [Node(2.0, 0.0)])
    assert fit_trials(ResourceSettings(cpus_per_worker=DRIVER_CPUS), [Node(1.0, 0.0)])


def test_threads_are_the_whole_cpus_of_a_worker():
    def threads(cpus):
        asked = ResourceSettings(cpus_per_worker=cpus)
        return fit_trials(asked, [Node(8.0, 0.0)]).trial.threads

    assert [threads(cpus) for cpus in (0.5, 1.0, 2.5, 4.0)] == [1, 1, 2, 4]


def test_this_machine_can_run_a_trial():
    (node,) = this_machine()
    assert node.cpus >= 1
    assert isinstance(fit_trials(ResourceSettings(), [node]), Fit)

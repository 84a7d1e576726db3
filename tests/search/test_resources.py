"""How many trials fit, against slow packing with exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xmrc.errors import ResourceError
from xmrc.search.resources import (
    DRIVER_CPUS,
    Fit,
    Node,
    fit_trials,
    this_machine,
    trial_request,
)
from xmrc.settings import ResourceSettings

NODES = st.lists(
    st.builds(
        Node,
        cpus=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 16.0]),
        gpus=st.sampled_from([0.0, 0.0, 1.0, 4.0]),
    ),
    min_size=1,
    max_size=5,
)
ASKED = st.builds(
    ResourceSettings,
    workers=st.integers(1, 5),
    cpus_per_worker=st.sampled_from(["auto", 0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0]),
    gpus_per_worker=st.sampled_from(["auto", 0.0, 0.5, 1.0, 2.0]),
)


def exact(number):
    return Fraction(str(number))


def put_in_first(rooms, cpus, gpus):
    """The slow way: take from the first node that has it; whether there was one."""
    for room in rooms:
        if room["CPU"] >= cpus and room["GPU"] >= gpus:
            room["CPU"] -= cpus
            room["GPU"] -= gpus
            return True
    return False


def rooms_of(nodes):
    return [{"CPU": exact(node.cpus), "GPU": exact(node.gpus)} for node in nodes]


def whole_workers(nodes, cpus, gpus):
    """As many workers as go into the nodes, one after the other."""
    rooms, count = rooms_of(nodes), 0
    while put_in_first(rooms, exact(cpus), exact(gpus)):
        count += 1
    return count


def resolved(asked, nodes):
    """What `auto` stands for: one CPU, and one GPU where there are any."""
    cpus = 1.0 if asked.cpus_per_worker == "auto" else asked.cpus_per_worker
    gpus = asked.gpus_per_worker
    if gpus == "auto":
        gpus = 1.0 if any(node.gpus for node in nodes) else 0.0
    return cpus, gpus


@given(asked=ASKED, nodes=NODES)
def test_as_many_as_fit_and_never_more(asked, nodes):
    cpus, gpus = resolved(asked, nodes)
    room = whole_workers(nodes, cpus, gpus) // asked.workers
    if room == 0:
        with pytest.raises(ResourceError, match=r"^resources: one trial must fit: workers"):
            fit_trials(asked, nodes)
        return
    fit = fit_trials(asked, nodes)
    assert (fit.trial.workers, fit.trial.cpus, fit.trial.gpus) == (asked.workers, cpus, gpus)
    assert fit.at_once == room


@given(asked=ASKED, nodes=NODES)
def test_drivers_and_workers_all_have_a_place_on_some_node(asked, nodes):
    """Also with the drivers that trials of several workers have beside them: none starves."""
    try:
        fit = fit_trials(asked, nodes)
    except ResourceError:
        assume(False)
    rooms, several = rooms_of(nodes), fit.trial.workers > 1
    request = trial_request(fit.trial)
    worker = exact(fit.trial.cpus) - (exact(DRIVER_CPUS) if several else 0)
    for _ in range(fit.at_once * (fit.trial.workers if several else 0)):
        assert put_in_first(rooms, worker, exact(fit.trial.gpus))
    for _ in range(fit.at_once):  # the trial's own process, which is the worker where there is one
        assert put_in_first(rooms, exact(request["CPU"]), exact(request.get("GPU", 0)))


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

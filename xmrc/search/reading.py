"""Reading a corpus on Ray workers. In: a checkpoint, examples. Out: predictions.

The model and the cache must lie where the workers of the cluster see them.
"""

from collections.abc import Sequence
from pathlib import Path

from xmrc.data.cache import Cache
from xmrc.data.examples import Example
from xmrc.data.frozen import freeze
from xmrc.learning.evaluation import ReadingJob
from xmrc.learning.reader import read_size
from xmrc.scoring.predictions import Prediction
from xmrc.search.cluster import predict_on_cluster, ray_cluster
from xmrc.search.resources import cluster_nodes, fit_trials
from xmrc.settings import ResourceSettings


def read_on_workers(
    model: Path, examples: Sequence[Example], cache: Cache, workers: int
) -> list[Prediction]:
    """Answer the examples, their windows shared out over `workers`.

    Errors: ResourceError if no cluster answers, or the workers do not fit into it.
    """
    with ray_cluster():
        resources = fit_trials(ResourceSettings(workers=workers), cluster_nodes()).trial
        job = ReadingJob(
            model=str(model.absolute()),
            examples=freeze(examples, cache),
            size=read_size(str(model)),
            precision="auto",
            cache=cache.root,
            threads=resources.threads,
        )
        return predict_on_cluster(job, examples, resources)

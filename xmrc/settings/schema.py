"""One file, one study: what is trained, searched, and where. In: plain values. Out: `Study`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from xmrc.credentials import shown_uri
from xmrc.settings.domains import Domain
from xmrc.settings.expected import System, by_system
from xmrc.settings.fields import (
    Count,
    Languages,
    NotNegative,
    Positive,
    Section,
    Seed,
    Text,
    each_once,
)
from xmrc.settings.objective import holds_objective
from xmrc.settings.sections import RunSettings
from xmrc.settings.wording import broken, rule

_Metric = Literal[
    "gxlt_f1",
    "gxlt_em",
    "gxlt_cross_f1",
    "gxlt_cross_em",
    "gxlt_micro_f1",
    "gxlt_micro_em",
    "xlt_f1",
    "xlt_em",
]
_Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
    rule("must be at most 100 letters, digits, '.', '_' or '-', the first a letter or digit"),
]
_Cpus = Annotated[Positive | Literal["auto"], rule("must be a number greater than 0, or auto")]
_Memory = Annotated[NotNegative | Literal["auto"], rule("must be a number of GiB, or auto")]
_Gpus = Annotated[NotNegative | Literal["auto"], rule("must be a number of at least 0, or auto")]


def _no_uri(storage: str) -> str:
    if "://" in storage:
        rule = (
            "must be a folder that all nodes share (NFS, EFS, Filestore, Azure Files); "
            "MLflow's server may keep its files in an object store"
        )
        raise broken("", rule, storage)
    return storage


_Storage = Annotated[Text, AfterValidator(_no_uri)]


def _without_deleted(space: Any) -> Any:
    """`data.ntl: null` takes a key out of the space, `space: null` all of them."""
    if not isinstance(space, dict):
        return {} if space is None else space
    return {key: domain for key, domain in space.items() if domain is not None}


class FinalSettings(Section):
    """A corpus that is scored once, after everything was chosen."""

    corpus: Text
    """A name of the catalogue, a path or a glob."""
    languages: Languages | None = None
    """Those that are scored; null: those of settings.data."""


def _named(final: Any) -> Any:
    """`mlqa/test` is short for `{corpus: mlqa/test}`."""
    return {"corpus": final} if isinstance(final, str) else final


_Final = Annotated[FinalSettings, BeforeValidator(_named)]


class ConfirmSettings(Section):
    """The best trials are trained again with other seeds, and the best mean wins."""

    top: Count = 3
    """Trials."""
    seeds: Count = 5
    """Trainings of each; a champion is beaten by at least 5."""


class SearchSettings(Section):
    """How trials are proposed, stopped and kept."""

    metric: _Metric = "gxlt_f1"
    """What the best trial is best in, 0 to 100, on settings.data.select."""
    trials: Count | None = None
    """How many; null: 40, or every point of a grid."""
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    """How values are proposed; grid: every point."""
    scheduler: Literal["asha", "none"] = "asha"
    """What stops a trial that is behind."""
    grace: Count = 1
    """Evaluations before ASHA may stop a trial."""
    reduction_factor: Annotated[float, Field(gt=1)] = 3
    """ASHA lets one in so many trials go on."""
    evaluate_every: Positive = 0.5
    """Epochs from one evaluation to the next; may be a fraction."""
    max_failures: Annotated[int, Field(ge=0)] = 1
    """Restarts of a trial whose process or node is lost; what would fail again is not repeated."""
    max_failed_trials: Annotated[int, Field(ge=0)] | None = None
    """Failed trials that a search may have and go on; null: a third of all."""
    keep: Count = 3
    """Best trials whose checkpoints stay on disk."""
    seed: Seed = 0
    """Of the proposals, and of the fresh seeds of a confirmation."""
    start_from: Annotated[tuple[Mapping[str, Any], ...], Field(strict=False)] = ()
    """Points of the space that are tried first, keys and values."""
    final: Annotated[tuple[_Final, ...], Field(strict=False)] = ()
    """Corpora that the winner and the base are scored on, once, at the very end."""
    confirm: ConfirmSettings | None = None
    """Train the best again with other seeds; null: the best trial wins."""

    @model_validator(mode="before")
    @classmethod
    def _one_mode(cls, written: Any) -> Any:
        if isinstance(written, dict) and "mode" in written:
            text = "is gone and must be left out: every metric is better when higher"
            raise broken("mode", text, written["mode"])
        return written

    @model_validator(mode="after")
    def _each_final_set_once(self) -> Self:
        names = [one.corpus for one in self.final]
        if len(set(names)) < len(names):
            raise broken("final", "must name each corpus once", names)
        return self

    @model_validator(mode="after")
    def _a_grid_starts_anywhere(self) -> Self:
        if self.sampler == "grid" and self.start_from:
            text = "must be empty where sampler is grid: every point is tried"
            raise broken("start_from", text, [dict(point) for point in self.start_from])
        return self


class PromotionSettings(Section):
    """What a confirmed winner must do to take the place of the registered champion."""

    on: Text | None = None
    """Corpus of the comparison; null: 30 % of the selection set's question ids, kept aside."""
    max_language_drop: NotNegative = 1.0
    """Points of F1 that a context language may lose for sure."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Error of the first kind of the tests over seeds."""


class ResourceSettings(Section):
    """What one trial takes."""

    workers: Count = 1
    """Processes that share each batch."""
    cpus_per_worker: _Cpus = "auto"
    """Cores of each; auto: 1."""
    gpus_per_worker: _Gpus = "auto"
    """GPUs of each, may be a fraction; auto: 1 where there are any when it starts, else none."""
    memory_per_worker: _Memory = "auto"
    """GiB of each; auto: estimated from encoder, batch and optimiser; 0: not looked at."""
    wait: NotNegative = 0.0
    """Minutes to wait at the start, while no trial fits, for nodes that join the cluster."""


class TrackingSettings(Section):
    """Where MLflow keeps runs and models, and which questions are looked at closely."""

    uri: Annotated[Text, AfterValidator(shown_uri)] | None = None
    """Where MLflow is; null: the variable MLFLOW_TRACKING_URI, else SQLite in the storage."""
    experiment: Text | None = None
    """Of MLflow; null: the study's name."""
    register_as: _Name = "xmrc-gxlt"
    """Name of the model in the registry."""
    watch: Annotated[tuple[Text, ...], Field(strict=False), each_once("question id")] = ()
    """Question ids of settings.data.select whose first five answers every evaluation keeps."""


@holds_objective
class Study(Section):
    """A whole study file."""

    name: _Name
    """What the study's folder and runs are called; never taken over by `extends`."""
    plugins: Annotated[tuple[Text, ...], Field(strict=False), each_once("plugin")] = ()
    """Files of Python, relative to the study file, and modules: they bring terms of the loss."""
    storage: _Storage = "runs"
    """Folder; everything that a study writes is below storage/name."""
    settings: RunSettings = Field(default_factory=RunSettings)
    """Everything that a single training run needs."""
    space: Annotated[Mapping[str, Domain], BeforeValidator(_without_deleted)] = {}
    """What is searched: dotted keys below `settings`, each with its domain."""
    search: SearchSettings = SearchSettings()
    """How trials are proposed, stopped and kept."""
    promotion: PromotionSettings = PromotionSettings()
    """When a new version becomes champion, where search.confirm is on."""
    resources: ResourceSettings = ResourceSettings()
    """What one trial takes."""
    tracking: TrackingSettings = TrackingSettings()
    """Where runs and models are kept."""
    expected: Annotated[Mapping[Text, System], BeforeValidator(by_system)] = {}
    """What a paper prints, shown beside ours."""

    @model_validator(mode="after")
    def _the_search_sees_no_other_set(self) -> Self:
        select = self.settings.data.select
        if any(one.corpus == select for one in self.search.final):
            text = f"must not have settings.data.select, {select}: the search sees it"
            raise broken("search.final", text, [one.corpus for one in self.search.final])
        if self.promotion.on == select:
            raise broken("promotion.on", "must not be settings.data.select", select)
        return self

    @model_validator(mode="after")
    def _promotion_follows_confirmation(self) -> Self:
        if self.search.confirm is None:
            for key, usual in PromotionSettings():
                value = getattr(self.promotion, key)
                if value != usual:
                    text = "must be left out where search.confirm is null: nothing is compared"
                    raise broken(f"promotion.{key}", text, value)
        return self

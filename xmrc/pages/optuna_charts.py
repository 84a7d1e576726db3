"""Optuna's own pictures of a search. In: a ledger and its space. Out: PNG files.

The search that is drawn is rebuilt in memory from the ledger: Ray has the only other copy, in a
form of its own.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import optuna
import optuna.visualization.matplotlib as charts
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.distributions import IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from xmrc.pages.charts import INK, PALE, log_ticks, save_cut, tidy
from xmrc.search.ledger import TrialRecord, best_evaluation
from xmrc.search.progress import short_names
from xmrc.search.space import SearchSpace
from xmrc.settings import Space

_SIZE = (5.6, 3.4)  # inches
_LEGEND = 10  # trials that a legend can name
_MOST = 15  # settings that parallel axes can show


def rebuild(
    records: Sequence[TrialRecord], space: Space, metric: str, *, score: str | None = None
) -> optuna.Study:
    """The search as Optuna would hold it, its parameters by their short names.

    Every trial that has reported counts as complete, stopped early or not, with the `score` (None:
    the metric itself) of the evaluation that is best by `metric`.
    """
    searched, short = SearchSpace(space), short_names(list(space))
    with _quiet():
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [_frozen(one, searched, short, metric, score or metric) for one in records]
        )
    return study


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each parameter tells the best tenth of the trials from all, the shares of 1.

    PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255), as Optuna has it, conditions included.
    """
    with _quiet():
        return optuna.importance.get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator()
        )


def draw_history(path: Path, study: optuna.Study, metric: str) -> None:
    """Each trial's score, and the best so far."""
    with _drawing(path, _SIZE) as figure_of:
        axes = figure_of(charts.plot_optimization_history(study, target_name=metric))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(lambda place, _: f"{place + 1:g}")  # Optuna's count from 0
        axes.set_xlabel("trial")
        _legend(axes, [axes.collections[0], axes.lines[0]], ["score", "best so far"])
        tidy(axes)


def draw_evaluations(path: Path, study: optuna.Study, metric: str) -> None:
    """How each trial came to its score; those that end early were stopped."""
    with _drawing(path, _SIZE) as figure_of:
        axes = figure_of(charts.plot_intermediate_values(study))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("evaluation")
        axes.set_ylabel(metric)
        names = [f"trial {one.number + 1}" for one in study.trials if one.intermediate_values]
        _legend(axes, axes.lines, names if len(names) <= _LEGEND else [])
        tidy(axes)


def draw_parallel(path: Path, study: optuna.Study, metric: str) -> None:
    """A line for each trial through its score and its settings, the best ones dark."""
    names = list(dict.fromkeys(name for trial in study.trials for name in trial.params))
    with _drawing(path, (max(_SIZE[0], 1.2 * len(names) + 2), _SIZE[1])) as figure_of:
        axes = figure_of(charts.plot_parallel_coordinate(study, names[:_MOST], target_name=metric))
        for one in axes.figure.axes:
            one.tick_params(which="both", labelsize=9, labelcolor=PALE)
            one.grid(visible=False)
        axes.tick_params(axis="x", labelrotation=0, labelsize=10, labelcolor=INK)
        shown = [label.get_text() for label in axes.get_xticklabels()]
        for name, one in zip(shown[1:], axes.figure.axes[2:], strict=True):  # behind the colours
            _ticks(one.yaxis, study, name)


def draw_importances(path: Path, study: optuna.Study) -> None:
    """Bars as long as the `importances`."""
    rows = len(importances(study))
    with _drawing(path, (_SIZE[0], 0.42 * rows + 1.1)) as figure_of:
        axes = figure_of(
            charts.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        )
        axes.set_xlabel("importance, by PED-ANOVA")
        axes.set_ylabel("")
        _legend(axes, [], [])
        axes.set_title("", loc="left")
        tidy(axes)
        axes.grid(visible=False, axis="y")


def draw_contour(path: Path, study: optuna.Study, pair: Sequence[str], shown: str) -> None:
    """The score over two settings, between the trials as Optuna interpolates it."""
    with _drawing(path, _SIZE) as figure_of:
        axes = charts.plot_contour(study, list(pair), target_name=shown)
        assert isinstance(axes, Axes)  # several only for several pairs
        figure_of(axes)
        for axis in (axes.xaxis, axes.yaxis):
            _ticks(axis, study, axis.get_label_text())
        tidy(axes)
        axes.grid(visible=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna neither logs nor warns that its pictures are experimental, or trials few."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        for kind in (UserWarning, ExperimentalWarning):
            warnings.simplefilter("ignore", kind)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)


def _frozen(
    record: TrialRecord, searched: SearchSpace, short: Mapping[str, str], metric: str, score: str
) -> FrozenTrial:
    params = searched.points([record.values])[0]
    drawn = FixedTrial(params)
    searched(drawn)  # says which distribution each parameter has
    reported = bool(record.history)
    return optuna.create_trial(
        state=TrialState.COMPLETE if reported else TrialState.FAIL,
        value=best_evaluation(record, metric)[score] if reported else None,
        params={short[key]: value for key, value in params.items()},
        distributions={short[key]: one for key, one in drawn.distributions.items()},
        intermediate_values={int(one["evaluation"]): one[score] for one in record.history},
    )


@contextmanager
def _drawing(path: Path, size: tuple[float, float]) -> Iterator[Callable[[Axes], Axes]]:
    """Draw with pyplot, as Optuna does, and leave no trace in it; gives who takes the axes."""
    backend = matplotlib.get_backend()
    drawn: list[Axes] = []

    def take(axes: Axes) -> Axes:
        drawn.append(axes)
        axes.set_title("")
        return axes

    with _quiet(), pyplot.rc_context():
        pyplot.switch_backend("agg")
        try:
            yield take
            figure = drawn[0].get_figure()
            assert isinstance(figure, Figure)
            figure.set_size_inches(size)
            figure.set_layout_engine("none")
            for axes in figure.axes:
                axes.xaxis.label.set(color=INK, fontsize=10)
                axes.yaxis.label.set(color=INK, fontsize=10)
            save_cut(path, figure)
        finally:
            pyplot.close("all")
            pyplot.switch_backend(backend)


def _legend(axes: Axes, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Other names in the legend that Optuna may have put there; without any there is none."""
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
    if names:
        axes.legend(handles, names, fontsize=9, frameon=False, loc="best", labelcolor=INK)


def _ticks(axis: XAxis | YAxis, study: optuna.Study, name: str) -> None:
    """Plain numbers on a log scale, whole ones where the parameter is."""
    if axis.get_scale() == "log":
        log_ticks(axis)
    elif any(isinstance(one.distributions.get(name), IntDistribution) for one in study.trials):
        axis.set_major_locator(MaxNLocator(integer=True))

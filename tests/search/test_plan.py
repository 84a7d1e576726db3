"""What `--plan` says, against counts by formula; it starts nothing and writes nothing."""

import io
import os
import re
from math import ceil
from pathlib import Path

import pytest
import ray
from rich.console import Console

from xmrc.errors import DataError, ResourceError, SettingsError, XmrcError
from xmrc.search.corpora import study_corpora
from xmrc.search.needs import study_needs
from xmrc.search.plan import describe_corpus, print_plan
from xmrc.search.rehearsal import rehearsal
from xmrc.search.resources import cluster_nodes, fit_trials, this_machine
from xmrc.settings import load_study
from xmrc.settings.yaml_text import parse_yaml

YAML = """
name: few
storage: {storage}
settings:
  encoder: demo
  base: {{corpus: demo/train, languages: [en], limit: 40, epochs: 1, batch_size: 16}}
  data: {{train: demo/train, select: demo/dev, languages: [en, es, de, zh], ntl: 2, limit: 12,
          max_length: 128, max_question_tokens: 32, stride: 16}}
  objective: {{distill: {{temperature: 2.0}}}}
  training: {{batch_size: 10}}
space:
  data.ntl: {{int: [0, 3]}}
  objective.distill.coefficient: {{choice: [0.0, map]}}
  objective.distill.temperature:
    {{log_float: [1, 16], when: {{objective.distill.coefficient: map}}}}
search: {{trials: 7, sampler: random}}
"""

SHIPPED = sorted((Path(__file__).parents[2] / "search_spaces").rglob("*.yaml"))
WITHOUT_WEIGHTS = [  # on a small part of real corpora
    "settings.encoder=scratch",
    "settings.base={corpus: tydiqa-goldp/train, languages: [en], limit: 40}",
    "settings.data.train=xquad",
    "settings.data.select=mlqa/dev",
    "settings.data.languages=[en, es, de, ar, vi, hi, zh]",
    "settings.data.limit=6",  # the watched questions of figure 3 are among these
    "search.final=[]",
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    path = tmp_path / "few.yaml"
    path.write_text(YAML.format(storage=tmp_path / "runs"))

    def load(*overrides):
        return load_study(path, overrides)

    return load


def plan(study):
    console = Console(file=io.StringIO(), width=40)
    print_plan(study, console)
    return console.file.getvalue()


def test_the_whole_plan(load, tmp_path):
    study = load()
    printed = plan(study)
    settings, loss, searched, corpora, epoch, trials = printed.split("\n\n")
    assert parse_yaml(settings)["settings"]["data"]["languages"] == ["en", "es", "de", "zh"]
    (tmp_path / "again.yaml").write_text(settings)
    assert load_study(tmp_path / "again.yaml") == study
    assert loss == "loss: ce + distill"
    assert searched.splitlines() == [
        "searched:",
        "  data.ntl: int [0, 3]",
        "  objective.distill.coefficient: choice [0.0, map]",
        "  objective.distill.temperature: log_float [1.0, 16.0]  when "
        "objective.distill.coefficient: map",
    ]
    base, train, select = corpora.splitlines()[1:]
    assert base.startswith("  base: demo/train: 40 examples, 40 question ids, questions in en,")
    # four languages on the diagonal, or the sixteen pairs of them, for twelve ids
    assert train.startswith("  train: demo/train: 48 examples, 12 question ids, questions in en es")
    assert select.startswith("  select: demo/dev: 192 examples, 12 question ids, ")
    assert epoch.splitlines()[1] == "  base: 40 examples, 40 windows, 3 steps"
    for line, ntl in zip(epoch.splitlines()[2:5], (0, 2, 3), strict=True):  # 2: the file's own
        examples = 12 * (1 + ntl) ** 2
        expected = f"{examples} examples, {examples} windows, {ceil(examples / 10)} steps"
        assert line == f"  trial at ntl {ntl}: {expected}"
    assert epoch.splitlines()[5] == "  evaluation: 192 examples, 192 windows"
    fit = fit_trials(study.resources, this_machine(), study_needs(study))
    *told, memory, disk = trials.splitlines()
    assert told == [
        "trials: 7 by random, scheduler asha",
        f"resources of one trial, on this machine: {fit.describe()}",
    ]
    assert re.fullmatch(r"memory: about 0\.\d GiB for a worker(; on its GPU .*)?", memory)
    most, kept = r"at most 0\.\d GiB", r"of which 0\.0 GiB are kept"
    free = rf"[\d.]+ GiB are free in {re.escape(str(tmp_path / 'runs'))}"
    assert re.fullmatch(f"disk: {most}, {kept}; {free}", disk)


def test_the_plan_is_for_the_cluster_of_the_environment(load, cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")  # the tests' own is connected already
    study = load()
    fit = fit_trials(study.resources, cluster_nodes(), study_needs(study))
    expected = f"resources of one trial, on the cluster at 10.0.0.7:6379: {fit.describe()}"
    assert expected in plan(study).splitlines()
    with pytest.raises(ResourceError, match="resources: one trial must fit: workers 99"):
        plan(load("resources.workers=99"))


def test_nothing_is_started_or_written(load, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("a plan starts no Ray"))
    before = sorted(tmp_path.iterdir())
    plan(load())
    assert sorted(tmp_path.iterdir()) == before


def test_a_study_that_searches_nothing_and_has_no_base(load):
    printed = plan(load("space=null", "settings.base=null", "settings.start_from_base=false"))
    assert "\nsearched: nothing\n" in printed
    assert "  trial at ntl 2: 108 examples, 108 windows, 11 steps" in printed
    assert "  base: " not in printed.partition("corpora:")[2]


def test_long_contexts_have_several_windows(load):
    whole, cut = (
        plan(load("space=null", f"settings.data.max_length={size}")) for size in (128, 64)
    )

    def windows(printed):
        return int(re.search(r"evaluation: 192 examples, (\d+) windows", printed)[1])

    assert windows(whole) == 192
    assert windows(cut) > 192


def test_what_is_scored_may_have_more_ids_than_what_is_trained_on(load):
    printed = plan(load("space=null", "settings.data.scored_limit=20"))
    assert "  train: demo/train: 48 examples, 12 question ids," in printed
    assert f"  select: demo/dev: {20 * 4 * 4} examples, 20 question ids," in printed


@pytest.mark.parametrize(
    ("override", "kind", "told"),
    [
        ("settings.data.select=demo/tst", DataError, "demo/tst"),
        ("settings.data.max_length=100000", SettingsError, "max_length must be at most 128"),
        ("settings.encoder=/no/such/encoder", DataError, "/no/such/encoder"),
        ("settings.base={model: /no/such/base}", DataError, "^settings.base.model: must be"),
        ("resources.workers=100000", ResourceError, "^resources: one trial must fit: workers"),
        ("resources.memory_per_worker=1e6", ResourceError, "each takes about 1000000.0 GiB"),
        ("search.keep=2147483647", ResourceError, "^storage: the study must fit, at most "),
    ],
)
def test_what_the_study_would_refuse_is_refused_before_a_word(load, override, kind, told):
    console = Console(file=io.StringIO())
    with pytest.raises(kind, match=told) as refused:
        print_plan(load(override), console)
    assert isinstance(refused.value, XmrcError)
    assert "\n" not in str(refused.value)
    assert console.file.getvalue() == ""


def test_a_corpus_is_described_with_its_licence(load):
    text = describe_corpus(study_corpora(load()).train)
    assert re.fullmatch(
        r"demo/train: 48 examples, 12 question ids, questions in en es de zh, "
        r"contexts in en es de zh \(\S.*\)",
        text,
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_study_that_we_ship_can_be_planned_as_its_rehearsal(path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("XMRC_DATA", raising=False)
    study = load_study(path)
    printed = plan(rehearsal(study))
    assert f"name: {study.name}-rehearsal\n" in printed
    assert all(f"\n  {key}: " in printed for key in study.space)
    assert "resources of one trial, on this machine: " in printed


@pytest.mark.skipif("XMRC_DATA" not in os.environ, reason="XMRC_DATA names no folder of corpora")
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_study_that_we_ship_can_be_planned_on_real_corpora(path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    study = load_study(path, WITHOUT_WEIGHTS)
    printed = plan(study)
    assert all(f"\n  {key}: " in printed for key in study.space)
    assert "  train: xquad: " in printed
    assert "  select: mlqa/dev: " in printed

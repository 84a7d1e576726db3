# ruff: noqa: E501  (tables with one broken rule a line)
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from xmrc.errors import SettingsError
from xmrc.learning.terms import DistillSettings
from xmrc.settings import load_study, to_yaml
from xmrc.settings.yaml_text import one_line

STUDY = """
name: few
settings:
  data: {train: demo/train, select: demo/dev, languages: [en, no, de]}
  objective:
    distill: {coefficient: 1.0}
space:
  data.ntl: {int: [1, 2]}
  objective.distill.coefficient: {choice: [0.0, 1.0, map]}
  objective.distill.variant:
    choice: [first_hit, average_precision]
    when: {objective.distill.coefficient: map}
search:
  trials: 4
  start_from:
    - {data.ntl: 1, objective.distill.coefficient: map}
    - {data.ntl: 2}
"""


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch):
    monkeypatch.delenv("XMRC_DATA", raising=False)


@pytest.fixture
def study_file(tmp_path):
    path = tmp_path / "few.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def same_file(tmp_path_factory):
    """The study file for the properties, which do not change it."""
    path = tmp_path_factory.mktemp("same") / "few.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def with_set(path, values):
    return load_study(path, [f"{key}={one_line(value)}" for key, value in values.items()])


def error_of(path, *overrides):
    with pytest.raises(SettingsError) as caught:
        load_study(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_study_is_read_with_its_defaults(study_file):
    study = load_study(study_file)
    assert study.settings.data.languages == ("en", "no", "de")
    assert study.settings.objective.distill == DistillSettings(coefficient=1.0)
    assert study.settings.training.learning_rate == 5e-5
    assert study.settings.base.corpus == "squad/train"
    assert study.space["objective.distill.variant"].when == {
        "objective.distill.coefficient": ("map",)
    }
    assert study.search.trials == 4
    assert study.storage == "runs"


def test_a_study_is_frozen_and_travels(study_file):
    study = load_study(study_file)
    with pytest.raises(ValidationError):
        study.settings.training.epochs = 5
    assert pickle.loads(pickle.dumps(study)) == study


@pytest.mark.parametrize(
    ("override", "error"),
    [
        # unknown keys: a sibling first, then the whole tree
        ("settings.trainig.epochs=1", "settings.trainig is no known key; did you mean settings.training?"),
        ("settings.training.epoch=1", "did you mean settings.training.epochs?"),
        ("settings.ntl=1", "settings.ntl is no known key; did you mean settings.data.ntl?"),
        ("stride=1", "stride is no known key; did you mean settings.data.stride?"),
        ("settings.warmup=0", "did you mean settings.base.warmup or settings.training.warmup?"),
        ("settings.objective.distill.temprature=2", "did you mean settings.objective.distill.temperature?"),
        ("serch.trials=3", "serch is no known key; did you mean search?"),
        ("search.final=[{corpus: demo/test, language: [en]}]", "search.final[0].language is no known key; did you mean search.final[0].languages?"),
        ("zzz=1", "zzz is no known key"),
        # types: nothing is bent
        ("settings.training.epochs=1.0", "settings.training.epochs must be a valid integer, got 1.0"),
        ("settings.training.epochs=true", "must be a valid integer, got true"),
        ("settings.training.epochs='3'", "must be a valid integer, got '3'"),
        ("settings.training.learning_rate=true", "must be a valid number, got true"),
        ("settings.training.learning_rate=.inf", "must be a finite number, got .inf"),
        ("settings.training.learning_rate=.nan", "must be a finite number, got .nan"),
        ("settings.start_from_base=1", "settings.start_from_base must be true or false, got 1"),
        ("settings.start_from_base=yes", "must be true or false, got yes"),
        ("settings.data.train=3", "settings.data.train must be a valid string, got 3"),
        ("settings.data.train=", "settings.data.train must be a valid string, got null"),
        ("settings.data.languages=en", "settings.data.languages must be a list, got en"),
        ("settings.data.languages=[en, 1]", "settings.data.languages[1] must be a valid string, got 1"),
        ("settings.data.root=1", "settings.data.root must be a path, got 1"),
        ("settings.data=null", "settings.data must be a mapping of keys to values, got null"),
        ("search=[]", "search must be a mapping of keys to values, got []"),
        ("search.start_from={}", "search.start_from must be a list, got {}"),
        ("search.start_from=[3]", "search.start_from[0] must be a mapping of keys to values, got 3"),
        # ranges
        ("settings.objective.distill.temperature=-1", "settings.objective.distill.temperature must be greater than 0, got -1"),
        ("settings.objective.distill.temperature=0", "must be greater than 0, got 0"),
        ("settings.objective.distill.k=0", "settings.objective.distill.k must be greater than or equal to 1, got 0"),
        ("settings.objective.distill.delta=0", "settings.objective.distill.delta must be greater than or equal to 1, got 0"),
        ("settings.objective.distill.coefficient=-0.1", "settings.objective.distill.coefficient must be a number of at least 0, or map, got -0.1"),
        ("settings.objective.distill.coefficient=MAP", "must be a number of at least 0, or map, got MAP"),
        ("settings.objective.distill.coefficient=true", "must be a number of at least 0, or map, got true"),
        ("settings.objective.distill.variant=per", "must be 'first_hit', 'average_precision' or 'per_example', got per"),
        ("settings.data.ntl=-1", "settings.data.ntl must be greater than or equal to 0, got -1"),
        ("settings.data.limit=0", "settings.data.limit must be greater than or equal to 1, got 0"),
        ("settings.data.languages=[]", "settings.data.languages must not be empty, got []"),
        ("settings.training.epochs=0", "settings.training.epochs must be greater than or equal to 1, got 0"),
        ("settings.training.dropout=1", "settings.training.dropout must be less than 1, got 1"),
        ("settings.training.warmup=1.1", "settings.training.warmup must be less than or equal to 1, got 1.1"),
        ("settings.training.seed=4294967296", "settings.training.seed must be less than or equal to 4294967295"),
        ("settings.encoder=''", "settings.encoder must not be empty, got ''"),
        ("search.evaluate_every=0", "search.evaluate_every must be greater than 0, got 0"),
        ("search.reduction_factor=1", "search.reduction_factor must be greater than 1, got 1"),
        ("search.sampler=bayes", "search.sampler must be 'tpe', 'random' or 'grid', got bayes"),
        ("search.metric=f1", "search.metric must be 'gxlt_f1', "),
        ("search.mode=max", "search.mode is gone and must be left out: every metric is better when higher, got max"),
        ("resources.cpus_per_worker=0", "resources.cpus_per_worker must be a number greater than 0, or auto, got 0"),
        ("resources.gpus_per_worker=-1", "resources.gpus_per_worker must be a number of at least 0, or auto, got -1"),
        ("name=a/b", "name must be at most 100 letters, digits, '.', '_' or '-', the first a letter or digit, got a/b"),
        ("name=..", "name must be at most 100 letters"),
        ("name=null", "name must be at most 100 letters"),
        ('name="\\ud800"', "the value is no YAML: a text must be valid Unicode, got '\\ud800' (line 1, column 1)"),
        ("tracking.watch=[a,b,a]", "tracking.watch must name each question id once, got [a, b, a]"),
        ("tracking.register_as='a:b'", "tracking.register_as must be at most 100 letters"),
        ("storage=s3://bucket/runs", "storage must be a folder that all nodes share (NFS, EFS, Filestore, Azure Files); MLflow's server may keep its files in an object store, got s3://bucket/runs"),
        # several keys at once
        ("search.sampler=grid", "search.start_from must be empty where sampler is grid: every point is tried, got [{"),
        ("promotion.alpha=0.01", "promotion.alpha must be left out where search.confirm is null: nothing is compared, got 0.01"),
        ("promotion.max_language_drop=2", "promotion.max_language_drop must be left out where search.confirm is null: nothing is compared, got 2.0"),
        ("promotion.on=demo/test", "promotion.on must be left out where search.confirm is null: nothing is compared, got demo/test"),
        ("settings.data.languages=[en, de, en]", "settings.data.languages must name each language once, got [en, de, en]"),
        ("settings.data.source_language=fr", "settings.data.source_language must be one of the languages [en, no, de], got fr"),
        ("settings.data.stride=316", "settings.data.stride must be less than max_length - max_question_tokens - 4 = 316, got 316"),
        ("settings.data.max_question_tokens=380", "settings.data.max_length must be greater than max_question_tokens + 4 = 384, got 384"),
        ("settings.base={model: m, corpus: c}", "settings.base must have exactly one of corpus and model, got {corpus: c, model: m}"),
        ("settings.base={epochs: 1}", "settings.base must have exactly one of corpus and model"),
        ("settings.base=null", "settings.start_from_base must be false where base is null, got true"),
        ("settings.encoder_config.layers=3", "settings.encoder_config must be left out where encoder is bert-base-multilingual-cased, not scratch"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_override_the_key_the_rule_and_the_value(
    study_file, override, error
):
    said = error_of(study_file, override)
    assert said.startswith((f"--set {override}: ", f"{study_file}: "))
    assert error in said


def test_scratch_has_sizes_of_its_own(study_file):
    scratch = "settings.encoder=scratch"
    sizes = load_study(study_file, [scratch, "settings.encoder_config.layers=3"]).settings
    assert (sizes.encoder_config.layers, sizes.encoder_config.hidden_size) == (3, 128)
    assert "encoder_config.heads must divide hidden_size 128, got 3" in error_of(
        study_file, scratch, "settings.encoder_config.heads=3"
    )
    assert "settings.data.max_length must be at most encoder_config" in error_of(
        study_file, scratch, "settings.encoder_config={max_position_embeddings: 128}"
    )


def test_an_objective_trains_something(study_file):
    span = "settings.objective.span=none"
    distill = load_study(study_file, ["space=null", span]).settings.objective.distill
    assert distill.coefficient == 1.0
    for off in ("settings.objective.distill=none", "settings.objective.distill.coefficient=0"):
        said = error_of(study_file, "space=null", span, off)
        assert (
            "settings.objective.span must not be none where alpha is 0 and distillation is off, "
            "got none" in said
        )


@pytest.mark.parametrize("off", ["none", "null", "~", ""])
def test_distillation_is_off_in_any_of_its_spellings(study_file, off):
    study = load_study(study_file, ["space=null", f"settings.objective.distill={off}"])
    assert study.settings.objective.distill is None


def test_the_file_is_blamed_for_what_it_says(study_file):
    study_file.write_text(STUDY.replace("coefficient: 1.0", "coefficient: -1.0"), encoding="utf-8")
    said = error_of(study_file, "settings.training.epochs=1")
    assert said == (
        f"{study_file}: settings.objective.distill.coefficient "
        "must be a number of at least 0, or map, got -1.0"
    )


def test_the_first_of_several_errors_counts_the_others(study_file):
    study_file.write_text("nmae: x\nsettings: {data: {ntl: -1}}", encoding="utf-8")
    said = error_of(study_file)
    assert said == f"{study_file}: nmae is no known key; did you mean name? (and 2 more)"
    study_file.write_text("settings: {}", encoding="utf-8")
    assert error_of(study_file) == f"{study_file}: name is required"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "must be a mapping of keys to values, got null"),
        (b"- a", "must be a mapping of keys to values, got [a]"),
        (b"name: [", "is no YAML: while parsing a flow node, expected the node content, but found"),
        (b"name: a\nname: b", "is no YAML: the key name stands here twice (line 2, column 1)"),
        (b"name: \xff", "must be UTF-8 text, byte 6 is not"),
        (b"name: a\nsettings: 3", "settings must be a mapping of keys to values, got 3"),
        (b"name: a\nspace: [1]", "space must be a mapping of keys to values, got [1]"),
        (b"name: a\nspace: {data.ntl: 3}", "space.data.ntl must be a mapping of keys to values"),
    ],
)
def test_what_is_no_study_file_is_one_line(study_file, content, error):
    study_file.write_bytes(content)
    assert error_of(study_file).startswith(f"{study_file}: {error}")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    missing = tmp_path / "none.yaml"
    assert error_of(missing) == f"{missing}: cannot be read: No such file or directory"
    assert error_of(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_the_data_folder_comes_from_the_environment_unless_it_is_set(
    study_file, monkeypatch, tmp_path
):
    assert load_study(study_file).settings.data.root is None
    monkeypatch.setenv("XMRC_DATA", str(tmp_path))
    assert load_study(study_file).settings.data.root == tmp_path
    assert f"root: {tmp_path}" in to_yaml(load_study(study_file))
    monkeypatch.chdir(tmp_path)
    mine = load_study(study_file, ["settings.data.root=mine"]).settings.data.root
    assert mine == tmp_path / "mine"


def test_folders_of_models_are_absolute_and_hub_ids_are_left(study_file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for folder in ("encoder", "base", "demo"):
        (tmp_path / folder).mkdir()
    base = "settings.base={model: base}"
    found = load_study(study_file, [base, "settings.encoder=encoder"]).settings
    assert (found.encoder, found.base.model) == (
        str(tmp_path / "encoder"),
        str(tmp_path / "base"),
    )
    assert load_study(study_file, ["settings.encoder=demo"]).settings.encoder == "demo"
    assert load_study(study_file, ["settings.encoder=org/x"]).settings.encoder == "org/x"


VALID = st.fixed_dictionaries(
    {"settings.data.languages": st.sampled_from([["no", "en"], ["en", "no", "on", "y"]])},
    optional={
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "storage": st.text(min_size=1),
        "settings.encoder": st.text(min_size=1).filter(lambda name: "\0" not in name),
        "settings.data.ntl": st.integers(0, 9),
        "settings.data.limit": st.none() | st.integers(1, 2**31 - 1),
        "settings.objective.distill": st.just({"temperature": 3}),
        "settings.objective.distill.coefficient": st.just("map") | st.floats(0, 1e9),
        "settings.training.learning_rate": st.floats(0, 1, exclude_min=True),
        "settings.training.clip": st.none() | st.integers(1, 5),
        "space": st.none() | st.just({"data.languages": {"choice": [["en"], ["en", "no"]]}}),
        "space.training.dropout": st.just({"choice": [None, 0.1]}),
        "space.training.seed": st.sampled_from(
            [
                {"log_int": [1, 9]},
                {"int": [1, 9], "when": {"data.ntl": [1, 2]}},
                {"choice": [1, 9], "when": {"training.clip": [None], "data.ntl": 1}},
                {"choice": [1, 9], "when": {"data.languages": [["en"], ["no", "en"]]}},
            ]
        ),
        "tracking.uri": st.none() | st.text(min_size=1),
        "tracking.watch": st.lists(st.text(min_size=1), unique=True),
    },
)


@settings(max_examples=50, deadline=None)
@given(VALID)
def test_a_written_study_reads_back_as_itself(same_file, values):
    needed = {"search.start_from": []} | {
        f"space.{key}": {"choice": choices}
        for key, choices in {
            "data.ntl": [1, 2],
            "training.clip": [None, 1.0],
            "data.languages": [["no", "en"], ["en"]],
        }.items()
    }
    study = with_set(same_file, values | needed)
    copy = same_file.with_name("copy.yaml")
    copy.write_text(to_yaml(study), encoding="utf-8")
    assert load_study(copy) == study
    assert to_yaml(load_study(copy)) == to_yaml(study)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("none"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "name",
        "storage",
        "settings",
        "settings.encoder",
        "settings.encoder_config",
        "settings.base",
        "settings.base.model",
        "settings.base.languages",
        "settings.data",
        "settings.data.root",
        "settings.data.languages",
        "settings.data.stride",
        "settings.objective",
        "settings.objective.distill",
        "settings.training.dropout",
        "settings.objective.distill.coefficient",
        "settings.objective.distill.coefficient.deeper",
        "space",
        "space.data.ntl",
        "space.data.ntl.int",
        "space.data.ntl.choice",
        "space.data.ntl.float",
        "space.data.ntl.when",
        "space.data.ntl.when.data.stride",
        "space.x",
        "space.int",
        "space.when",
        "space.objective.distill.variant.when",
        "space.training.dropout.choice",
        "space.training.clip.log_float",
        "search",
        "search.start_from",
        "resources.gpus_per_worker",
        "tracking.register_as",
        "tracking.watch",
        "space.data.languages.choice",
        "space.data.train.choice",
    ]
)


@settings(deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=4))
def test_whatever_is_set_is_a_study_or_one_line(same_file, values):
    said = ""
    try:
        with_set(same_file, values)
    except SettingsError as error:
        said = str(error)
    assert "\n" not in said

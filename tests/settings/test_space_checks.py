# ruff: noqa: E501  (tables with one broken rule a line)
import itertools

import pytest

from xmrc.errors import SettingsError
from xmrc.settings import load_study
from xmrc.settings.domains import active_values, dependency_order

SETTINGS = """
name: few
settings:
  data: {languages: [en, de, es]}
  objective: {distill: {}}
"""
TEMPERATURE = "objective.distill.temperature"
COEFFICIENT = "objective.distill.coefficient"


@pytest.fixture
def load(tmp_path):
    def load(space, *overrides, start_from="[]"):
        path = tmp_path / "few.yaml"
        path.write_text(f"{SETTINGS}\nspace: {space}\nsearch: {{start_from: {start_from}}}\n")
        return load_study(path, overrides)

    return load


@pytest.fixture
def error_of(load, tmp_path):
    def error_of(space, *overrides, start_from="[]"):
        with pytest.raises(SettingsError) as caught:
            load(space, *overrides, start_from=start_from)
        said = str(caught.value)
        assert "\n" not in said
        return said.removeprefix(f"{tmp_path / 'few.yaml'}: ")

    return error_of


@pytest.mark.parametrize(
    ("domain", "kind", "values"),
    [
        ("{int: [0, 3]}", "int", (0, 3)),
        ("{log_int: [1, 3]}", "log_int", (1, 3)),
        ("{choice: [0, 3, 2]}", "choice", (0, 3, 2)),
    ],
)
def test_domains_of_whole_numbers(load, domain, kind, values):
    found = load(f"{{data.ntl: {domain}}}").space["data.ntl"]
    assert (found.kind, found.values) == (kind, values)


@pytest.mark.parametrize("kind", ["float", "log_float", "int", "log_int"])
def test_numbers_may_be_written_whole(load, kind):
    found = load(f"{{{TEMPERATURE}: {{{kind}: [1, 16]}}}}").space[TEMPERATURE]
    assert found.values == (1, 16)
    assert found.holds(4)
    assert found.holds(4.5) == (kind in ("float", "log_float"))
    assert not found.holds(17)
    assert not found.holds(True)
    assert not found.holds("4")


@pytest.mark.parametrize(
    ("space", "error"),
    [
        # the domain itself
        ("{data.ntl: {}}", "space.data.ntl must have exactly one of int, log_int, float, log_float, choice, got []"),
        ("{data.ntl: {int: [1, 2], choice: [1]}}", "space.data.ntl must have exactly one of int, log_int, float, log_float, choice, got [int, choice]"),
        ("{data.ntl: {itn: [1, 2]}}", "space.data.ntl.itn is no known key; did you mean space.data.ntl.int?"),
        ("{data.ntl: [1, 2]}", "space.data.ntl must be a mapping of keys to values, got [1, 2]"),
        ("{data.ntl: {int: [1, 2.5]}}", "space.data.ntl.int must be two whole numbers [low, high], got [1, 2.5]"),
        ("{data.ntl: {int: [1, 2, 3]}}", "space.data.ntl.int must be two whole numbers [low, high], got [1, 2, 3]"),
        ("{data.ntl: {int: 3}}", "space.data.ntl.int must be two whole numbers [low, high], got 3"),
        ("{data.ntl: {int: [3, 3]}}", "space.data.ntl.int must have its low end below its high end, got [3, 3]"),
        ("{data.ntl: {log_int: [0, 3]}}", "space.data.ntl.log_int must start above 0, got [0, 3]"),
        ("{training.clip: {log_float: [0, 3]}}", "space.training.clip.log_float must start above 0, got [0.0, 3.0]"),
        ("{training.clip: {float: [1, .inf]}}", "space.training.clip.float must be two numbers [low, high], got [1, .inf]"),
        ("{data.ntl: {choice: []}}", "space.data.ntl.choice must not be empty, got []"),
        ("{data.ntl: {choice: [1, 2, 1]}}", "space.data.ntl.choice must name each value once, got [1, 2, 1]"),
        # its key
        ("{data.nlt: {int: [1, 2]}}", "space.data.nlt is no known key; did you mean space.data.ntl?"),
        ("{dta.ntl: {int: [1, 2]}}", "space.dta is no known key; did you mean space.data?"),
        ("{ntl: {int: [1, 2]}}", "space.ntl is no known key; did you mean space.data.ntl?"),
        ("{settings.data.ntl: {int: [1, 2]}}", "space.settings is no known key"),
        ("{objective.distill: {choice: [null]}}", "space.objective.distill is a section; search the keys below it"),
        ("{encoder_config.layers: {int: [1, 2]}}", "space.encoder_config.layers needs settings.encoder_config, which is null; write {} there for its defaults"),
        # its values, in the settings
        ("{data.ntl: {int: [-1, 2]}}", "space.data.ntl must be greater than or equal to 0, got -1"),
        ("{data.ntl: {float: [1, 2]}}", "space.data.ntl must be a valid integer, got 1.0"),
        ("{data.ntl: {choice: [1, two]}}", "space.data.ntl must be a valid integer, got two"),
        ("{training.dropout: {float: [0, 1]}}", "space.training.dropout must be less than 1, got 1.0"),
        (f"{{{TEMPERATURE}: {{float: [-1, 4]}}}}", f"space.{TEMPERATURE} must be greater than 0, got -1.0"),
        (f"{{{COEFFICIENT}: {{choice: [1.0, mop]}}}}", f"space.{COEFFICIENT} must be a number of at least 0, or map, got mop"),
        ("{data.languages: {choice: [[en], [de]]}}", "space.data.languages cannot be [de]: settings.data.source_language must be one of the languages [de], got en"),
        ("{data.languages: {choice: [en]}}", "space.data.languages must be a list, got en"),
        # its condition
        ("{data.ntl: {int: [1, 2], when: {training.epochs: 3}}}", "space.data.ntl.when.training.epochs must be a key of the space (data.ntl)"),
        ("{data.ntl: {int: [1, 2], when: {nothing: 3}}}", "space.data.ntl.when.nothing must be a key of the space (data.ntl)"),
        ("{data.ntl: {int: [1, 2], when: 3}}", "space.data.ntl.when must be a mapping of keys to values, got 3"),
        ("{data.ntl: {int: [1, 2], when: {training.epochs: []}}}", "space.data.ntl.when.training.epochs must not be empty, got []"),
        ("{data.ntl: {int: [1, 2], when: {training.epochs: 30}}, training.epochs: {choice: [10, 20]}}", "space.data.ntl.when.training.epochs must be in choice [10, 20], got 30"),
        ("{data.ntl: {int: [1, 2], when: {training.epochs: true}}, training.epochs: {int: [1, 20]}}", "space.data.ntl.when.training.epochs must be in int [1, 20], got true"),
        ("{data.ntl: {int: [1, 2], when: {training.clip: 2}}, training.clip: {float: [1, 3]}}", "space.data.ntl.when.training.clip must be drawn from a choice or whole numbers, not float [1.0, 3.0]"),
        ("{data.ntl: {int: [1, 2], when: {data.ntl: 1}}}", "space.data.ntl.when goes round in a circle: data.ntl on data.ntl"),
        ("{data.ntl: {int: [1, 2], when: {training.epochs: 1}}, training.epochs: {int: [1, 2], when: {data.ntl: 1}}}", "goes round in a circle: "),
        ("{data.ntl: {choice: [1, 2]}, training.epochs: {int: [1, 2], when: {data.ntl: 1}}, training.seed: {int: [1, 2], when: {training.epochs: 1, data.ntl: 2}}}", "space.training.seed.when can never hold: no data.ntl fits all of it"),
    ],
)  # fmt: skip
def test_a_space_that_does_not_fit_names_its_key(error_of, space, error):
    said = error_of(space)
    assert said.startswith("space.")
    assert error in said


@pytest.mark.parametrize(
    ("key", "domain", "reason"),
    [
        ("encoder", "choice [demo, scratch]", "every trial starts from the same encoder"),
        ("encoder_config.layers", "int [1, 2]", "every trial starts from the same encoder"),
        ("base.epochs", "int [1, 2]", "every trial starts from the same base"),
        ("start_from_base", "choice [true, false]", "every trial starts from the same reader"),
        ("data.root", "choice [null, /corpora]", "corpora are read once, for all trials"),
        ("data.train", "choice [xquad, demo/train]", "corpora are read once, for all trials"),
        ("data.select", "choice [mlqa/dev, demo/dev]", "trials are compared on the same questions"),
        ("data.limit", "log_int [10, 20]", "corpora are read once, for all trials"),
        ("data.scored_limit", "log_int [10, 20]", "corpora are read once, for all trials"),
        ("data.allow_overlap", "choice [false, true]", "corpora are read once, for all trials"),
    ],
)
def test_what_all_trials_share_is_not_searched(error_of, key, domain, reason):
    kind, values = domain.split(" ", 1)
    sizes = ("settings.encoder=scratch", "settings.encoder_config={}")
    overrides = sizes if key.startswith("encoder_config") else ()
    said = error_of(f"{{{key}: {{{kind}: {values}}}}}", *overrides)
    assert said == f"space.{key} must be left out: {reason}, got {domain}"


CANDIDATES, CONTRAST = "objective.candidates", "objective.contrast"
NTL, SPAN, ALPHA = "data.ntl", "objective.span", "objective.alpha"


@pytest.mark.parametrize(
    ("key", "domain", "switch", "off", "on", "words"),
    [
        (
            f"{CANDIDATES}.size",
            "int [1, 20]",
            SPAN,
            "ce",
            "mml",
            "one over candidates, as mml, hard_em and hl are",
        ),
        (f"{CANDIDATES}.weights", "choice [slot, type]", SPAN, "mml", "hl", "hl"),
        (f"{CANDIDATES}.gold_floor", "float [0.1, 0.5]", SPAN, "hard_em", "hl", "hl"),
        (f"{CONTRAST}.tau", "float [1.0, 2.0]", ALPHA, 0.0, 0.5, "above 0"),
        (f"{CONTRAST}.negatives", "int [1, 2]", ALPHA, 0.0, 0.5, "above 0"),
        (TEMPERATURE, "float [1.0, 2.0]", COEFFICIENT, 0.0, 1.0, "above 0, or map"),
        ("objective.distill.k", "int [5, 10]", COEFFICIENT, 1.0, "map", "map"),
        ("data.ntl", "int [0, 2]", "data.sampling", "none", "pairs", "pairs"),
        ("data.languages", "choice [[en], [en, de]]", "data.sampling", "none", "pairs", "pairs"),
        ("data.source_language", "choice [en, de]", NTL, 0, 1, "above 0"),
        ("data.sampling", "choice [pairs, none]", NTL, 0, 1, "above 0"),
    ],
)
def test_a_key_that_changes_no_trial_is_refused(
    load, error_of, key, domain, switch, off, on, words
):
    kind, values = domain.split(" ", 1)
    entry = f"{key}: {{{kind}: {values}}}"
    assert error_of(f"{{{entry}}}", f"settings.{switch}={off}") == (
        f"space.{key} changes nothing unless {switch} can be {words}, got {domain}"
    )
    load(f"{{{entry}}}", f"settings.{switch}={on}")
    load(f"{{{entry}, {switch}: {{choice: [{off}, {on}]}}}}", f"settings.{switch}={off}")


def test_languages_are_searched_among_those_that_are_read(load, error_of):
    assert error_of("{data.languages: {choice: [[en, de], [en, fr]]}}") == (
        "space.data.languages must be among settings.data.languages [en, de, es], which are read, "
        "got [en, fr]"
    )
    load("{data.languages: {choice: [[en, de], [es, en]]}}")


def test_values_are_tried_together(load, error_of):
    stride, length = "data.stride: {choice: [64, 256]}", "data.max_length: {choice: [256, 384]}"
    assert "space.data.stride must be less than max_length - max_question_tokens - 4" in error_of(
        f"{{{stride}, {length}}}"
    )
    conditional = "data.stride: {choice: [64, 256], when: {data.max_length: 384}}"
    load(f"{{{conditional}, {length}}}")


def test_a_value_is_tried_where_its_condition_holds(load, error_of):
    space = "{training.batch_size: {int: [1, 2]}, data.ntl: {choice: [1, 2], when: {training.batch_size: 2}}, training.epochs: {int: [%d, 9], when: {data.ntl: 2}}}"
    load(space % 1)
    assert "space.training.epochs must be greater than or equal to 1, got 0" in error_of(space % 0)


def test_cross_entropy_is_a_coefficient_of_nothing(load, error_of):
    space = f"{{{COEFFICIENT}: {{choice: [0, 1.0, map]}}}}"
    assert load(space).space[COEFFICIENT].values == (0, 1.0, "map")
    assert f"space.{COEFFICIENT} cannot be 0: settings.objective.span must not be none" in error_of(
        space, "settings.objective.span=none"
    )


@pytest.mark.parametrize(
    ("start_from", "error"),
    [
        ("[{data.ntl: 1}, {training.epochs: 3}]", f"search.start_from[1].training.epochs must be a key of the space (data.ntl, {COEFFICIENT}, objective.distill.variant)"),
        ("[{data.ntl: 7}]", "search.start_from[0].data.ntl must be in int [1, 6], got 7"),
        ("[{data.ntl: 2.0}]", "search.start_from[0].data.ntl must be in int [1, 6], got 2.0"),
        ("[{objective.distill.variant: first_hit}]", "search.start_from[0].objective.distill.variant must stand beside its condition {objective.distill.coefficient: [map]}"),
        (f"[{{{COEFFICIENT}: 1, objective.distill.variant: first_hit}}]", "search.start_from[0].objective.distill.variant must stand beside its condition"),
    ],
)  # fmt: skip
def test_a_starting_point_lies_in_the_space(load, error_of, start_from, error):
    space = f"{{data.ntl: {{int: [1, 6]}}, {COEFFICIENT}: {{choice: [1.0, map]}}, objective.distill.variant: {{choice: [first_hit, average_precision], when: {{{COEFFICIENT}: map}}}}}}"
    assert error_of(space, start_from=start_from).startswith(error)
    load(space, start_from=f"[{{objective.distill.variant: first_hit, {COEFFICIENT}: map}}, {{}}]")


def test_the_order_follows_conditions_and_then_the_file(load):
    names = ["data.ntl", "training.epochs", "training.seed", "training.batch_size"]
    when = {"data.ntl": "training.seed", "training.seed": "training.batch_size"}
    for order in itertools.permutations(names):
        domains = (
            f"{name}: {{int: [1, 2]{f', when: {{{when[name]}: 2}}' if name in when else ''}}}"
            for name in order
        )
        space = load(f"{{{', '.join(domains)}}}").space
        found = dependency_order(space)
        assert sorted(found) == sorted(names)
        assert all(found.index(parent) < found.index(name) for name, parent in when.items())
        values = {"data.ntl": 1, "training.seed": 2, "training.batch_size": 2}
        assert active_values(space, values) == values
        assert active_values(space, values | {"training.batch_size": 1}) == {
            "training.batch_size": 1
        }

"""Which overlaps are found, refused, dropped and labelled; and what real corpora share."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmrc.data.corpora import load_corpus
from xmrc.data.examples import Example
from xmrc.data.leakage import (
    OVERLAP,
    SHARED_PARAGRAPHS,
    Footprint,
    check_leakage,
    check_unseen,
    drop_overlap,
    held_out,
    normalised_context,
)
from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError


def example(id, context, languages="en-en"):
    question, told = languages.split("-")
    return Example(id, "?", context, (), question, told)


def scored(*examples, final=False):
    return ScoredSet("dev", examples, role="final" if final else "select")


TRAINING = [example("a", "The sky. "), example("b", "Sea"), example("b", "Meer", "de-de")]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("The sky", "the  SKY."),
        ("Straße", "STRASSE"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("2008年", "２００８ 年"),
        ("línea", "Línea\n"),
    ],
)
def test_contexts_are_the_same_but_for_their_form(text, same):
    assert normalised_context(text) == normalised_context(same)


@pytest.mark.parametrize(
    ("text", "other"), [("sky 1", "sky 2"), ("linea", "línea"), ("海", "海海")]
)
def test_other_letters_are_other_contexts(text, other):
    assert normalised_context(text) != normalised_context(other)


def test_what_the_search_must_not_see_has_no_question_that_it_selects_by():
    select = scored(example("a", "Sky"), example("b", "Sea"))
    other = ScoredSet("mine", [example("c", "Sky"), example("d", "Sea", "de-de")], role="promotion")
    again = ScoredSet("copy", [example("d", "Land"), example("b", "Meer", "de-de")])
    check_unseen(select, [other], allow_overlap=False)  # other questions about its paragraphs
    with pytest.raises(DataError) as refused:
        check_unseen(select, [other, again], allow_overlap=False)
    assert str(refused.value).startswith("search.final: copy must share no question id with dev")
    assert "1 ids do, such as 'b'" in str(refused.value)
    check_unseen(select, [other, again], allow_overlap=True)


def test_nothing_shared_has_no_label():
    sets = [scored(example("c", "Land")), scored(example("d", "Luft", "de-de"), final=True)]
    assert check_leakage("train", TRAINING, sets, allow_overlap=False) == ["", ""]


def test_contexts_without_letters_are_not_the_same():
    assert not Footprint.of([example("x", "...")]).overlapping([example("y", "!")])


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize(
    ("shared", "what"),
    [
        (example("x", "the SKY"), r"'x' \(en-en, the same context\)"),
        (example("a", "Anything"), r"'a' \(en-en, the same question id\)"),
        (example("b", "Himmel", "el-de"), r"'b' \(el-de, the same question id\)"),
    ],
)
def test_an_overlap_stops_the_run(shared, what, final):
    clean = example("c", "Land")
    with pytest.raises(DataError, match=what) as caught:
        check_leakage("train", TRAINING, [scored(clean, shared, final=final)], allow_overlap=False)
    message, key = str(caught.value), "search.final" if final else "settings.data.select"
    assert message.startswith(f"{key}: dev must share no question id")
    assert "with train, which is trained on: 1 of 2 examples do" in message
    assert "settings.data.allow_overlap: true" in message
    assert "\n" not in message


def test_a_refusal_counts_all_and_shows_three_questions():
    pairs = ["en-en", "en-de", "de-en"]
    shared = [example(f"q{n}", f"text {n}", pair) for n in range(5) for pair in pairs]
    training = [one for one in shared if one.context_language == "en"]
    with pytest.raises(DataError, match="15 of 15 examples do") as caught:
        check_leakage("train", training, [scored(*shared)], allow_overlap=False)
    shown = [f"q{n}" for n in range(5) if f"'q{n}'" in str(caught.value)]
    assert shown == ["q0", "q1", "q2"]


def test_an_overlap_that_is_allowed_has_a_label():
    sets = [scored(example("a", "Anything")), scored(example("c", "Land"))]
    assert check_leakage("train", TRAINING, sets, allow_overlap=True) == [OVERLAP, ""]


def test_the_same_paragraphs_in_other_languages_have_a_label_where_nothing_is_chosen_by_them():
    greek = example("a", "Ο ουρανός", "el-el")
    labels = check_leakage("train", TRAINING, [scored(greek, final=True)], allow_overlap=False)
    assert labels == [SHARED_PARAGRAPHS]
    with pytest.raises(DataError, match="'a'"):
        check_leakage("train", TRAINING, [scored(greek)], allow_overlap=False)
    english = example("b", "Sea")
    with pytest.raises(DataError, match="2 of 2"):
        check_leakage("train", TRAINING, [scored(greek, english, final=True)], allow_overlap=False)


def test_base_examples_that_are_scored_are_dropped():
    base = [example("x", "Land"), example("y", "THE SKY"), example("z", "Air"), example("c", "?!")]
    sets = [scored(example("a", "The sky")), scored(example("c", "Fire"), final=True)]
    kept, dropped = drop_overlap(base, sets)
    assert [one.id for one in kept] == ["x", "z"]
    assert [one.id for one in dropped] == ["y", "c"]


def test_a_base_of_which_nothing_is_left_is_refused():
    with pytest.raises(DataError, match="all of its 1 examples overlap"):
        drop_overlap([example("x", "Sea")], [scored(example("y", "sea"))])


ids_strategy = st.lists(st.text(max_size=4), min_size=2, max_size=40, unique=True)


@settings(deadline=None)
@given(ids_strategy, st.floats(0, 1))
def test_held_out_parts_the_ids(ids, share):
    examples = [example(id, "x", pair) for id in ids for pair in ("en-en", "en-de")]
    aside, rest = held_out(examples, share)
    assert aside
    assert rest
    assert {one.id for one in aside}.isdisjoint({one.id for one in rest})
    assert sorted([*aside, *rest], key=examples.index) == examples
    assert [one for one in examples if one in aside] == aside


def test_held_out_is_about_the_share_and_the_same_for_an_id_whatever_the_others():
    examples = [example(f"q{n}", "x") for n in range(2000)]
    aside, _ = held_out(examples)
    assert len(aside) == pytest.approx(600, abs=62)  # three standard deviations
    some = examples[::7]
    assert held_out(some)[0] == [one for one in some if one in aside]
    assert held_out(examples, 0.2)[0] == [one for one in held_out(examples, 0.2)[0] if one in aside]
    first = [one.id for one in held_out(examples[:30])[0]]
    assert first == [
        "q1",
        "q5",
        "q7",
        "q9",
        "q11",
        "q12",
        "q14",
        "q15",
        "q26",
        "q29",
    ]  # on every machine


def test_a_limit_takes_ids_of_both_parts():
    """Ids of lowest hash are no more often held out than others: the hashes differ."""
    examples = load_corpus("demo/test", root=None, languages=["en"], limit=None).examples
    few = load_corpus("demo/dev", root=None, languages=["en"], limit=60).examples
    aside, rest = held_out(few)
    assert len(aside) == pytest.approx(18, abs=11)
    assert len(held_out(examples)[0]) == pytest.approx(60, abs=20)
    assert len(aside) + len(rest) == 60


def test_one_question_cannot_be_parted():
    with pytest.raises(DataError, match=r"promotion\.on: null .* at least 2 ids, not 1"):
        held_out([example("a", "x"), example("a", "y", "en-de")])


def test_the_parts_of_the_demo_share_nothing():
    parts = {
        name: load_corpus(f"demo/{name}", root=None, languages=None, limit=None).examples
        for name in ("train", "dev", "test")
    }
    for left, right in combinations(parts, 2):
        assert not Footprint.of(parts[left]).overlapping(parts[right])


def test_one_context_of_tydiqa_stands_in_mlqa(real_data):
    base = load_corpus("tydiqa-goldp/train", root=real_data, languages=["en"], limit=None).examples
    select = load_corpus("mlqa/dev", root=real_data, languages=None, limit=None).examples
    sets = [ScoredSet("settings.data.select", "mlqa/dev", select)]
    kept, dropped = drop_overlap(base, sets)
    assert len(base) == len(kept) + len(dropped) == 3_696
    assert [one.id for one in dropped] == ["tydiqa.goldp.en.train:1863"]
    with pytest.raises(DataError, match=r"settings\.data\.select: mlqa/dev .* same context"):
        check_leakage("tydiqa-goldp/train", base, sets, allow_overlap=False)


def test_xquad_and_mlqa_share_nothing_and_xquad_its_paragraphs(real_data):
    def read(corpus, languages):
        return load_corpus(corpus, root=real_data, languages=languages, limit=None).examples

    training = read("xquad", ["en", "es", "de", "ar", "vi", "hi", "zh"])
    sets = [
        ScoredSet("settings.data.select", "mlqa/dev", read("mlqa/dev", None)),
        ScoredSet("search.final", "xquad", read("xquad", ["el", "ru", "tr", "th"]), final=True),
    ]
    labels = check_leakage("xquad", training, sets, allow_overlap=False)
    assert labels == ["", SHARED_PARAGRAPHS]
    same = ScoredSet("search.final", "xquad", read("xquad", ["en"]), final=True)
    with pytest.raises(DataError, match="1190 of 1190 examples do"):
        check_leakage("xquad", training, [same], allow_overlap=False)


LABELS = {"a": OVERLAP, "b": OVERLAP, "c": "", "d": ""}


def test_what_was_trained_on_is_known_from_a_folder(tmp_path):
    """Of two trainings together, as a trial goes on from its base; nothing there is nothing."""
    assert Footprint.read(tmp_path) == Footprint()
    (Footprint.of(TRAINING[:1]) | Footprint.of(TRAINING[1:])).write(tmp_path)
    kept = Footprint.read(tmp_path)
    assert kept == Footprint.of(TRAINING)
    assert {id: kept.label([example(id, f"of {id}")]) for id in LABELS} == LABELS
    assert kept.label([example("x", "SEA!", "el-el"), example("y", "Land")]) == SHARED_PARAGRAPHS
    assert kept.label([example("x", "the sea"), example("y", "sea 2", "el-en")]) == ""
    assert kept.label([example("x", "SEA", "el-en")]) == OVERLAP


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"ids": 3, "contexts": "", "languages": []}'])
def test_a_footprint_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "trained_on.json").write_text(text)
    with pytest.raises(DataError, match=r"trained_on\.json: must have ids, contexts and languages"):
        Footprint.read(tmp_path)


@given(st.frozensets(st.text(max_size=8)), st.frozensets(st.text(max_size=8)))
def test_any_footprint_reads_back_as_itself(tmp_path_factory, ids, contexts):
    folder = tmp_path_factory.mktemp("footprint")
    examples = [example(id, context) for id in ids for context in contexts]
    footprint = Footprint.of(examples)
    footprint.write(folder)
    assert Footprint.read(folder) == footprint
    assert footprint.overlapping(examples) == examples

"""Final sets: read and refused before anything is trained, labelled, scored under their names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from gxlt_scores import gxlt_scores

from xmrc.data.scored_set import ScoredSet
from xmrc.errors import DataError, SettingsError
from xmrc.search.corpora import StudyData, study_corpora
from xmrc.selection.final_sets import final_folder, metrics_of
from xmrc.settings import Study, load_study, to_yaml

STUDY = """
name: few
settings:
  encoder: demo
  base: {corpus: demo/train, limit: 40}
  data: {train: demo/train, select: demo/dev, languages: [en, es], ntl: 1, limit: 6}
"""
Load = Callable[..., Study]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    path = tmp_path / "few.yaml"
    path.write_text(STUDY)
    return lambda *overrides: load_study(path, overrides)


def squad(path: Path, ids: dict[str, str], *, blind: bool = False) -> Path:
    """A SQuAD-format file: a question of each id over its context."""
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": id,
                    "question": "who?",
                    "answers": [] if blind else [{"text": context[:3], "answer_start": 0}],
                }
            ],
        }
        for id, context in ids.items()
    ]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def final_of(corpora: StudyData) -> list[tuple[str, int, str]]:
    return [(one.name, len(one.examples), one.label) for one in corpora.final]


def test_a_name_is_read_in_the_languages_of_the_data_with_all_their_pairs(load: Load) -> None:
    study = load("search.final=[demo/test]")
    assert final_of(study_corpora(study)) == [("demo/test", 6 * 4, "")]
    assert [one.languages for one in study.search.final] == [None]
    again = {"corpus": "demo/test", "languages": None}
    assert study.search.model_dump(mode="json")["final"] == [again]
    assert "final:" in to_yaml(study)


def test_languages_of_its_own(load: Load) -> None:
    study = load("search.final=[{corpus: demo/test, languages: [de, vi, zh]}]")
    (final,) = study_corpora(study).final
    assert set(final.context_languages) == {"de", "vi", "zh"}
    assert len(final.examples) == 6 * 9


def test_other_languages_of_the_training_set_are_labelled(load: Load) -> None:
    study = load("search.final=[{corpus: demo/train, languages: [de, vi]}, demo/test]")
    labels = [label for _, _, label in final_of(study_corpora(study))]
    assert labels == ["shared paragraphs", ""]


def test_training_on_a_final_set_is_refused_by_its_key(load: Load) -> None:
    overlap = "search.final=[{corpus: demo/train, languages: [es, de]}]"
    with pytest.raises(DataError, match=r"^search.final: demo/train must share no question id"):
        study_corpora(load(overlap))
    allowed = load(overlap, "settings.data.allow_overlap=true")
    assert [label for *_, label in final_of(study_corpora(allowed))] == ["overlaps training"]


def test_the_base_is_not_trained_on_what_is_final(load: Load, tmp_path: Path) -> None:
    base = squad(tmp_path / "base.en.json", {"a": "Ada was here", "b": "Bob was there"})
    final = squad(tmp_path / "final.en.json", {"x": "ADA was here!"})
    corpora = study_corpora(
        load(
            f"settings.base.corpus={base}",
            f"search.final=[{{corpus: {final}, languages: [en]}}]",
        )
    )
    assert corpora.base is not None
    assert [one.id for one in corpora.base.examples] == ["b"]
    assert corpora.dropped == 1


def test_a_blind_or_missing_set_is_refused(load: Load, tmp_path: Path) -> None:
    blind = squad(tmp_path / "blind.en.json", {"x": "Nobody knows"}, blind=True)
    with pytest.raises(DataError, match=r"search.final: .*blind set"):
        study_corpora(load(f"search.final=[{{corpus: {blind}, languages: [en]}}]"))
    with pytest.raises(DataError, match=r"search.final: no corpus is named 'demo/tset'"):
        study_corpora(load("search.final=[demo/tset]"))


@pytest.mark.parametrize(
    ("final", "message"),
    [
        ("[demo/dev]", "search.final must not have settings.data.select, demo/dev"),
        ("[demo/test, demo/test]", "search.final must name each corpus once"),
        ("[{languages: [en]}]", "search.final[0].corpus is required"),
        ("demo/test", "search.final must be a list"),
    ],
)
def test_bad_settings_are_named(load: Load, final: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(f"search.final={final}")
    assert message in str(caught.value)


def test_names_of_folders_metrics_and_titles() -> None:
    assert final_folder("mlqa/test", "base") == "final/mlqa/test/base"
    outside = final_folder("../a b/*.json", "base")
    assert ".." not in outside
    assert "*" not in outside
    scores = gxlt_scores({}, {"gxlt_f1": 51.5})
    assert metrics_of("demo/test", "champion", scores) == {"final/demo/test/champion_gxlt_f1": 51.5}
    assert ScoredSet("xquad", label="shared paragraphs").title == "xquad (shared paragraphs)"
    assert ScoredSet("xquad").title == "xquad"

"""The experiments of the two papers, as studies that we ship."""

from pathlib import Path
from statistics import fmean

import pytest

from xmrc.search.rehearsal import rehearsal
from xmrc.search.space import SearchSpace, trial_count
from xmrc.settings import Study, flat, load_study

FOLDER = Path(__file__).parents[1] / "search_spaces"
SHIPPED = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml"))

COEFFICIENT, TEMPERATURE = "objective.distill.coefficient", "objective.distill.temperature"
SPAN, ALPHA, SIZE, NTL = (
    "objective.span",
    "objective.alpha",
    "objective.candidates.size",
    "data.ntl",
)
TABLES = "skd_tables_1_to_4"
ZERO_SHOT = "hl_aacl_tables_2_5_6_zero_shot"
TRANSLATED = "hl_aacl_tables_5_6_7_translate_train"

# every system of an experiment, counted by hand
POINTS = {
    TABLES: [{COEFFICIENT: 0.0}, {COEFFICIENT: 1.0, NTL: 5}, {COEFFICIENT: "map", NTL: 5}],
    "skd_table_5": [
        {SPAN: "ce"},
        {SPAN: "none", COEFFICIENT: 1.0, NTL: 5},
        {SPAN: "none", COEFFICIENT: "map", NTL: 5},
    ],
    "skd_figures_4_7": [{SPAN: "ce"}, {SPAN: "none"}],
    "skd_figure_5": [
        {NTL: ntl, COEFFICIENT: coefficient}
        for ntl in (1, 2, 3, 4, 5, 6)
        for coefficient in (0.0, 1.0, "map")
    ],
    "skd_figure_6": [
        {NTL: ntl, TEMPERATURE: temperature}
        for ntl in (1, 2, 3, 4, 5, 6)
        for temperature in (2.0, 4.0, 8.0, 16.0)
    ],
    ZERO_SHOT: [{ALPHA: 0.5}],
    TRANSLATED: [
        {SPAN: "hl", ALPHA: 0.5},
        {SPAN: "hl", ALPHA: 0.0},
        {SPAN: "ce"},
        {SPAN: "mml"},
    ],
    "hl_aacl_figure_2": [
        {SPAN: "ce"},
        *({SPAN: span, SIZE: size} for span in ("mml", "hl") for size in (1, 5, 10, 20, 50)),
    ],
    "hl_aacl_figure_3": [{ALPHA: 0.5}],
    "hl_aacl_figure_4": [{ALPHA: alpha} for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)],
}
COUNTS = {
    TABLES: 3,
    "skd_table_5": 3,
    "skd_figures_4_7": 2,
    "skd_figure_5": 18,
    "skd_figure_6": 24,
    ZERO_SHOT: 1,
    TRANSLATED: 4,
    "hl_aacl_figure_2": 11,
    "hl_aacl_figure_3": 1,
    "hl_aacl_figure_4": 5,
}
OTHERS = {"LAF", "mBERT", "XLM", "InfoXLM", "LAKM", "CalibreNet", "mixMRC", "LBMRC"}

# means that are not those of the languages beside them, in the print itself
CONTRADICTIONS = {
    (TABLES, "base", "mlqa/test", "xlt_em"),
    (TABLES, "LAF", "tydiqa-goldp/dev", "xlt_squad_f1"),
    (ZERO_SHOT, "base", "mlqa/test", "xlt_em"),
    (ZERO_SHOT, "base", "xquad", "xlt_squad_em"),
    (ZERO_SHOT, "HL + AA-CL", "xquad", "xlt_squad_em"),
    (ZERO_SHOT, "InfoXLM", "mlqa/test", "xlt_f1"),
    (ZERO_SHOT, "InfoXLM", "xquad", "xlt_squad_f1"),
}


def load(name: str) -> Study:
    return load_study(FOLDER / "paper" / f"{name}.yaml")


def points(study: Study) -> list[dict]:
    space = SearchSpace(study.space)
    return [space.values_of(point) for point in space.grid()]


def tables(study: Study):
    """Each table of a study: system, corpus (None: the selection set), its metrics."""
    for name, system in study.expected.items():
        yield name, None, system.scores
        yield from ((name, corpus, scores) for corpus, scores in system.final.items())


@pytest.mark.parametrize("file", SHIPPED)
def test_every_study_that_we_ship_can_be_rehearsed(file: str) -> None:
    short = rehearsal(load_study(FOLDER / file))
    assert trial_count(short) <= 3
    assert Study.model_validate(short.model_dump(mode="json")) == short


def test_every_experiment_has_its_file_and_no_name_is_used_twice() -> None:
    assert {Path(file).stem for file in SHIPPED if file.startswith("paper/")} == set(POINTS)
    names = [load_study(FOLDER / file).name for file in SHIPPED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", POINTS)
def test_a_grid_has_the_systems_of_the_experiment(name: str) -> None:
    study = load(name)
    found = points(study)
    assert study.search.sampler == "grid"
    assert study.search.scheduler == "none"  # no system is stopped early
    assert len(found) == len(POINTS[name]) == COUNTS[name] == trial_count(study)
    assert all(point in found for point in POINTS[name])


@pytest.mark.parametrize("name", POINTS)
def test_a_file_says_what_it_is_and_how_to_run_it(name: str) -> None:
    text = (FOLDER / "paper" / f"{name}.yaml").read_text()
    comment = text[: text.index("extends:")]
    first = comment.splitlines()[0]
    assert first.startswith(
        ("# Carrino et al. 2023 (arXiv 2309.17134)", "# Chen et al. 2022 (AAAI)")
    )
    assert f"python -m xmrc.tune --space search_spaces/paper/{name}.yaml" in comment
    assert "orpora: " in comment
    assert max(map(len, text.splitlines())) <= 112


@pytest.mark.parametrize("name", POINTS)
def test_figures_expect_nothing_and_tables_something(name: str) -> None:
    assert bool(load(name).expected) == ("table" in name)


@pytest.mark.parametrize("name", [name for name in POINTS if "table" in name])
def test_each_system_of_a_table_is_one_trial(name: str) -> None:
    study = load(name)
    fixed = flat(study.settings)
    for system, expected in study.expected.items():
        if system == "base":
            assert not expected.where
            continue
        matching = [
            point
            for point in points(study)
            if all({**fixed, **point}[key] == value for key, value in expected.where.items())
        ]
        assert expected.where
        assert len(matching) == (0 if system in OTHERS else 1), system


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (
            TABLES,
            {
                "encoder": "bert-base-multilingual-cased",
                "base.corpus": "squad/train",
                "base.epochs": 2,
                "base.batch_size": 6,
                "base.learning_rate": 3e-5,
                "start_from_base": True,
                "data.train": "xquad",
                "data.select": "mlqa/dev",
                "data.languages": "[en, es, de, ar, vi, hi, zh]",
                "data.sampling": "pairs",
                "data.ntl": 3,
                "data.max_length": 384,
                "objective.span": "ce",
                "objective.alpha": 0.0,
                "objective.distill.temperature": 2.0,
                "objective.distill.variant": "first_hit",
                "objective.distill.k": 10,
                "objective.distill.delta": 5,
                "training.epochs": 3,
                "training.batch_size": 24,
                "training.learning_rate": 5e-5,
                "training.weight_decay": 0.0,
                "training.warmup": 0.0,
                "training.clip": 1.0,
            },
        ),
        (
            ZERO_SHOT,
            {
                "encoder": "xlm-roberta-base",
                "base.corpus": "squad/train",
                "base.languages": "[en]",
                "base.epochs": 8,
                "base.batch_size": 32,
                "base.learning_rate": 3e-5,
                "base.weight_decay": 0.01,
                "base.warmup": 0.1,
                "start_from_base": True,
                "data.train": "squad/train",
                "data.select": "mlqa/dev",
                "data.languages": "[en, es, de, ar, hi, vi]",
                "data.sampling": "pairs",
                "data.ntl": 0,
                "data.max_length": 384,
                "data.max_question_tokens": 64,
                "objective.span": "hl",
                "objective.alpha": 0.5,
                "objective.candidates.size": 20,
                "objective.contrast.tau": 10.0,
                "objective.contrast.negatives": 50,
                "objective.distill": None,
                "training.epochs": 8,
                "training.batch_size": 32,
                "training.learning_rate": 3e-5,
                "training.weight_decay": 0.01,
                "training.warmup": 0.1,
            },
        ),
        (
            TRANSLATED,
            {
                "base.corpus": "translated/*.json",
                "base.languages": "[en, es, de, ar, hi, vi]",
                "base.epochs": 8,
                "data.train": "translated/*.json",
                "data.sampling": "none",
                "training.epochs": 8,
            },
        ),
        ("skd_figures_4_7", {"data.ntl": 5, "objective.distill.coefficient": "map"}),
        ("skd_figure_6", {"objective.distill.coefficient": "map", "training.epochs": 3}),
        ("hl_aacl_figure_2", {"objective.alpha": 0.0, "training.epochs": 8}),
    ],
)
def test_fixed_settings_are_those_of_the_paper(name: str, settings: dict) -> None:
    assert settings.items() <= flat(load(name).settings).items()


@pytest.mark.parametrize(
    ("name", "system", "corpus", "metric", "language", "printed"),
    [
        # SKD, table 2
        (TABLES, "base", None, "gxlt_f1", "mean", 49.7),
        (TABLES, "SKD", None, "gxlt_f1", "mean", 59.1),
        (TABLES, "SKD mAP@k", None, "xlt_em", "mean", 47.1),
        (TABLES, "SKD mAP@k", "mlqa/test", "gxlt_f1", "mean", 58.5),
        (TABLES, "base", "mlqa/test", "xlt_em", "mean", 33.8),
        (TABLES, "LAF", "mlqa/test", "gxlt_f1", "mean", 61.9),
        # table 3: G-XLT F1 / XLT EM
        (TABLES, "base", None, "gxlt_f1", "en", 59.3),
        (TABLES, "base", None, "xlt_em", "en", 66.8),
        (TABLES, "CE", None, "gxlt_f1", "hi", 53.6),
        (TABLES, "SKD", "mlqa/test", "xlt_em", "zh", 40.5),
        (TABLES, "SKD mAP@k", None, "gxlt_f1", "ar", 53.3),
        # table 4, by the SQuAD rules
        (TABLES, "SKD", "xquad", "xlt_squad_f1", "el", 81.6),
        (TABLES, "SKD mAP@k", "xquad", "xlt_squad_em", "th", 44.1),
        (TABLES, "CE", "tydiqa-goldp/dev", "xlt_squad_f1", "fi", 59.0),
        # table 5
        ("skd_table_5", "SKD without CE", None, "gxlt_f1", "mean", 53.8),
        ("skd_table_5", "SKD mAP@k without CE", "mlqa/test", "gxlt_em", "mean", 36.0),
        ("skd_table_5", "CE", "tydiqa-goldp/dev", "xlt_squad_em", "mean", 45.3),
        # HL/AA-CL, table 2
        (ZERO_SHOT, "base", "mlqa/test", "topk_em_1", "vi", 42.36),
        (ZERO_SHOT, "base", "mlqa/test", "topk_em_3", "en", 73.06),
        (ZERO_SHOT, "base", "mlqa/test", "topk_em_10", "de", 72.17),
        # table 5
        (ZERO_SHOT, "HL + AA-CL", "mlqa/test", "xlt_f1", "mean", 66.00),
        (ZERO_SHOT, "HL + AA-CL", "mlqa/test", "xlt_em", "hi", 44.70),
        (ZERO_SHOT, "base", "mlqa/test", "xlt_em", "mean", 46.00),
        (TRANSLATED, "HL + AA-CL", "mlqa/test", "xlt_em", "mean", 50.44),
        (TRANSLATED, "CalibreNet", "mlqa/test", "xlt_em", "ar", 37.83),
        # table 6
        (ZERO_SHOT, "InfoXLM", "xquad", "xlt_squad_f1", "de", 73.88),
        (TRANSLATED, "base", "xquad", "xlt_squad_f1", "mean", 75.03),
        (TRANSLATED, "HL + AA-CL", "xquad", "xlt_squad_em", "vi", 57.49),
        # table 7
        (TRANSLATED, "without HL", "mlqa/test", "xlt_f1", "es", 67.64),
        (TRANSLATED, "without AA-CL", "mlqa/test", "xlt_em", "vi", 46.07),
        (TRANSLATED, "MML in place of HL", "mlqa/test", "xlt_f1", "ar", 57.46),
    ],
)
def test_what_a_paper_prints(
    name: str, system: str, corpus: str | None, metric: str, language: str, printed: float
) -> None:
    expected = load(name).expected[system]
    scores = expected.scores if corpus is None else expected.final[corpus]
    found = scores[metric]
    assert (found[language] if isinstance(found, dict) else found) == printed


def test_the_ranks_of_right_answers() -> None:
    ranks = load(TABLES).expected["base"].ranks
    assert {language: counts[0] for language, counts in ranks.items()} == {
        "en": 1773, "es": 720, "de": 684, "ar": 492, "vi": 525, "hi": 442, "zh": 592
    }  # fmt: skip
    assert [counts[9] for counts in ranks.values()] == [38, 28, 26, 21, 27, 33, 27]
    assert ranks["ar"] == (492, 136, 82, 57, 68, 28, 45, 15, 30, 21)


def test_means_are_those_of_their_languages_or_the_file_says_so() -> None:
    off = set()
    for name in POINTS:
        study = load(name)
        rounding = 0.1 if name.startswith("skd") else 0.06  # of what was printed
        for system, corpus, scores in tables(study):
            for metric, printed in scores.items():
                if not (isinstance(printed, dict) and "mean" in printed):
                    continue
                mean = fmean(value for key, value in printed.items() if key != "mean")
                if abs(mean - printed["mean"]) > rounding:
                    off.add((name, system, corpus, metric))
                    assert study.expected[system].note
    assert off == CONTRADICTIONS


@pytest.mark.parametrize("name", POINTS)
def test_the_corpora_of_printed_numbers_are_scored_at_the_end(name: str) -> None:
    study = load(name)
    printed = {corpus for _, corpus, _ in tables(study) if corpus is not None}
    assert {one.corpus for one in study.search.final} == printed
    for one in study.search.final:
        languages = set(one.languages or study.settings.data.languages)
        for _, corpus, scores in tables(study):
            for metric in scores.values() if corpus == one.corpus else ():
                found = set(metric) - {"mean"} if isinstance(metric, dict) else set()
                assert found <= languages


@pytest.mark.parametrize("name", [TABLES, "skd_table_5", TRANSLATED])
def test_every_reader_of_a_table_stays_on_disk(name: str) -> None:
    study = load(name)
    assert study.search.keep >= trial_count(study)

"""Corpora by name: the layouts of the archives, the hub, paths and globs, and what is refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xmrc.data.catalogue import CATALOGUE
from xmrc.data.corpora import Corpus, load_corpus
from xmrc.data.languages import languages_of_file
from xmrc.errors import DataError

MLQA = ("en", "es", "de", "ar", "vi", "hi", "zh")


def load(
    name: str,
    root: Path | None = None,
    languages: list[str] | None = None,
    limit: int | None = None,
) -> Corpus:
    return load_corpus(name, root=root, languages=languages, limit=limit)


def refusal(name: str, root: Path | None = None, languages: list[str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        load(name, root, languages)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(root: Path, file: str, ids: str = "abc", answer: str = "x") -> None:
    """A file of one-letter ids, or of ids separated by blanks, whose texts name the file."""
    names = ids.split() if " " in ids else list(ids)
    answers = [{"text": answer, "answer_start": 0}]
    qas = [{"id": id, "question": f"{id} in {file}", "answers": answers} for id in names]
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    content = {"data": [{"paragraphs": [{"context": "x of " + file, "qas": qas}]}]}
    (root / file).write_text(json.dumps(content))


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return list(dict.fromkeys((e.question_language, e.context_language) for e in corpus.examples))


LAYOUTS = {
    "squad/train": ["squad/train-v1.1.json", "train-v1.1.json"],
    "squad/dev": ["squad/dev-v1.1.json", "dev-v1.1.json"],
    "xquad": ["xquad/xquad.en.json", "xquad-master/xquad.en.json", "xquad.en.json"],
    "mlqa/dev": [
        "mlqa/dev/dev-context-en-question-en.json",
        "MLQA_V1/dev/dev-context-en-question-en.json",
        "mlqa/MLQA_V1/dev/dev-context-en-question-en.json",
        "dev/dev-context-en-question-en.json",
    ],
    "mlqa/test": [
        "mlqa/test/test-context-en-question-en.json",
        "MLQA_V1/test/test-context-en-question-en.json",
    ],
    "tydiqa-goldp/train": [
        "tydiqa-goldp/train/tydiqa.goldp.en.train.json",
        "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.goldp.en.train.json",
        "tydiqa/tydiqa-goldp-v1.1-train/tydiqa.en.train.json",
    ],
    "tydiqa-goldp/dev": [
        "tydiqa-goldp/dev/tydiqa.goldp.en.dev.json",
        "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-english.json",
        "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa.en.dev.json",
    ],
}


@pytest.mark.parametrize(("name", "file"), [(n, file) for n in LAYOUTS for file in LAYOUTS[n]])
def test_finds_the_archives_own_names(tmp_path: Path, name: str, file: str) -> None:
    write(tmp_path, file)
    corpus = load(name, tmp_path)
    assert pairs(corpus) == [("en", "en")]
    assert [each.question for each in corpus.examples] == [f"{id} in {file}" for id in "abc"]


@pytest.mark.parametrize("folder", ["", "tydiqa-goldp/", "tydiqa/"])
def test_tells_the_languages_of_tydiqas_single_file_by_its_ids(tmp_path: Path, folder: str) -> None:
    write(tmp_path, f"{folder}tydiqa-goldp-v1.1-train.json", "korean--7-1 english-5-0 korean-9-2")
    corpus = load("tydiqa-goldp/train", tmp_path)
    assert [
        (e.id, *p)
        for e, p in zip(corpus.examples, [("ko",) * 2, ("en",) * 2, ("ko",) * 2], strict=True)
    ] == [(e.id, e.question_language, e.context_language) for e in corpus.examples]
    korean = load("tydiqa-goldp/train", tmp_path, ["ko"])
    assert [each.id for each in korean.examples] == ["korean--7-1", "korean-9-2"]
    assert "has no 'fi'; it has ko, en" in refusal("tydiqa-goldp/train", tmp_path, ["fi"])


def test_refuses_tydiqa_ids_without_a_language(tmp_path: Path) -> None:
    write(tmp_path, "tydiqa-goldp-v1.1-dev.json", "korean-1 17-2")
    message = refusal("tydiqa-goldp/dev", tmp_path)
    assert "a question id must begin with its language" in message
    assert message.endswith("not '17-2'")


def test_mlqa_has_all_pairs_of_the_languages(tmp_path: Path) -> None:
    for asked in ("en", "de", "zh"):
        for read in ("en", "de", "zh"):
            write(tmp_path, f"mlqa/dev/dev-context-{read}-question-{asked}.json", "ab")
    corpus = load("mlqa/dev", tmp_path, ["de", "en"])
    assert pairs(corpus) == [("en", "en"), ("en", "de"), ("de", "en"), ("de", "de")]
    assert corpus.question_languages == corpus.context_languages == ("en", "de")
    crossed = next(e for e in corpus.examples if e.question_language != e.context_language)
    assert crossed.question == "a in mlqa/dev/dev-context-de-question-en.json"
    assert crossed.context == "x of mlqa/dev/dev-context-de-question-en.json"
    assert len(pairs(load("mlqa/dev", tmp_path))) == 9
    (tmp_path / "mlqa/dev/dev-context-de-question-en.json").unlink()
    assert "has no questions in 'en' over contexts in 'de'" in refusal(
        "mlqa/dev", tmp_path, ["en", "de"]
    )


def test_repeated_tydiqa_ids_become_file_and_position(tmp_path: Path) -> None:
    for language in ("en", "ko"):
        write(tmp_path, f"tydiqa-goldp/train/tydiqa.goldp.{language}.train.json", "aba")
    corpus = load("tydiqa-goldp/train", tmp_path)
    stem = "tydiqa.goldp.{}.train:{}".format
    assert [e.id for e in corpus.examples] == [
        stem(code, i) for code in ("en", "ko") for i in range(3)
    ]
    assert not corpus.parallel


def test_refuses_repeated_ids_in_a_parallel_corpus(tmp_path: Path) -> None:
    write(tmp_path, "xquad/xquad.en.json", "aba")
    assert "ids must be unique: 1 repeat, first 'a' (2 times)" in refusal("xquad", tmp_path)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_entry_states_its_terms(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.licence
    assert entry.citation
    assert entry.pairs
    assert (entry.generated is None) == (entry.hub is not None and bool(entry.files))


@pytest.mark.parametrize("name", ["demo/train", "demo/dev", "demo/test"])
def test_demo_needs_no_folder(name: str) -> None:
    corpus = load(name, languages=["de", "zh"], limit=5)
    assert pairs(corpus) == [("de", "de"), ("zh", "zh")]
    assert len(corpus.examples) == 10
    assert corpus.parallel
    assert corpus.answered


def test_refuses_a_missing_language(tmp_path: Path) -> None:
    write(tmp_path, "xquad/xquad.en.json")
    write(tmp_path, "xquad/xquad.zh.json")
    assert refusal("xquad", tmp_path, ["en", "de"]) == "corpus 'xquad' has no 'de'; it has en, zh"
    assert "has no 'fr'; it has en, es, de" in refusal("mlqa/test", languages=["fr"])
    assert "has no 'ru'" in refusal("demo/dev", languages=["ru"])


def test_refuses_an_unknown_name_with_the_nearest(tmp_path: Path) -> None:
    assert "no corpus is named 'xqaud' (nearest: 'xquad')" in refusal("xqaud", tmp_path)
    assert "(nearest: 'mlqa/dev')" in refusal("mlqa/deev", tmp_path)


def test_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    message = refusal("xquad", tmp_path / "none")
    assert str(tmp_path / "none") in message
    assert "XMRC_DATA" in message


# ---- limit


def test_limit_takes_the_same_ids_in_every_language(tmp_path: Path) -> None:
    ids = " ".join(f"question-{i}" for i in range(40))
    for language in ("en", "de", "zh"):
        write(tmp_path, f"xquad/xquad.{language}.json", ids)
    ten, five = load("xquad", tmp_path, limit=10), load("xquad", tmp_path, limit=5)
    by_language = {
        code: {e.id for e in ten.examples if e.context_language == code}
        for code in ("en", "de", "zh")
    }
    assert by_language["en"] == by_language["de"] == by_language["zh"]
    assert len(by_language["en"]) == 10
    assert {each.id for each in five.examples} < by_language["en"]
    assert {e.id for e in load("xquad", tmp_path, ["de"], 10).examples} == by_language["en"]
    assert load("xquad", tmp_path, limit=99).examples == load("xquad", tmp_path).examples


def test_limit_is_the_same_on_every_machine(tmp_path: Path) -> None:
    """Values that were chosen once: a change would make earlier quick runs another sample."""
    write(tmp_path, "xquad.en.json", "abcdefghij")
    assert [each.id for each in load("xquad", tmp_path, limit=3).examples] == ["e", "f", "j"]


def test_refuses_a_limit_below_one() -> None:
    with pytest.raises(DataError, match="limit must be at least 1, not 0"):
        load("demo/dev", limit=0)


# ---- paths and globs


@pytest.mark.parametrize(
    ("file", "languages"),
    [
        ("xquad.de.json", ("de", "de")),
        ("train.es.json", ("es", "es")),
        ("dev-context-de-question-en.json", ("en", "de")),
        ("squad.translate.train.en-es.json", ("es", "es")),
        ("squad.translate.train.en-zh-hf.json", ("zh", "zh")),
        ("qa_en-es.json", ("es", "es")),
        ("de_squad-translate-train-train-v1.1.json", ("de", "de")),
        ("tydiqa.goldp.id.train.json", ("id", "id")),
        ("tydiqa-goldp-dev-korean.json", ("ko", "ko")),
        ("My.Data.DE.v2.json", ("de", "de")),
    ],
)
def test_finds_the_languages_in_a_files_name(file: str, languages: tuple[str, str]) -> None:
    assert languages_of_file(file) == languages


@pytest.mark.parametrize(
    ("file", "stated"),
    [("train-v1.1.json", "none"), ("qa.de.fr.json", "de, fr"), ("my-no-is-to.json", "none")],
)
def test_refuses_a_name_that_does_not_state_one_language(file: str, stated: str) -> None:
    with pytest.raises(DataError) as caught:
        languages_of_file(file)
    assert f"it states {stated}: write {file}:de" in str(caught.value)


def test_loads_a_file_of_a_language_that_is_given(tmp_path: Path) -> None:
    write(tmp_path, "qa.json")
    path = tmp_path / "qa.json"
    assert "must state one language" in refusal(str(path))
    assert pairs(load(f"{path}:de")) == [("de", "de")]
    assert pairs(load(f"{path}:en-de")) == [("en", "de")]
    assert "no pair of languages among [en]; it has en-de" in refusal(
        f"{path}:en-de", languages=["en"]
    )


def test_loads_a_glob_as_a_parallel_corpus(tmp_path: Path) -> None:
    for language in ("zh", "de", "en"):
        write(tmp_path, f"a/b/qa.{language}.json", "ab")
    corpus = load(f"{tmp_path}/**/qa.*.json")
    assert corpus.parallel
    assert corpus.question_languages == ("de", "en", "zh")
    assert pairs(load(f"{tmp_path}/**/*.json", languages=["en"])) == [("en", "en")]
    assert "has no 'fr'; it has de, en, zh" in refusal(f"{tmp_path}/**/*.json", languages=["fr"])


def test_files_without_shared_ids_are_not_parallel(tmp_path: Path) -> None:
    write(tmp_path, "qa.de.json", "ab")
    write(tmp_path, "qa.en.json", "cd")
    assert not load(f"{tmp_path}/*.json").parallel
    assert not load(f"{tmp_path}/qa.en.json").parallel


def test_ids_of_files_are_unique_in_a_language(tmp_path: Path) -> None:
    write(tmp_path, "one.de.json", "aab")
    assert [each.id for each in load(f"{tmp_path}/one.de.json").examples] == [
        "one.de:0",
        "one.de:1",
        "one.de:2",
    ]
    write(tmp_path, "one.de.json", "ab")
    write(tmp_path, "two.de.json", "bc")
    assert "'b' stands 2 times in de-de" in refusal(f"{tmp_path}/*.de.json")


def test_refuses_a_path_without_files(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/*.json").endswith(f"no file matches {tmp_path}/*.json")
    assert refusal("qa.de.json").endswith(f"no file matches {Path.cwd()}/qa.de.json")


def test_a_blind_corpus_is_not_answered(tmp_path: Path) -> None:
    write(tmp_path, "tydiqa-goldp/dev/tydiqa.goldp.fi.dev.json", answer="")
    assert not load("tydiqa-goldp/dev", tmp_path).answered


# ---- the hub


CARD = """---
dataset_info:
{infos}
configs:
{configs}
---
"""
INFO = """- config_name: {0}
  features:
  - {{name: id, dtype: string}}
  - {{name: title, dtype: string}}
  - {{name: context, dtype: string}}
  - {{name: question, dtype: string}}
  - name: answers
    sequence:
    - {{name: answer_start, dtype: int32}}
    - {{name: text, dtype: string}}
  splits:
  - {{name: {1}, num_examples: {2}}}"""
CONFIG = """- config_name: {0}
  data_files:
  - {{split: {1}, path: {0}/{1}-*}}"""

Publish = Callable[[str, dict[str, list[str]]], None]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Lays out a repository as the hub has it, card and Parquet, and points the entry to it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def publish(name: str, ids_of_config: dict[str, list[str]]) -> None:
        hub = CATALOGUE[name].hub
        repo = tmp_path / hub.repo
        for config, ids in ids_of_config.items():
            answers = {"text": ["x"], "answer_start": [0]}
            rows = [
                {
                    "id": id,
                    "title": "t",
                    "context": f"x {config}",
                    "question": f"{id}?",
                    "answers": answers,
                }
                for id in ids
            ]
            (repo / config).mkdir(parents=True)
            shard = repo / config / f"{hub.split}-00000-of-00001.parquet"
            datasets.Dataset.from_list(rows).to_parquet(shard)
        infos = [INFO.format(c, hub.split, len(ids)) for c, ids in ids_of_config.items()]
        configs = [CONFIG.format(config, hub.split) for config in ids_of_config]
        card = CARD.format(infos="\n".join(infos), configs="\n".join(configs))
        (repo / "README.md").write_text(card)
        entry = CATALOGUE[name]
        monkeypatch.setitem(CATALOGUE, name, replace(entry, hub=replace(hub, repo=str(repo))))

    return publish


def test_loads_xquad_from_the_hub(publish: Publish) -> None:
    publish("xquad", {f"xquad.{pair[0]}": ["a", "b"] for pair in CATALOGUE["xquad"].pairs})
    corpus = load("xquad", languages=["zh", "en"])
    assert [(e.id, e.context, e.context_language) for e in corpus.examples] == [
        ("a", "x xquad.en", "en"),
        ("b", "x xquad.en", "en"),
        ("a", "x xquad.zh", "zh"),
        ("b", "x xquad.zh", "zh"),
    ]
    assert corpus.answered
    assert corpus.examples[0].answers[0].text == "x"


def test_mlqas_configurations_name_the_context_first(publish: Publish, tmp_path: Path) -> None:
    publish("mlqa/test", {f"MLQA.{c}.{q}": ["a"] for c in ("en", "de") for q in ("en", "de")})
    (tmp_path / "empty").mkdir()
    corpus = load("mlqa/test", tmp_path / "empty", ["en", "de"])
    assert {(e.question_language, e.context_language): e.context for e in corpus.examples} == {
        (q, c): f"x MLQA.{c}.{q}" for c in ("en", "de") for q in ("en", "de")
    }


def test_tells_the_languages_of_tydiqa_on_the_hub_by_its_ids(publish: Publish) -> None:
    publish("tydiqa-goldp/dev", {"secondary_task": ["korean-1-0", "english-2-0", "korean-3-0"]})
    assert pairs(load("tydiqa-goldp/dev")) == [("ko", "ko"), ("en", "en")]
    korean = load("tydiqa-goldp/dev", languages=["ko"])
    assert [each.id for each in korean.examples] == ["korean-1-0", "korean-3-0"]


def test_loads_squad_from_the_hub(publish: Publish) -> None:
    publish("squad/train", {"plain_text": ["a"]})
    corpus = load("squad/train")
    assert pairs(corpus) == [("en", "en")]
    assert corpus.licence == "CC BY-SA 4.0"


def test_says_what_the_hub_lacks(publish: Publish, tmp_path: Path) -> None:
    publish("xquad", {"xquad.en": ["a"]})
    (tmp_path / "empty").mkdir()
    message = refusal("xquad", tmp_path / "empty", ["de"])
    assert message.startswith(
        f"corpus 'xquad' is not below {tmp_path / 'empty'} (settings.data.root"
    )
    assert "xquad.de" in message


def test_local_files_come_before_the_hub(publish: Publish, tmp_path: Path) -> None:
    publish("xquad", {"xquad.en": ["a"]})
    write(tmp_path, "xquad/xquad.en.json", "bc")
    assert [each.id for each in load("xquad", tmp_path).examples] == ["b", "c"]


OFFLINE = """
from xmrc.data.corpora import load_corpus
from xmrc.errors import DataError
try:
    load_corpus("squad/train", root=None, languages=None, limit=None)
except DataError as error:
    print(error)
"""


def test_says_in_one_line_that_there_is_no_hub(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    result = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        check=True,
        text=True,
    )
    (line,) = (result.stdout + result.stderr).splitlines()
    assert line.startswith(
        "corpus 'squad/train' has no folder to be read from (settings.data.root, XMRC_DATA)"
    )
    assert "rajpurkar/squad (plain_text, train)" in line


# ---- real data

needs_data = pytest.mark.skipif("XMRC_DATA" not in os.environ, reason="needs corpora in XMRC_DATA")


@needs_data
@pytest.mark.parametrize(
    ("name", "languages", "count", "parallel", "answered"),
    [
        ("xquad", list(MLQA), 7 * 1190, True, True),
        ("mlqa/dev", list(MLQA), 15747, True, True),
        ("mlqa/dev", None, 15747, True, True),
        ("tydiqa-goldp/train", ["en"], 3696, False, True),
        ("tydiqa-goldp/train", ["ko", "sw"], 1625 + 2755, False, True),
        ("tydiqa-goldp/dev", ["en", "fi", "ko", "sw"], 440 + 782 + 276 + 499, False, False),
    ],
)
def test_real_corpora(
    name: str, languages: list[str] | None, count: int, parallel: bool, answered: bool
) -> None:
    corpus = load(name, Path(os.environ["XMRC_DATA"]), languages)
    assert (len(corpus.examples), corpus.parallel, corpus.answered) == (count, parallel, answered)
    ids = {(each.id, each.question_language, each.context_language) for each in corpus.examples}
    assert len(ids) == count


@needs_data
def test_real_files_by_glob_are_those_by_name() -> None:
    root = Path(os.environ["XMRC_DATA"])
    by_name, by_glob = load("mlqa/dev", root), load(f"{root}/mlqa/dev/*.json")
    assert by_glob.parallel
    assert set(by_glob.examples) == set(by_name.examples)
    limited = load("mlqa/dev", root, limit=50)
    assert len({each.id for each in limited.examples}) == 50


def test_what_is_not_strict_leaves_a_question_out_in_every_language(tmp_path: Path) -> None:
    """q1's answer is off in German; q2 and q3 are as they should be."""
    for language, starts in (("en", (0, 0, 0)), ("de", (3, 0, 0))):
        questions = [
            {"id": f"q{n}", "question": "?", "answers": [{"text": "Ada", "answer_start": start}]}
            for n, start in enumerate(starts, 1)
        ]
        paragraphs = [{"context": f"Ada, in {language}", "qas": questions}]
        content = json.dumps({"data": [{"paragraphs": paragraphs}]})
        (tmp_path / f"qa.{language}.json").write_text(content)
    name = str(tmp_path / "qa.*.json")
    with pytest.raises(DataError, match=r"qa\.de\.json: answers must stand .* 1 do not.*'q1'"):
        load(name)
    corpus = load_corpus(name, root=None, languages=None, limit=None, strict=False)
    assert sorted((one.id, one.context_language) for one in corpus.examples) == [
        ("q2", "de"), ("q2", "en"), ("q3", "de"), ("q3", "en"),
    ]  # fmt: skip
    assert corpus.left_out == 1
    assert load_corpus(name, root=None, languages=["en"], limit=None).left_out == 0

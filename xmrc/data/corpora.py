"""Corpora by name. In: a name of the catalogue, or the path or glob of files. Out: a `Corpus`.

A corpus of the catalogue is read below a local folder, in any of the layouts that its archives
unpack to; from the Hugging Face hub if it is not there; or generated (demo).
"""

import difflib
import glob
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from xmrc.data.alignment import every_pair
from xmrc.data.cache import Cache
from xmrc.data.catalogue import CATALOGUE, EVERY, Entry, held_in, layout_path
from xmrc.data.demo.corpus import demo_examples
from xmrc.data.examples import Example, LanguagePair, astray_ids, read_squad
from xmrc.data.hub import HubSource, read_hub
from xmrc.data.languages import language_of_id, languages_of_file, split_explicit
from xmrc.data.store import store_examples
from xmrc.errors import DataError


@dataclass(frozen=True)
class Corpus:
    """Questions over contexts; an id stands once for each pair of question and context language.

    `parallel`: questions with the same id are the same question in several languages. `left_out`:
    ids that were, as an answer of theirs does not stand at its offset. The examples are in memory
    until they are stored (`stored`), and in the file `path` of the cache from then on.
    """

    name: str
    examples: Sequence[Example] = field(default=(), repr=False)
    parallel: bool = False
    licence: str = "not stated"
    citation: str = ""
    left_out: int = 0
    _path: Path | None = None

    @property
    def question_languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.question_language for each in self.examples))

    @property
    def context_languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.context_language for each in self.examples))

    @property
    def answered(self) -> bool:
        """Whether every question has an answer; a blind set can be predicted, not scored."""
        return all(each.answers for each in self.examples)

    def stored(self, cache: Cache) -> Self:
        """The same with its examples in the cache instead of memory: small enough to travel."""
        return replace(self, examples=(), _path=store_examples(self.examples, cache))

    @property
    def path(self) -> Path:
        """Where the examples are stored; `load_examples` reads them."""
        assert self._path is not None, "a corpus is stored before it is trained on or read"
        return self._path

    @property
    def content(self) -> str:
        """The hash of the stored examples."""
        return self.path.parent.name


def load_corpus(
    name: str,
    *,
    root: Path | None,
    languages: Sequence[str] | None,
    limit: int | None,
    strict: bool = True,
) -> Corpus:
    """Load a corpus of the catalogue, or of SQuAD-format files.

    Files: "qa.de.json", "qa/*.json", "qa.json:de", "qa.json:en-de" (question-context). In files of
    several languages the same id is the same question; a single language's ids may repeat.

    `root` is the folder of the downloaded corpora. `languages` keeps the pairs of those (None: all
    there are), in the catalogue's order. `limit` keeps that many question ids, those of lowest
    hash: the same ids in every language, on every machine. Where `strict` is off, questions with an
    answer that does not stand at its offset are left out, in every language.

    Raises DataError: an unknown name; a folder, file or language that is not there; a hub that does
    not answer; a file whose name does not state its language; an id twice in a pair of languages;
    and whatever `read_squad` refuses.
    """
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        examples = _read_entry(name, entry, root, languages, strict)
        corpus = Corpus(name, examples, entry.parallel, entry.licence, entry.citation)
    else:
        corpus = _read_paths(name, languages, strict)
    corpus = _without_astray(corpus)
    _check_ids(corpus)
    return corpus if limit is None else replace(corpus, examples=_lowest(corpus, limit))


def across_languages(corpus: Corpus) -> Corpus:
    """What is evaluated of a corpus: every pair of languages, where it has several of them.

    Raises DataError: its languages are not aligned.
    """
    if not corpus.parallel:
        return corpus
    languages = corpus.context_languages
    return replace(corpus, examples=every_pair(corpus.name, corpus.examples, languages))


def _read_entry(
    name: str, entry: Entry, root: Path | None, languages: Sequence[str] | None, strict: bool
) -> list[Example]:
    wanted = _select(name, entry.pairs, languages)
    if entry.generated:
        return demo_examples(entry.generated, [language for language, _ in wanted])
    assert entry.hub, name
    read: Callable[[LanguagePair], list[Example]]
    if files := _local_files(entry, root):
        held, read = list(files), partial(_read_file, files, entry.unique_ids, strict)
    else:
        held = held_in(entry.hub.config, entry.pairs)
        read = partial(_read_hub, name, entry.hub, root, strict)
    if held == [EVERY]:
        return _select_examples(name, _with_languages_of_ids(read(EVERY), name), languages)
    return [each for pair in _select(name, held, languages, entry.pairs) for each in read(pair)]


def _local_files(entry: Entry, root: Path | None) -> dict[LanguagePair, Path]:
    """The file of each language pair, in the first layout that is there; none if none is."""
    if root is None:
        return {}
    if not root.is_dir():
        raise DataError(
            f"settings.data.root (--data-root, XMRC_DATA): must be the folder of the corpora, "
            f"got {root}"
        )
    for layout in entry.files:
        paths = {pair: root / layout_path(layout, pair) for pair in held_in(layout, entry.pairs)}
        there = {pair: path for pair, path in paths.items() if path.is_file()}
        if there:
            return there
    return {}


def _without_astray(corpus: Corpus) -> Corpus:
    """Without what a strict reading has refused."""
    astray = astray_ids(corpus.examples)
    kept = [each for each in corpus.examples if each.id not in astray]
    if not kept:
        raise DataError(f"corpus {corpus.name!r}: no question has its answers at their offsets")
    return replace(corpus, examples=kept, left_out=len(astray))


def _read_file(
    files: Mapping[LanguagePair, Path], unique_ids: bool, strict: bool, pair: LanguagePair
) -> list[Example]:
    # ids that are numbered anew would no longer tell their languages
    return read_squad(files[pair], *pair, unique_ids=unique_ids or pair == EVERY, strict=strict)


def _read_hub(
    name: str, source: HubSource, root: Path | None, strict: bool, pair: LanguagePair
) -> list[Example]:
    try:
        return read_hub(source, *pair, strict=strict)
    except DataError as error:
        where = f"is not below {root}" if root else "has no folder to be read from"
        raise DataError(
            f"corpus {name!r} {where} (settings.data.root, XMRC_DATA), and {error}"
        ) from error


def _with_languages_of_ids(examples: Iterable[Example], source: str) -> list[Example]:
    languages = [(each, language_of_id(each.id, source)) for each in examples]
    return [replace(e, question_language=code, context_language=code) for e, code in languages]


def _read_paths(name: str, languages: Sequence[str] | None, strict: bool) -> Corpus:
    files = _path_files(name)
    pairs = list(dict.fromkeys(pair for pair, _ in files))
    kept = _select(name, pairs, languages)
    examples = [
        each
        for pair, path in files
        if pair in kept
        for each in read_squad(path, *pair, unique_ids=len(pairs) > 1, strict=strict)
    ]
    pairs_of_id = Counter(id for id, _, _ in {_key(each) for each in examples})
    parallel = any(count > 1 for count in pairs_of_id.values())
    return Corpus(name, examples, parallel)


def _path_files(name: str) -> list[tuple[LanguagePair, Path]]:
    pattern, explicit = split_explicit(name)
    if not (pattern.endswith(".json") or glob.has_magic(pattern)):
        nearest = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.0)[0]
        raise DataError(
            f"no corpus is named {name!r} (nearest: {nearest!r}): a corpus is one of "
            f"{', '.join(CATALOGUE)}, or the path or glob of SQuAD-format .json files"
        )
    path = Path(os.path.expanduser(pattern))
    paths = [path] if path.is_file() else sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not paths:
        raise DataError(f"corpus {name!r}: no file matches {path.absolute()}")
    return [(explicit or languages_of_file(path.name), path) for path in paths]


def _select(
    name: str,
    held: Sequence[LanguagePair],
    languages: Sequence[str] | None,
    whole: Sequence[LanguagePair] = (),
) -> list[LanguagePair]:
    """The pairs of `languages`; DataError if one, or one of the `whole` corpus, is not held."""
    if languages is None:
        return list(held)
    present = list(dict.fromkeys(language for pair in held for language in pair))
    absent = [repr(language) for language in languages if language not in present] or [
        f"questions in {pair[0]!r} over contexts in {pair[1]!r}"
        for pair in whole
        if set(pair) <= set(languages) and pair not in held
    ]
    if absent:
        raise DataError(f"corpus {name!r} has no {absent[0]}; it has {', '.join(present)}")
    kept = [pair for pair in held if set(pair) <= set(languages)]
    if not kept:
        raise DataError(
            f"corpus {name!r} has no pair of languages among [{', '.join(languages)}]; it has "
            f"{', '.join(map('-'.join, held))} (question-context)"
        )
    return kept


def _select_examples(
    name: str, examples: Sequence[Example], languages: Sequence[str] | None
) -> list[Example]:
    pairs = dict.fromkeys((each.question_language, each.context_language) for each in examples)
    kept = set(_select(name, list(pairs), languages))
    return [each for each in examples if (each.question_language, each.context_language) in kept]


def _key(example: Example) -> tuple[str, str, str]:
    return example.id, example.question_language, example.context_language


def _check_ids(corpus: Corpus) -> None:
    key, count = Counter(map(_key, corpus.examples)).most_common(1)[0]
    if count > 1:
        raise DataError(
            f"corpus {corpus.name!r}: a question id must stand once in a pair of languages: "
            f"{key[0]!r} stands {count} times in {key[1]}-{key[2]}"
        )


def _lowest(corpus: Corpus, limit: int) -> list[Example]:
    if limit < 1:
        raise DataError(f"corpus {corpus.name!r}: a limit must be at least 1, not {limit}")
    ids = sorted({each.id for each in corpus.examples}, key=lambda id: (_hash(id), id))
    kept = set(ids[:limit])
    return [each for each in corpus.examples if each.id in kept]


def _hash(question_id: str) -> bytes:
    return hashlib.blake2b(question_id.encode(), digest_size=8).digest()

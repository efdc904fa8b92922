"""Text rewritten by a program: in Latin letters, or with its words in another order.

Nobody has read what comes out, and a language detector's purity says nothing of it.
"""

import functools
import hashlib
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import langcodes

from ..base.errors import NeuroglotError, quoted
from ..base.provenance import versions
from .corpora import Corpus
from .languages import script

# Scripts that set no spaces between words, and the model of BudouX that finds where a line may break.
_UNSPACED = {"Han": "simplified_chinese", "Japanese": "japanese", "Thai": "thai"}

_SPACES = re.compile(r"(\s+)")


def not_latin(corpus: Corpus) -> tuple[str, ...]:
    """The languages of which most letters of the text, or at least half, are not Latin ones."""
    found = []
    for code in corpus.languages:
        latin = letters = 0
        for example in corpus.examples:
            if example.language == code:
                own = [c for c in example.prompt + example.response if c.isalpha()]
                letters += len(own)
                latin += sum(map(_is_latin, own))
        if letters and latin <= letters / 2:
            found.append(code)
    return tuple(found)


@functools.cache
def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")


def words(text: str, code: str) -> list[str]:
    """A text without spaces, in words of its language.

    Where the script sets spaces between words that is one; in Chinese, Japanese and Thai it is cut where BudouX would
    break a line, in Japanese so into phrases (a word with its particles). Marks stay at the word they stand at.
    """
    model = _UNSPACED.get(script(code) or "")
    if not model or not text:
        return [text]
    found: list[str] = []
    for piece in _breaks(model).parse(text):
        if found and _one_word(found[-1][-1] + piece[0]):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def _one_word(border: str) -> bool:
    """Whether two characters of a number or of a Latin word were cut apart."""
    return border.isascii() and border.isalnum()


@functools.cache
def _breaks(model: str) -> Any:
    import budoux

    return getattr(budoux, f"load_default_{model}_parser")()


@functools.cache
def _romanizer() -> Any:
    from uroman import Uroman

    return Uroman()  # takes seconds


def romanized(corpus: Corpus, languages: Iterable[str] | None = None) -> Corpus:
    """Prompts and responses in Latin letters, by uroman (Hermjakob, May and Knight, 2018), word by word.

    Between the :func:`words` of a script without spaces there is one then. It writes letters as they are mostly read,
    not as a dictionary would: Japanese kanji as in Chinese, Thai without the vowels that it does not write, numerals of
    any script as digits. Ids stay, so that whatever is resampled stays.

    Args:
        corpus: any text.
        languages: those to rewrite, others stay as they are; default: those of :func:`not_latin`.

    Raises:
        NeuroglotError: a language that the corpus has not.
    """
    chosen = not_latin(corpus) if languages is None else tuple(languages)
    names = {code: _three_letters(code) for code in chosen}

    def latin(text: str, code: str, _label: str) -> str:
        parts = _SPACES.split(text)
        parts[::2] = (" ".join(_latin(word, names[code]) for word in words(run, code)) for run in parts[::2])
        made = "".join(parts)
        return made if made.strip() else text  # nothing but marks that are not read, such as a lone ー

    return _rewritten(corpus, chosen, latin, "romanized", ("uroman", "budoux"))


def _three_letters(code: str) -> str | None:
    """A language's code as uroman has it, ISO 639-3; ``None`` for a name that is none."""
    try:
        return langcodes.Language.get(code).to_alpha3()
    except (ValueError, LookupError):
        return None


@functools.lru_cache(maxsize=100_000)
def _latin(word: str, name: str | None) -> str:
    found: str = _romanizer().romanize_string(word, lcode=name) if not word.isascii() else word
    return found.strip()


def shuffled(corpus: Corpus, languages: Iterable[str] | None = None, *, seed: int = 0) -> Corpus:
    """Prompts and responses with the :func:`words` of each line in random order; the spaces stay where they are.

    The order follows from a hash, another one for each text and line. Ids stay, so that whatever is resampled stays.

    Args:
        corpus: any text.
        languages: those to rewrite, others stay as they are; default: all.
        seed: of the hash.

    Raises:
        NeuroglotError: a language that the corpus has not.
    """
    chosen = corpus.languages if languages is None else tuple(languages)
    number = operator.index(seed)

    def dealt(text: str, code: str, label: str) -> str:
        lines = text.splitlines(keepends=True)
        return "".join(_dealt(line, code, f"{number}/{label}/{place}") for place, line in enumerate(lines))

    return _rewritten(corpus, chosen, dealt, "shuffled", ("budoux",), seed_of_order=number)


def _dealt(line: str, code: str, label: str) -> str:
    """A line's words in the order of a hash of their places, spaces where they were."""
    parts = _SPACES.split(line)
    runs = [[word for word in words(run, code) if word] for run in parts[::2]]
    every = [word for run in runs for word in run]
    places = sorted(range(len(every)), key=lambda place: hashlib.sha256(f"{label}/{place}".encode()).digest())
    order = iter(places)
    parts[::2] = ("".join(every[next(order)] for _ in run) for run in runs)
    return "".join(parts)


def _rewritten(
    corpus: Corpus,
    languages: tuple[str, ...],
    rewrite: Callable[[str, str, str], str],
    how: str,
    libraries: tuple[str, ...],
    **options: Any,
) -> Corpus:
    """With prompts and responses of some languages rewritten, by text, language and a label of its own."""
    if foreign := [code for code in languages if code not in corpus.languages]:
        raise NeuroglotError(f"corpus {corpus.name}: there is no language {quoted(foreign[0])}.")
    examples = []
    for example in corpus.examples:
        if example.language in languages:
            label = f"{example.language}/{example.id}"
            prompt = rewrite(example.prompt, example.language, f"{label}/prompt")
            response = rewrite(example.response, example.language, f"{label}/response")
            example = replace(example, prompt=prompt, response=response)
        examples.append(example)
    said = versions(*libraries)
    by = ", ".join(f"{name} {said[name]}" for name in libraries)
    source = f"{corpus.source}, automatically {how} ({by})" if corpus.source else f"automatically {how} ({by})"
    own = {**corpus.options, how: list(languages), **options}
    return Corpus(f"{corpus.name}, {how}", corpus.languages, tuple(examples), source, own)

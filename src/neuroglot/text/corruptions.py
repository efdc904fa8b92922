"""Wrong answers made from right ones: a wrong number, a wrong step, the wrong language."""

import hashlib
import operator
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from ..base.errors import NeuroglotError, quoted
from .corpora import Corpus
from .numbers import equations, numbers

#: What a response of :func:`corrupted` is, in the order of the numbers in its id; stands in ``group``.
GROUPS = ("right", "wrong number", "wrong step", "wrong language")


def corrupted(corpus: Corpus, languages: Iterable[str] | None = None, *, seed: int = 0) -> Corpus:
    """Every question with its right response and up to three wrong ones.

    A wrong number is the last number of the response with one digit changed; a wrong step the result
    of its first equation likewise (not where that is the last number); the wrong language the same problem's
    response in another language of the corpus. Which digit and which language follows from a hash.

    Args:
        corpus: questions with right responses, in several languages.
        languages: those to make wrong responses in; default: all.
        seed: of the hash.

    Returns:
        A corpus of these languages with ids ``ID#1`` (right) to ``ID#4``; ``group`` says which of :data:`GROUPS`.

    Raises:
        NeuroglotError: no responses, or a language that the corpus has not.
    """
    chosen = tuple(languages) if languages is not None else corpus.languages
    if foreign := [code for code in chosen if code not in corpus.languages]:
        raise NeuroglotError(f"corpus {corpus.name}: there is no language {quoted(foreign[0])}.")
    if corpus.questions_only:
        raise NeuroglotError(f"corpus {corpus.name} has no right responses to corrupt; sample responses instead.")
    translations: dict[str, dict[str, str]] = {}
    for example in corpus.examples:
        translations.setdefault(example.id, {})[example.language] = example.response
    examples = []
    for example in corpus.examples:
        if example.language not in chosen:
            continue
        label = f"{seed}/{example.language}/{example.id}"
        others = sorted(set(translations[example.id]) - {example.language})
        texts = (
            example.response,
            wrong_last_number(example.response, label),
            wrong_first_result(example.response, f"{label}/step"),
            translations[example.id][others[_drawn(label, len(others))]] if others else None,
        )
        made = {kind: text for kind, text in zip(GROUPS, texts, strict=True) if text is not None}
        examples += [
            replace(example, id=f"{example.id}#{GROUPS.index(kind) + 1}", response=text, group=kind)
            for kind, text in made.items()
        ]
    options = {**corpus.options, "seed_of_corruption": operator.index(seed)}
    return Corpus(f"corrupted:{corpus.name}", chosen, tuple(examples), corpus.source, options)


def _drawn(label: str, choices: int) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") % choices


def wrong_last_number(text: str, label: str) -> str | None:
    """One digit of the last number changed, by a hash of ``label``; ``None`` where there is no number."""
    found = numbers(text)
    return _changed(text, found[-1][:2], label) if found else None


def wrong_first_result(text: str, label: str) -> str | None:
    """One digit of the first equation's result changed; ``None`` where no equation comes before the last number."""
    steps = equations(text)
    if not steps or (steps[0].start, steps[0].end) == numbers(text)[-1][:2]:
        return None
    return _changed(text, (steps[0].start, steps[0].end), label)


def _changed(text: str, span: tuple[int, int], label: str) -> str:
    """One digit of a number is another one, of the same script; a leading one does not become zero."""
    start, end = span
    places = [i for i in range(start, end) if text[i].isdecimal()]
    place = places[-1]
    old, least = unicodedata.decimal(text[place]), int(place == places[0])
    new = [digit for digit in range(least, 10) if digit != old][
        _drawn(label, 9 - least if old >= least else 10 - least)
    ]
    return text[:place] + chr(ord(text[place]) - old + new) + text[place + 1 :]

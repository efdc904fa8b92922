"""Reruns of the chapters with random parameters on odd texts: no failure, no growth, no sentence that is not one.

``make soak`` makes 40, ``make test`` one. What is drawn is decided by the rerun's number.
"""

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from neuroglot import ActivationStats, NeuronTypes, load_corpus
from neuroglot.base.tables import ARTIFACTS
from neuroglot.book import chapters
from neuroglot.book.manifest import MANIFEST

from ..conftest import byte_tokenizer, tiny_model

pytestmark = pytest.mark.model
ROOT = Path(__file__).parents[2]
RERUNS = int(os.environ.get("SOAK", "1"))

# --- texts --------------------------------------------------------------------------------------

TWELVE = ("ar", "bn", "de", "en", "es", "fr", "he", "ja", "ru", "sw", "th", "zh")


def _problems(languages, n=6):
    return [
        (e.language, e.id, e.prompt, e.response) for e in load_corpus("problems", languages=languages, n=n).examples
    ]


def _declaration(languages, articles=6):
    found = load_corpus("udhr", languages=languages, articles=articles)
    return [(e.language, e.id, "", e.response) for e in found.examples]


def _thin():
    """One language with a hundredth of the others' text."""
    rows = _problems(("en", "de", "sw"), 10)
    little = [(code, name, "?", text[:8]) for code, name, _, text in rows if code == "sw"]
    return [row for row in rows if row[0] != "sw"] + little[:4]


def _same():
    """Two languages of the same text: every neuron is as often active in both, none is specific."""
    english = [row for row in _problems(("en", "de")) if row[0] == "en"]
    return english + [("de", name, prompt, text) for _, name, prompt, text in english]


NAMES = ("language", "id", "prompt", "response")

#: By name: rows of language, document, prompt and response.
TEXTS: dict[str, Any] = {
    "two languages": lambda: _problems(("en", "zh")),
    "twelve languages": lambda: _declaration(TWELVE),
    "right to left": lambda: _declaration(("ar", "fa", "he", "ur")),
    "a hundredth": _thin,
    "the same text": _same,
    "four languages": lambda: _problems(("en", "bn", "ja", "ru")),
    "no english": lambda: _problems(("de", "fr", "th")),
    "one document": lambda: _problems(("en", "es"), 2),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The real notebooks, two tiny models, and every text."""
    root = tmp_path_factory.mktemp("soak")
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("vendor", "chapters", "reference"))
    for name, layers in {"model": 5, "flat": 2}.items():
        model = tiny_model("llama", num_hidden_layers=layers, max_position_embeddings=2048)
        model.float().save_pretrained(root / name)
        byte_tokenizer().save_pretrained(root / name)
    for name, rows in TEXTS.items():
        lines = [
            json.dumps({name: value for name, value in zip(NAMES, row, strict=True) if value}, ensure_ascii=False)
            for row in rows()
        ]
        (root / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


# --- parameters ---------------------------------------------------------------------------------

#: Of the counts: drawn once for a text, since another value is another run.
COUNTING: dict[str, list[Any]] = {
    "model": ["model", "model", "flat"],
    "model_options": [{}, {"dtype": "bfloat16"}],
    "quantity": ["pre-activation", "activation", "product"],
    "above": [0.0, 0.05],
    "gather": [None, "maxima", "histograms maxima"],
    "moments": [False, True],
    "shards": [2, 5, 20],
    "batch_tokens": [256, 1024],
    "max_tokens": [None, 900],
    "held_out_share": [0.2, 0.5],
    "accuracy_questions": [0, 1],
    "corpus_options": [None],
    "languages": [None],
    "sampling": [{}],
}

#: Of the chapters that read them: drawn anew for every rerun.
READING: dict[str, list[Any]] = {
    "top_rate": [0.001, 0.01, 0.05, 0.2, 1.0],  # none selected; all: lambda cannot keep general neurons out
    "lam": [None, None, 0.0, 0.3],
    "quantile": [0.5, 0.95, 0.999],
    "scaled": [True, False],
    "min_tokens": [1, 20],
    "detector": ["lambda-score", "lape"],
    "activity": ["tau"],
    "splits": [2, 5],
    "overlap_splits": [2, 3],
    "seed": [0, 1, 2],
    "general": [0, 3],
    "texts": [1, 2],
    "window": [3, 20],
    "token_texts": [{}],
    "writing_draws": [2, 3],
    "removal_documents": [1, 2],
    "documents": [1, 3],
    "few_documents": [1, 2],
    "response_tokens": [None, 3],
    "positions": ["all", "response"],
    "random_draws": [1, 2],
    "other_draws": [1, 2],
    "dose_steps": [1, 2],
    "choice_questions": [0, 2],
    "choice_solutions": [0, 2],
    "choice_draws": [1, 2],
    "answer_questions": [0, 1],
    "more_questions": [None],
    "answer_draws": [1],
    "second": [None],
    "second_options": [{}],
    "pivot": ["en", None],  # None here: the text's last language
    "source": [None],
    "targets": [None],
    "most_targets": [1, 3],
    "strengths": [{"amplify": [0, 4], "set": [0, 1]}],
    "headline": [{"amplify": 4, "set": 1}],
    "prompts": [1, 2],
    "prompt_shots": [0, 1],
    "new_tokens": [1, 4],
    "steering_draws": [1, 2],
    "mean_documents": [1, 2],
    "detectors": ["lambda-score lape average-precision", "lape percentile overlap mean-difference plnd", "attribution"],
    "removed": [None, "lape"],
    "budgets": [[3], [2, "its own choice"], [100000]],
    "detector_documents": [2, 3],
    "rewritten": [None, "romanized", "romanized shuffled"],
    "compared_documents": [1, 2],
    "elsewhere": [None],
    "claims_also": ["", "writing alignment"],
    "detector_draws": [1, 2],
    "choices": [None],  # None here: the text's first language that is not the pivot
    "seeds": [[0], [0, 1]],
    "control": [True, False],
    "chosen_only": [False, True],
    "preset": ["small"],
    "recipe": [{"steps": 2, "save_every": 1, "batch": 1, "micro_batch": 1}],
    "steps": [[], [1]],
    "practice": ["problems"],
    "practice_options": [{"n": 8, "seed": 2, "levels": "1"}],
    "candidates": ["corrupted"],
    "candidate_sampling": [{}],
    "scorer": ["exact"],
    "measured_documents": [1, 2],
    "answered_again": [0, 1],
    "after": [None],
    "adapter": [None],
    "checkpoints": [[]],
    "judge": ["self"],
    "score_questions": [0, 1],
    "domains": [{}],
    "domain_sampling": [{"shots": 0}],
}

# What says where files lie, and the run itself.
ELSEWHERE = {*ARTIFACTS, "corpus", "overwrite", "runs", "neurons", "released"}


def drawn(number: int) -> tuple[str, dict[str, Any], list[chapters.Chapter]]:
    """The text of a rerun, its parameters, and the chapters that are run again."""
    name = list(TEXTS)[number % len(TEXTS)]
    of_text, own = random.Random(name), random.Random(number)
    given = {key: of_text.choice(values) for key, values in COUNTING.items()}
    given |= {key: own.choice(values) for key, values in READING.items()}
    if given["detector"] != "lambda-score":
        given["lam"] = None  # others have none
    languages = list(dict.fromkeys(row[0] for row in TEXTS[name]()))
    if given["pivot"] not in languages:
        given["pivot"] = languages[-1]
    given |= {"choices": [next(code for code in languages if code != given["pivot"])], "corpus": f"jsonl:{name}.jsonl"}
    numbers = {"01", "02", "03", "index"} | set(own.sample(["00", "04", "05", "06", "10", "11"], 2))
    if name in ("two languages", "four languages", "a hundredth") and number >= len(TEXTS):
        numbers |= {"07", "08", "09"}  # aligned on what there are problems for
    return name, given, [chapter for chapter in chapters.CHAPTERS if chapter.name.partition("-")[0] in numbers]


def test_every_parameter_of_the_chapters_is_drawn():
    known = {name for names in chapters._known(ROOT, {}).values() for name in names}
    assert known - ELSEWHERE == set(COUNTING) | set(READING)


# --- what a page may not say --------------------------------------------------------------------

BAD = {
    "no number": r"\b(nan|NaN|inf|None|<NA>|NaT)\b",
    "zero below zero": r"(?<![\w.])[-−]0(\.0+)?(?![.\d])",
    "one of many": r"(?<![\d.,/])1 (?!of\b)(?:(?!is\b|has\b)\w+ )?"
    r"(neurons|languages|wordings|documents|tokens|texts|draws|detectors|shards)\b",
    "an error": r"Traceback|Warning:",
    "an empty place": r"\(\s*\)|\s,|\bof ,|: \.|,\s*\.|\.\.(?!\.)",
}


def said(output: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is read of an output of a cell, and of which kind it is."""
    if output["output_type"] == "stream":
        if output["name"] == "stderr":
            yield "stderr", output["text"]
        return
    if output["output_type"] == "error":
        yield "error", output["evalue"]
    for kind, text in output.get("data", {}).items():
        if kind == "text/markdown":
            yield kind, text
        elif kind == "text/html" and "<table" in text:
            yield kind, " ".join(re.findall(r"<t[dh][^>]*>([^<]*)<", text))
        elif kind.startswith("application/vnd.vegalite"):
            yield "chart", json.dumps(text, allow_nan=True)


def faults(notebook: dict[str, Any]) -> list[str]:
    """What is wrong with the sentences and charts of an executed chapter."""
    found = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            for kind, text in said(output):
                if kind == "chart":
                    found += [f"chart: {match}" for match in re.findall(r"\bNaN\b|\bInfinity\b", text)]
                elif kind == "text/markdown":
                    prose = re.sub(r"\{[^}]*\}(?=`)|<[^>]+>", "", re.sub(r"`[^`]*`", "term", text))
                    for what, pattern in BAD.items():
                        found += [
                            f"{what}: {prose[max(0, m.start() - 60) : m.end() + 40]!r}"
                            for m in re.finditer(pattern, prose)
                        ]
                elif kind == "text/html":
                    cells = {what: BAD[what] for what in ("no number", "zero below zero")}
                    cells["no number"] = r"[-+]?\b(nan|NaN|inf|<NA>|NaT)\b"  # settings may be None
                    found += [f"{what}: {text[max(0, m.start() - 60) : m.end() + 40]!r}"
                              for what, pattern in cells.items() for m in re.finditer(pattern, text)]  # fmt: skip
                elif kind == "error" or (kind == "stderr" and re.search(r"Runtime\w*Warning|Traceback", text)):
                    found.append(f"error: {text}")
    return found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("It costs nan nats.", "no number"),
        ("Zero is -0.00 nats.", "zero below zero"),
        ("In 1 languages more.", "one of many"),
        ("It gives 0 specific and 1 related neurons.", "one of many"),
        ("None of 3 () differ.", "an empty place"),
    ],
)
def test_a_faulty_sentence_is_found(text, fault):
    output = {"output_type": "display_data", "data": {"text/markdown": text}}
    assert any(found.startswith(fault) for found in faults({"cells": [{"outputs": [output]}]}))
    right = {"output_type": "display_data", "data": {"text/markdown": "In 1 of 11 languages -0.05 nats, 21 neurons."}}
    assert faults({"cells": [{"outputs": [right]}]}) == []


def test_a_faulty_cell_or_warning_is_found():
    cells = "<table><tr><td class='x'>{}</td></tr></table>"
    for cell, wrong in {"+nan": True, "-0.000": True, "None": False, "-0.05": False}.items():
        output = {"output_type": "display_data", "data": {"text/html": cells.format(cell)}}
        assert bool(faults({"cells": [{"outputs": [output]}]})) == wrong, cell
    output = {"output_type": "stream", "name": "stderr", "text": "x.py:1: RuntimeWarning: invalid value"}
    assert faults({"cells": [{"outputs": [output]}]})


# --- the reruns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(RERUNS))
def test_a_rerun_goes_through_and_says_what_is_so(project, number):
    name, given, some = drawn(number)
    run = name.replace(" ", "-")
    folder = project / "runs" / run
    before = {path.relative_to(folder) for path in folder.rglob("*")}
    chapters.run_chapters(given, root=project, run=run, chapters=some)
    told = []
    for chapter in some:
        notebook = nbformat.read(chapters.executed(folder, chapter.name), as_version=4)
        told += [f"{chapter.name}: {fault}" for fault in faults(notebook)]
    assert not told, "\n".join(told)
    types, stats = (
        NeuronTypes.load(folder / ARTIFACTS["types"]),
        ActivationStats.load(folder / ARTIFACTS["stats"]),
    )
    assert int(types.selected.sum()) <= round(given["top_rate"] * types.selected.size) or given["top_rate"] == 1.0
    assert np.all(stats.counts <= stats.tokens) and not list(folder.rglob("*.part*"))
    # Nothing is left over or kept twice: a rerun adds only what chapters write that it is the first to run.
    after = {path.relative_to(folder) for path in folder.rglob("*")}
    chapters.run_chapters(given, root=project, run=run, chapters=some)
    assert {path.relative_to(folder) for path in folder.rglob("*")} == after
    growth = {path for path in after - before if path.parts[0] not in ("chapters", "gathered", "aligned", MANIFEST)}
    assert growth <= {Path(file) for file in ARTIFACTS.values()} | {Path(f"{run}.lock")}, growth

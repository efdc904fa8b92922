"""From an executed chapter to its page: the finding first, its run in the margin, and the command that made it."""

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open

from ..base.artifacts import header_of
from ..base.errors import NeuroglotError, is_number
from ..base.tables import ARTIFACTS
from ..text.languages import languages_of
from .markup import html

# Begins the tag of a cell that makes no sense without a parameter.
_NEEDS = "needs-"


def page(
    notebook: Mapping[str, Any],
    name: str,
    *,
    run: str,
    root: Path,
    files: Mapping[str, str] | None = None,
    preset: str = "",
    repository: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The notebook that a chapter's page is made from.

    Cells tagged ``opening`` come right behind the title; those tagged ``needs-NAME`` are left out where the chapter's
    parameter of that name was not given, or is ``None``. The run stands in the margin, the command at the end, which
    has all that papermill injected; tables can be scrolled, and pictures say what they show.
    Widgets are shown as the HTML that they bring along; those without any are left out.

    Args:
        notebook: the executed chapter, as JSON; it is left as it is.
        name: of its source in ``notebooks/``.
        run: name of the folder under ``runs/``.
        root: what the paths among its parameters start from.
        files: the run's ``stats`` and ``types``, for a chapter that is not given both.
        preset: that of the run.
        repository: ``url`` and ``branch`` on GitHub, for links that open the source in Colab and Binder.
    """
    parameters = parameters_of(notebook)
    title, *rest = [_readable(cell) for cell in notebook["cells"] if _has_its_needs(cell, parameters)]
    opening = [cell for cell in rest if "opening" in _tags(cell)]
    rest = [cell for cell in rest if "opening" not in _tags(cell)]
    facts = facts_of({**(files or {}), **parameters}, run=run, root=root, preset=preset)
    links = launch_links(name, repository or {})
    margin = _markdown("run", _margin(facts, links))
    again = _markdown("again", f"## Run this chapter again\n\n{_fenced(command(name, parameters))}")
    return {
        **notebook,
        "cells": [title, margin, *opening, *rest, again],
        "metadata": {name: value for name, value in notebook["metadata"].items() if name != "widgets"},
    }


def parameters_of(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """What papermill gave an executed chapter."""
    said: Any = notebook
    for name in ("metadata", "papermill", "parameters"):
        said = said.get(name) if isinstance(said, Mapping) else None
    return said if isinstance(said, dict) else {}


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _has_its_needs(cell: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    needs = (tag.removeprefix(_NEEDS) for tag in _tags(cell) if tag.startswith(_NEEDS))
    return all(parameters.get(name) is not None for name in needs)


def _markdown(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"page-{name}", "metadata": {}, "source": source}


def _readable(cell: Mapping[str, Any]) -> dict[str, Any]:
    """The cell without what papermill injects, and its tables and pictures prepared."""
    tags = _tags(cell)
    if "injected-parameters" in tags:
        tags = [*tags, "remove-cell"]
    readable = {**cell, "metadata": {**cell["metadata"], "tags": tags}}
    if "outputs" in cell:
        readable["outputs"] = [_prepared(output) for output in cell["outputs"] if not _needs_kernel(output)]
    return readable


_WIDGET = "application/vnd.jupyter.widget-view+json"

# Begins what works in a page without its widget's state.
_BY_THEMSELVES = ("<div data-neuroglot=", '<div class="neuroglot-playground')


def _needs_kernel(output: Mapping[str, Any]) -> bool:
    """Whether an output is a widget and nothing else, such as the bar of a model that was loaded."""
    data = output.get("data", {})
    return _WIDGET in data and "text/html" not in data


def _prepared(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output whose wide table scrolls by itself, and whose chart's picture has its description."""
    data = output.get("data", {})
    text = "".join(data.get("text/html", ""))
    if text.startswith(_BY_THEMSELVES):
        return {**output, "data": {"text/html": text}}
    described = next((content.get("description") for kind, content in data.items() if "vegalite" in kind), None)
    if described and text.startswith('<div class="neuroglot-chart"><svg'):
        text = text.replace("<svg", f'<svg role="img" aria-label="{html(described)}"', 1)
    elif re.search(r"<table\b", text) and "<script" not in text:
        text = f'<div class="neuroglot-table">{text}</div>'
    shown = {kind: content for kind, content in data.items() if kind != _WIDGET}
    return {**output, "data": {**shown, "text/html": text}} if text else dict(output)


# --- the run, in the margin ----------------------------------------------------------------------


def facts_of(parameters: Mapping[str, Any], *, run: str, root: Path, preset: str = "") -> list[tuple[str, str]]:
    """What a page's numbers rest on, as pairs of words: read from the files that the chapter was given.

    A file that the chapter does not read is taken from the run's folder. What is not there, or
    cannot be read, is left out. Of a chapter on ``released`` counts it is their folder, and not the run.
    """
    if "released" in parameters:
        return [("released counts", Path(str(parameters["released"] or "not here")).name)]
    if isinstance(compared := parameters.get("runs"), list):
        folders = [root / str(folder) for folder in compared]
    else:
        folders = [root / "runs" / run]
    facts = []
    for folder in folders:
        given = {} if compared else parameters
        stats, types = (_header(root / str(given.get(name, folder / ARTIFACTS[name]))) for name in ("stats", "types"))
        facts += [("run", folder.name if compared else run), *_of_counts(stats, types), *_of_types(types)]
    said = {"quick": "quick: not to be cited"}.get(preset, preset)
    return [*facts, ("preset", said)] if said else facts


@dataclass(frozen=True)
class _Header:
    """What an artefact says of itself, and its tokens per language if it holds any."""

    header: Mapping[str, Any]
    tokens: Mapping[str, int]


def _header(path: Path) -> _Header:
    """Of an artefact, without the large arrays; empty where it cannot be read."""
    try:
        header = header_of(path)
        languages = languages_of(header, path)
        with safe_open(path, framework="numpy") as file:
            tokens = file.get_tensor("shard_tokens") if "shard_tokens" in file.keys() else np.zeros((0, 0), int)  # noqa: SIM118
    except (OSError, SafetensorError, NeuroglotError):
        return _Header({}, {})
    whole = {name: header.get(name) or {} for name in ("provenance", "settings")}
    if tokens.ndim != 2 or not all(isinstance(said, dict) for said in whole.values()):
        return _Header({}, {})
    return _Header(header | whole, dict(zip(languages, tokens.sum(axis=0).tolist(), strict=False)))


def _of_counts(stats: _Header, types: _Header) -> list[tuple[str, str]]:
    made = types.header.get("provenance") or stats.header.get("provenance") or {}
    languages = types.header.get("languages") or stats.header.get("languages") or []
    facts = [(name, str(made[name])) for name in ("model", "revision") if made.get(name)]
    facts = [(name, model_name(value) if name == "model" else value) for name, value in facts]
    if corpus := made.get("corpus"):
        texts = made.get("examples")
        facts.append(("text", f"{corpus}, {texts:,} responses" if isinstance(texts, int) else str(corpus)))
    # Counts found in the run's folder are those of the types only if they are of the same text and model.
    same = (stats.header.get("provenance") or {}).get("input_sha256") == made.get("input_sha256")
    if stats.tokens and same and all(code in stats.tokens for code in languages):
        facts.append(("tokens", f"{sum(stats.tokens[code] for code in languages):,} counted"))
    return [*facts, ("languages", " ".join(languages))] if languages else facts


def _of_types(types: _Header) -> list[tuple[str, str]]:
    settings = types.header.get("settings") or {}
    numbers = {name: settings[name] for name in ("top_rate", "lam", "tau") if is_number(settings.get(name))}
    shown = {
        "top_rate": ("top rate", "{:.4g} %", 100),
        "lam": ("λ", "{:.4g}, " + ("solved" if settings.get("solved") else "given"), 1),
        "tau": ("τ", "{:.4g}", 1),
    }
    return [(shown[name][0], shown[name][1].format(shown[name][2] * number)) for name, number in numbers.items()]


def model_name(model: str) -> str:
    """A hub id or packaged name as it is; of a path elsewhere, the last part."""
    return Path(model).name if Path(model).is_absolute() else model


def _margin(facts: Sequence[tuple[str, str]], links: Sequence[tuple[str, str]]) -> str:
    """A list for each run, as HTML in the margin directive: values are names, in which Markdown would see marks."""
    rows = [f"<dt>{html(name)}</dt><dd>{html(value)}</dd>" for name, value in facts]
    starts = [place for place, (name, _) in enumerate(facts) if name == "run" or not place]
    runs = ["".join(rows[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    lists = "".join(f'<dl class="neuroglot-run">{run}</dl>' for run in runs)
    anchors = "".join(f'<a href="{html(address)}">{html(name)}</a>' for name, address in links)
    launch = f'<p class="neuroglot-launch">{anchors}</p>' if anchors else ""
    return f"::::{{margin}}\n:::{{raw}} html\n{lists}{launch}\n:::\n::::"


def launch_links(name: str, repository: Mapping[str, str]) -> list[tuple[str, str]]:
    """Addresses that open a chapter's source elsewhere; none without a repository on GitHub."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", str(repository.get("url") or ""))
    if not found:
        return []
    branch = str(repository.get("branch") or "main")
    source = f"notebooks/{name}.ipynb"
    return [
        ("Open in Colab", f"https://colab.research.google.com/github/{found[1]}/blob/{quote(branch)}/{source}"),
        (
            "Open in Binder",
            f"https://mybinder.org/v2/gh/{found[1]}/{quote(branch, safe='')}?labpath={quote(source, safe='')}",
        ),
    ]


# --- the command ---------------------------------------------------------------------------------


def command(name: str, parameters: Mapping[str, Any]) -> str:
    """What runs a chapter with these parameters, for a shell in the project's folder.

    Papermill reads from it the very parameters: the same values, of the same types.
    """
    first = f".venv/bin/papermill notebooks/{name}.ipynb out.ipynb"
    return " \\\n    ".join([first, *(_option(key, value) for key, value in parameters.items())])


def _option(name: str, value: Any) -> str:
    """``-p`` for numbers and for words that papermill takes as such, ``-r`` for other words, ``-y`` for the rest."""
    if isinstance(value, str):
        return f"{'-r' if _taken_for_another(value) else '-p'} {shlex.quote(name)} {shlex.quote(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"-p {shlex.quote(name)} {value!r}"
    # Unprintable letters in the clear are not read back as they were.
    printable = json.dumps(value, ensure_ascii=False).isprintable()
    style: dict[str, Any] = {"default_flow_style": True, "sort_keys": False, "width": math.inf}
    flow = yaml.safe_dump({name: value}, allow_unicode=printable, **style)
    return f"-y {shlex.quote(flow.strip())}"


def _taken_for_another(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("True", "False", "None")
    return True


def _fenced(text: str) -> str:
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{text}\n{fence}"

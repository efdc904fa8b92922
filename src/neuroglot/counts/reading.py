"""Counts that others made, in the files of their pipelines, and ours in theirs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ..base.artifacts import is_safetensors
from ..base.columns import read_columns, require_once, write_columns
from ..base.errors import NeuroglotError, in_a_line, listed, quoted
from ..base.files import atomic, plain_name
from ..base.tensors import read_tensors, whole_numbers, write_tensors
from ..text.languages import parse_languages, require_codes
from .activations import ActivationStats

#: What numbers of a table are below: layers, neurons of a layer, tokens.
BELOW = {"layer": 10_000, "neuron": 2**31, "count": 2**53, "tokens": 2**53}


def read_counts(path: str | Path, languages: str | Iterable[str] | None = None) -> ActivationStats:
    """Read counts from what others publish, or from our own file.

    Args:
        path: a folder of LAPE's files (``activation.LL.train.NAME``: ``n`` and ``over_zero``) or of those released
            with arXiv 2505.21505 (:func:`read_njunlp`), of one model; a table as :func:`write_counts` writes it, or
            any other with its columns; or a file written by :func:`neuroglot.collect`.
        languages: codes in the order wanted; default: all found, of a folder in alphabetical order.

    Returns:
        From others one shard, without moments. Of model and text it says what the names of files say.

    Raises:
        NeuroglotError: files missing, of several models, unreadable, of different shapes, or an unknown language.
    """
    path = Path(path)
    if path.is_dir():
        return read_njunlp(path, languages) if any(path.glob("prefix.activation.*")) else _of_folder(path, languages)
    if is_safetensors(path):
        return ActivationStats.load(path).select(languages)
    return _of_table(path).select(languages)


def write_counts(path: str | Path, stats: ActivationStats) -> None:
    """Write counts for the pipelines of others, all shards together.

    Args:
        path: its ending says how: ``.csv`` or ``.parquet`` a table with a row for each neuron and language (``layer``,
            ``neuron``, ``language``, ``count``, ``tokens``); ``.safetensors`` our own file, with all that there is;
            none a folder in LAPE's layout, a file for each language, which must not be there yet.
        stats: the counts.

    Raises:
        NeuroglotError: another ending, counts of a mixture of experts, whose tokens differ from neuron to neuron, or of
            layers that differ, a folder that is there, or a language that cannot be within a file's name.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return stats.save(path)
    if (stats.seen != stats.tokens)[stats.real].any():
        raise NeuroglotError(
            "a mixture's neurons saw different tokens, which this layout cannot say; use .safetensors."
        )
    if stats.ragged is not None:
        raise NeuroglotError("layers differ in width, which this layout cannot say; use .safetensors.")
    if path.suffix in (".csv", ".parquet"):
        return write_columns(path, _table(stats))
    if path.suffix:
        raise NeuroglotError(f"{path}: use .csv, .parquet or .safetensors, or no ending for a folder.")
    if path.exists():
        raise NeuroglotError(f"{path} is there already; give the name of a new folder.")
    for code in stats.languages:
        if "." in plain_name(code, "the language"):
            raise NeuroglotError(f"the language {quoted(code)} has a dot, which LAPE's names of files cannot hold.")
    name = plain_name(Path(str(stats.provenance.get("model") or "unknown")).name, "the model")
    with atomic(path) as folder:
        folder.mkdir()
        for k, code in enumerate(stats.languages):
            content = {"n": int(stats.tokens[k]), "over_zero": torch.from_numpy(stats.counts[..., k].copy())}
            write_tensors(folder / f"activation.{code}.train.{name}", content)


# --- a file for each language ----------------------------------------------------------------


def read_njunlp(
    folder: str | Path, languages: str | Iterable[str] | None = None, *, prompts: bool = False
) -> ActivationStats:
    """Read the counts released with arXiv 2505.21505, response = full run minus prefix run.

    Args:
        folder: holds ``activation.LL.NAME.pt`` and ``prefix.activation.LL.NAME.pt`` of one model.
        languages: codes in the order wanted; default: all found, in alphabetical order.
        prompts: count the prompts' tokens, too: the full run as it is.

    Returns:
        One shard. The released engine rounds differently in its two runs, which leaves a few
        differences below zero or above the tokens; they are taken as zero and as the tokens.

    Raises:
        NeuroglotError: files missing, of several models, unreadable, or of different shapes.
    """
    folder = Path(folder)
    codes, name = _files(folder, languages, "activation.*.pt")
    counts: list[np.ndarray] = []
    tokens: list[int] = []
    for code in codes:
        whole, prefix = (_read_pt(folder / f"{kind}activation.{code}.{name}") for kind in ("", "prefix."))
        if whole[0].shape != prefix[0].shape:
            raise NeuroglotError(f"{folder}: the counts of {code} have another shape; give files of one model.")
        if prompts:
            prefix = np.zeros_like(prefix[0]), 0
        tokens.append(whole[1] - prefix[1])
        counts.append(np.clip(whole[0] - prefix[0], 0, tokens[-1]))
    return _stats(folder, codes, counts, tokens, name, "counts released with arXiv 2505.21505")


def _of_folder(folder: Path, languages: str | Iterable[str] | None) -> ActivationStats:
    codes, name = _files(folder, languages, "activation.*.*")
    read = [_read_pt(folder / f"activation.{code}.{name}") for code in codes]
    counts, tokens = [one for one, _ in read], [number for _, number in read]
    return _stats(folder, codes, counts, tokens, name.removeprefix("train."), "unknown, counted by others")


def _files(folder: Path, languages: str | Iterable[str] | None, pattern: str) -> tuple[tuple[str, ...], str]:
    """The languages, those found unless others are wanted, and what comes after them in the names of files."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise NeuroglotError(
            f"{folder} has no {pattern.replace('*', 'LL', 1)}; give the folder of the released counts."
        )
    names = {path.name.split(".", 2)[2] for path in found}
    if len(names) > 1:
        raise NeuroglotError(f"{folder} holds counts of {len(names)} models; keep one model per folder.")
    return parse_languages(languages) or tuple(path.name.split(".")[1] for path in found), names.pop()


def _stats(
    folder: Path, codes: tuple[str, ...], counts: list[np.ndarray], tokens: list[int], name: str, corpus: str
) -> ActivationStats:
    for code, one in zip(codes, counts, strict=True):
        if one.shape != counts[0].shape:
            raise NeuroglotError(f"{folder}: the counts of {code} have another shape; give files of one model.")
    provenance = {"model": name.removesuffix(".pt"), "corpus": corpus}
    shards = np.stack(counts, axis=-1)[None], np.array(tokens, dtype=np.int64)[None]
    try:
        return ActivationStats(*shards, codes, provenance)
    except NeuroglotError as error:
        raise NeuroglotError(f"{folder}: {error}") from error


def _read_pt(path: Path) -> tuple[np.ndarray, int]:
    """Counts ``[layers, neurons]`` and tokens."""
    if not path.is_file():
        raise NeuroglotError(f"there is no file {path}; the released counts have one per language and run.")
    content = read_tensors(path, "released counts")
    try:
        if not isinstance(content, dict):
            raise ValueError("it is no dictionary")
        counts, tokens = whole_numbers(content["over_zero"]), content["n" if "n" in content else "total_tokens"]
        if counts.ndim != 2 or counts.size > path.stat().st_size or isinstance(tokens, bool) or int(tokens) != tokens:
            raise ValueError("they are no counts of layers and neurons, or no number of tokens")
        if abs(tokens) >= BELOW["tokens"]:
            raise ValueError(f"{quoted(tokens, 40)} tokens cannot be")
        return counts, int(tokens)
    except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
        reason = in_a_line(error, 200) or type(error).__name__
        raise NeuroglotError(f"{path} cannot be read as released counts ({reason}).") from error


# --- a table ---------------------------------------------------------------------------------


def _table(stats: ActivationStats) -> pd.DataFrame:
    layers, width, k = stats.shape
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(layers), width * k),
            "neuron": np.tile(np.repeat(np.arange(width), k), layers),
            "language": np.tile(np.array(stats.languages, dtype=object), layers * width),
            "count": stats.counts.ravel(),
            "tokens": np.tile(stats.tokens, layers * width),
        }
    )


def _of_table(path: Path) -> ActivationStats:
    table = read_columns(path, BELOW, ["language"])
    codes = tuple(dict.fromkeys(table["language"]))
    require_codes(codes, str(path))
    require_once(path, table, ["layer", "neuron", "language"])
    shape = (*(int(table[axis].max()) + 1 if len(table) else 0 for axis in ("layer", "neuron")), len(codes))
    if len(table) != int(shape[0]) * shape[1] * shape[2] or not len(table):
        raise NeuroglotError(
            f"{path} has {len(table):,} rows, of {shape[0]:,} layers x {shape[1]:,} neurons x {shape[2]} languages; "
            "give a row for each, also for neurons that are never active."
        )
    tokens = table.groupby("language", sort=False, observed=True)["tokens"].agg(["min", "max"])
    if differ := tokens.index[tokens["min"] != tokens["max"]].tolist():
        raise NeuroglotError(
            f"{path}: the tokens of {listed(differ)} differ from row to row; give one number for each."
        )
    counts = np.zeros(shape, dtype=np.int64)
    place = table["language"].map({code: k for k, code in enumerate(codes)}).to_numpy(dtype=np.int64)
    counts[table["layer"].to_numpy(), table["neuron"].to_numpy(), place] = table["count"].to_numpy()
    provenance = {"model": "unknown", "corpus": f"unknown, counted by others ({path.name})"}
    try:
        return ActivationStats(counts[None], tokens["min"].loc[list(codes)].to_numpy()[None], codes, provenance)
    except NeuroglotError as error:
        raise NeuroglotError(f"{path}: {error}") from error

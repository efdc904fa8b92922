"""Finished runs: their files, read together, and set side by side."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError, in_a_line, is_number
from ..base.files import require_file
from ..base.tables import ARTIFACTS, read_tables
from ..base.uncertainty import LESS, MORE, SAME
from ..counts.activations import ActivationStats
from ..counts.widths import same_neurons
from ..neurons.identification import KINDS, NeuronTypes

#: What is said of a claim in a run.
HOLDS, CONTRARY, UNKNOWN = "holds", "the contrary does", "not known"

#: What a run that is compared with others must have.
COMPARED = ("stats", "types", "layers")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: what it is called beside others.
        stats: its counts, of the languages that were classified.
        types: its neuron types.
        layers: what chapter 03 wrote: ``profile``, ``parts``, ``claims`` and, from several shards,
            ``bands``, ``ranges`` and ``segments``, each a table; of fewer than four layers no ``parts``, and
            ``claims`` without a row.
    """

    name: str
    stats: ActivationStats
    types: NeuronTypes
    layers: dict[str, pd.DataFrame]

    @property
    def provenance(self) -> dict[str, Any]:
        """Of its counts."""
        return self.stats.provenance


def load_runs(folders: Iterable[str | Path]) -> list[Run]:
    """Read the finished runs in some folders.

    Each is called by its model; where that does not tell them apart, by its folder.

    Raises:
        NeuroglotError: a file is missing, damaged, or not of the same run as the others.
    """
    places = [Path(folder) for folder in folders]
    if not places:
        raise NeuroglotError("there is no run to read; name at least one folder.")
    read = [_load(folder) for folder in places]
    models = [str(stats.provenance.get("model")) for stats, _, _ in read]
    ways = (models, [folder.name for folder in places], [str(folder) for folder in places])
    names = next((names for names in ways if len(set(names)) == len(names)), None)
    if names is None:
        raise NeuroglotError("a run is named twice; name different folders.")
    return [Run(name, *parts) for name, parts in zip(names, read, strict=True)]


def _load(folder: Path) -> tuple[ActivationStats, NeuronTypes, dict[str, pd.DataFrame]]:
    stats = ActivationStats.load(folder / ARTIFACTS["stats"])
    types = NeuronTypes.load(folder / ARTIFACTS["types"])
    path = require_file(folder / ARTIFACTS["layers"], "run chapter 03 of that run first")
    try:
        layers = read_tables(path)
        profile = layers["profile"][["layer", "kind", "neurons", "share"]]
        if few := profile["layer"].max() < 3:
            layers.setdefault("claims", pd.DataFrame({"claim": [], "holds": []}))
        claims = layers["claims"][["claim", "holds"]]
        numbers = [*profile["layer"], *profile["neurons"], *profile["share"]]
        if not all(is_number(number) and number >= 0 for number in numbers) or not profile["kind"].isin(KINDS).all():
            raise ValueError("its numbers or kinds are none")
    except (ValueError, KeyError, TypeError) as error:
        raise NeuroglotError(
            f"{path} is not what chapter 03 writes ({in_a_line(error, 100)}); run it again."
        ) from error
    stats = stats.select(types.languages)
    told = ("weights_sha256", "config_sha256", "input_sha256", "selected_shards", "merged_shards")
    apart = any(stats.provenance.get(name) != types.provenance.get(name) for name in told)
    fits = same_neurons(stats, types) and profile["layer"].max() + 1 == len(types.score)
    if apart or not fits or (claims.empty and not few):
        raise NeuroglotError(f"the files in {folder} are not of one run; run its chapters again.")
    return stats, types, layers


def side_by_side(runs: Iterable[Run]) -> pd.DataFrame:
    """One row per run: its model's size, its text, its thresholds, and the share of neurons of each type.

    Returns:
        Columns ``run``, ``layers``, ``neurons``, ``languages``, ``tokens``, ``top_rate``, ``lam``,
        ``tau``, and the share of all neurons that are ``specific``, ``related``, ``general``.
    """
    rows = []
    for run in runs:
        layers, _, k = run.stats.shape
        shares = {kind: n / run.types.n_neurons for kind, n in run.types.sizes().items() if kind != KINDS[0]}
        rows.append(
            {
                "run": run.name,
                "layers": layers,
                "neurons": run.stats.n_neurons,
                "languages": k,
                "tokens": int(run.stats.tokens.sum()),
                "top_rate": run.types.top_rate,
                "lam": run.types.lam,
                "tau": run.types.tau,
                **shares,
            }
        )
    return pd.DataFrame(rows)


def depth_profiles(runs: Iterable[Run]) -> pd.DataFrame:
    """Share of each layer's neurons that are of each type, against relative depth.

    Returns:
        Tidy: ``run``, ``layer``, ``depth`` (0 is the first layer, 1 the last), ``kind``, ``neurons``,
        ``share`` (of the layer's neurons), and ``low`` and ``high``, its 95 % interval (missing
        where the counts have one shard).
    """
    frames = []
    for run in runs:
        profile = run.layers["profile"]
        if "bands" in run.layers:
            profile = profile.merge(run.layers["bands"], on=["layer", "kind"], how="left")
            width = np.maximum(run.types.layer_widths, 1)[profile["layer"]]
            ends = profile[["low", "high"]].astype(float)  # null where none is known
            profile[["low", "high"]] = ends.div(width, axis=0)
        else:
            profile = profile.assign(low=np.nan, high=np.nan)
        frames.append(profile.assign(run=run.name, depth=profile["layer"] / max(profile["layer"].max(), 1)))
    return pd.concat(frames, ignore_index=True)


def language_shares(runs: Iterable[Run]) -> pd.DataFrame:
    """Language neurons of each language as a share of all neurons: ``run, language, kind, neurons, share``."""
    frames = [
        (table := run.types.counts_per_language()).assign(run=run.name, share=table["neurons"] / run.types.n_neurons)
        for run in runs
    ]
    return pd.concat(frames, ignore_index=True)


def claims_table(runs: Iterable[Run]) -> pd.DataFrame:
    """The paper's claims about the four parts on text that was not used to cut: a row per claim, a column per run.

    Returns:
        ``claim``, and for each run in words whether it :data:`HOLDS`, the :data:`CONTRARY` does, neither is told apart,
        or that is not known (from text that cannot be halved).
    """
    said = {MORE: HOLDS, LESS: CONTRARY, SAME: SAME}
    claims = {run.name: run.layers["claims"].set_index("claim") for run in runs}
    verdicts = {name: table.get("verdict", pd.Series(None, index=table.index)) for name, table in claims.items()}
    words = {name: [said.get(verdict, UNKNOWN) for verdict in column] for name, column in verdicts.items()}
    names = next((table.index for table in claims.values()), pd.Index([]))
    return pd.DataFrame(words, index=names).rename_axis("claim").reset_index()


def comparable(runs: Iterable[Run]) -> list[Run]:
    """Those with claims about the four parts, which need four layers."""
    return [run for run in runs if len(run.layers["claims"])]


def peaks(profiles: pd.DataFrame) -> pd.DataFrame:
    """Where language neurons (specific and related ones) are densest, and general ones.

    Args:
        profiles: from :func:`depth_profiles`.

    Returns:
        One row per run: ``run``, ``depth`` and ``share`` (of that layer's neurons) of language neurons, and
        ``general_depth`` and ``general_share``.
    """
    rows = []
    for run, profile in profiles.groupby("run", sort=False):
        by_depth = profile.pivot(index="depth", columns="kind", values="share")
        language, general = by_depth["specific"] + by_depth["related"], by_depth["general"]
        row = {"run": run, "depth": language.idxmax(), "share": language.max()}
        rows.append(row | {"general_depth": general.idxmax(), "general_share": general.max()})
    return pd.DataFrame(rows)


def language_correlations(shares: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of the runs over the languages that all of them have.

    Args:
        shares: from :func:`language_shares`; specific and related neurons are taken together.

    Returns:
        Runs x runs; without a row for one run, or fewer than three languages.
    """
    totals = shares.groupby(["run", "language"], sort=False)["share"].sum().unstack("run").dropna()
    if totals.shape[1] < 2 or len(totals) < 3:
        return pd.DataFrame()
    return totals.corr(method="spearman").rename_axis(None).rename_axis(None, axis=1)


def of_one_text(runs: Iterable[Run]) -> bool:
    """Whether all were counted on the same text, in the same languages."""
    return len({(run.provenance.get("corpus_sha256"), run.types.languages) for run in runs}) == 1


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`side_by_side` for a reader: a row for each number, in words, and a column for each run."""
    percent = dict.fromkeys(("specific", "related", "general"), "{:.2%}") | {"top_rate": "{:.1%}"}
    formats = percent | {"neurons": "{:,}", "tokens": "{:,}"}
    shown = (
        table.drop(columns=["languages", "lam", "tau"])
        .astype(object)
        .assign(**{name: table[name].map(form.format) for name, form in formats.items()})
    )
    return shown.set_index("run").T.rename_axis(None, axis=1).rename_axis("what").reset_index()

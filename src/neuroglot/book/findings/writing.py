"""What chapter 04 says of what a language's neurons write."""

from collections.abc import Sequence

import pandas as pd

from ...base.uncertainty import LESS, MORE
from ...effects.writing import ALL_TEXT, Writing, begins
from ..markup import language, myst
from .words import counted, interval, number

_AGAINST = {
    "matched": "random neurons that fire as often do",
    "others": "as many of the other languages' neurons do",
}


def opening(written: Writing) -> str:
    """In how many languages its neurons write it more than others do, and in which not."""
    contrasts = _of(written.contrasts)
    if not contrasts["verdict"].notna().any():
        return "**Whether a language's neurons write its language cannot be known from so little text.**"
    known = set(contrasts["against"][contrasts["verdict"].notna()])
    parts = [f"more than {words} in {_share(contrasts, key)}" for key, words in _AGAINST.items() if key in known]
    said = f"**What a language's neurons add to the logits favours its own tokens {', and '.join(parts)}.**"
    return " ".join([said, *_exceptions(contrasts)])


def _of(table: pd.DataFrame, text: str = ALL_TEXT) -> pd.DataFrame:
    return table[table["text"] == text]


def _share(contrasts: pd.DataFrame, against: str) -> str:
    known = contrasts.loc[contrasts["against"] == against, "verdict"].dropna()
    return f"{int((known == MORE).sum())} of {counted(len(known), 'language')}"


def _exceptions(contrasts: pd.DataFrame) -> list[str]:
    """A sentence on the languages whose own neurons do less than other languages' do."""
    less = contrasts.query("against == 'others' and verdict == @LESS", local_dict={"LESS": LESS})
    names = ", ".join(language(code) for code in less["language"])
    return [f"The other languages' favour them more than its own do in {names}."] if names else []


def table(written: Writing) -> pd.DataFrame:
    """One row per language: its number, and how far it is above the others' and matched neurons', in words."""
    numbers, contrasts = _of(written.numbers), _of(written.contrasts)
    own = numbers[numbers["of"] == "own"].set_index("language")
    rows = {
        "neurons": own["neurons"],
        "own tokens": own["tokens"],
        "number": own["number"].map(lambda value: number(value, "{:+.2f}")),
    }
    for against, words in (("others", "others'"), ("matched", "matched")):
        rows_ = contrasts[contrasts["against"] == against].set_index("language")
        rows[f"less {words}"] = rows_.apply(_estimate, axis=1)
        rows[f"found from, {words}"] = rows_["detectable"].map(lambda value: number(value, "{:.2f}"))
        rows[f"verdict, {words}"] = rows_["verdict"].astype(object).fillna("not known")
    return pd.DataFrame(rows).rename_axis("language").reset_index()


def _estimate(row: pd.Series) -> str:
    return f"{number(row['number'], '{:+.2f}')} ({interval(row['low'], row['high'], '{:+.2f}')})"


def dealt(written: Writing) -> str:
    """Whether the sets fit their own languages better than other ones."""
    row = _of(written.dealt).iloc[0]
    if pd.isna(row["p"]):
        return "Too few languages have neurons for the sets to be dealt to the languages at random."
    p = "less than 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
    more = number(row["contrast"], "{:.2f}")
    return (
        f"Over all languages, a set raises its own language's tokens by {more} more than another set does there; dealt "
        f"to the languages at random, the sets reach that with a probability of {p}."
    )


def texts(written: Writing) -> str:
    """Whether each text by itself says the same of the languages."""
    whole = _of(written.contrasts).set_index(["language", "against"])["verdict"]
    said = []
    for name in written.contrasts["text"].unique():
        if name != ALL_TEXT:
            alone = _of(written.contrasts, name).set_index(["language", "against"])["verdict"]
            known = (whole.notna() & alone.notna()).to_numpy()
            same = int((whole[known] == alone[known]).sum())
            few = f"The tokens of {myst(name)} alone are of too few wordings for a verdict."
            many = (
                f"With the tokens of {myst(name)} alone {same} of {counted(int(known.sum()), 'verdict')} are the same."
            )
            said.append(many if known.any() else few)
    return " ".join(said) or "Tokens are those of one text only."


def by_layer(written: Writing, parts: pd.DataFrame | None = None) -> str:
    """From which layer on a language is written, and in which of chapter 03's parts that is.

    Args:
        written: from :func:`neuroglot.writing`.
        parts: ``part``, ``first``, ``last``; ``None`` where there are none.
    """
    layers = written.layers
    if layers["number"].isna().all():
        return "In which layers that is cannot be told: no language has neurons beside random ones."
    first, number_ = begins(layers), layers["number"].fillna(0)
    sure = layers.loc[layers["verdict"] == MORE, "layer"].tolist()
    alone = f"By themselves {counted(len(sure), 'layer')} of {len(layers)} add more than matched ones"
    alone += f" ({_spans(sure)})." if sure else "."
    if not layers["verdict"].notna().any():
        alone = "Whether a layer by itself adds more than matched ones is not known."
    if first is None:
        return f"All layers together add nothing beyond random neurons that fire as often. {alone}"
    share = f"{number_.iloc[-1] / number_.sum():.0%}"
    return (
        f"From layer {first} on there is 95% of what a language's neurons add beyond random ones that fire as often, "
        f"{share} in the last layer alone.{_part(first, parts)} {alone}"
    )


def _spans(numbers: Sequence[int]) -> str:
    """Whole numbers, ascending, those without a gap together: ``3, 6 to 8``."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def _part(layer: int, parts: pd.DataFrame | None) -> str:
    found = [] if parts is None else [row for row in parts.to_dict("records") if row["first"] <= layer <= row["last"]]
    if not found:
        return ""
    row = found[0]
    where = "begins there" if row["first"] == layer else f"has layers {row['first']} to {row['last']}"
    return f" The part *{myst(row['part'])}* of [chapter 03](03-layers.html) {where}."


def check(written: Writing) -> str:
    """How what falls when the set is removed goes with what was predicted."""
    known = written.check.dropna(subset=["slope", "correlation"])
    if known.empty:
        return "No language has neurons to remove."
    slope, correlation = known["slope"], known["correlation"]
    middle = number(slope.median(), "{:.2f}")
    return (
        f"When the set is really removed, the correlation of how far the logits of own tokens fall with what was "
        f"predicted is {_range(correlation)} over {counted(len(known), 'language')}. For each logit predicted "
        f"{_range(slope)} are lost (median {middle}), for later layers, left out here, answer too."
    )


def _range(values: pd.Series) -> str:
    low, high = (number(value, "{:.2f}") for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"

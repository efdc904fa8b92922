"""A change beside a control's: models before, after and in a control, all measured on the same units."""

from collections.abc import Callable, Sequence

import numpy as np

from ..base.uncertainty import Estimate, mean_of, verdicts

#: Trainings of a kind below which nothing is said of trainings, only of the text that these ones were measured on.
LEAST_TRAININGS = 3

#: A change that is surely smaller than this share of the number before is called none: by so much the paper's number of
#: neurons of one language falls (its figure 15: 10,052 to 9,566).
MARGIN = 0.048


def contrasts(
    values: np.ndarray,
    trainings: int,
    sure: Callable[[np.ndarray], Estimate],
    families: Sequence[object],
    *,
    margin: float | None = None,
) -> dict[str, np.ndarray]:
    """The change, the control's change and how far they are apart, each with its interval, and verdicts.

    All are differences on the same units, so that what the choice of text does to both is gone. The verdict is of the
    difference from the control; where there is none, of the change. An interval covers another text, and where there
    are :data:`LEAST_TRAININGS` of each kind, another training, too.

    Args:
        values: ``[models, rows]``: the model before, then as many trainings, then controls, in the same order of seeds.
        trainings: how many of these are no controls.
        sure: from weights ``[models]`` that add up to 0, that sum of the models with the error that the units give.
        families: ``[rows]``: rows of the same one are judged together (Benjamini and Hochberg).
        margin: share of the value before within which a difference is called none.

    Returns:
        Columns ``before``, ``after`` (mean of the trainings), ``change``, ``low``, ``high``; ``null``, ``null_low``,
        ``null_high`` (the controls' change); ``contrast``, ``contrast_low``, ``contrast_high``; ``detectable`` (which
        difference would have been found with 80 %), ``trainings`` (how many the verdict covers) and ``verdict``.
    """
    models, rows = values.shape
    groups = np.split(np.eye(models), [1, 1 + trainings])
    change, before = _difference(values, groups[1], groups[0], sure), values[0]
    columns = {"before": before, "after": values[1 : 1 + trainings].mean(axis=0)} | _columns("change", "", change)
    judged, covered, nothing = change, trainings, np.full(rows, np.nan)
    null = contrast = Estimate(nothing, nothing, np.ones(rows))
    if len(groups[2]):
        null = _difference(values, groups[2], groups[0], sure)
        judged = contrast = _difference(values, groups[1], groups[2], sure)
        covered = trainings if trainings == len(groups[2]) else 1
    columns |= _columns("null", "null_", null) | _columns("contrast", "contrast_", contrast)
    said = judge(judged, before, families, margin)
    covered = covered if covered >= LEAST_TRAININGS else 1
    return columns | {"detectable": judged.detectable(), "trainings": np.full(rows, covered), "verdict": said}


def _columns(name: str, prefix: str, estimate: Estimate) -> dict[str, np.ndarray]:
    low, high = estimate.interval()
    return {name: estimate.value, f"{prefix}low": low, f"{prefix}high": high}


def _difference(
    values: np.ndarray, ones: np.ndarray, others: np.ndarray, sure: Callable[[np.ndarray], Estimate]
) -> Estimate:
    """Mean of some models less that of others, each given by its row of the identity matrix."""
    found = sure(ones.mean(axis=0) - others.mean(axis=0))
    if len(ones) < LEAST_TRAININGS or len(others) not in (1, len(ones)) or (len(others) == 1 and not others[0, 0]):
        return found
    return over_trainings(found, (ones - others) @ values)


def over_trainings(of_text: Estimate, each: np.ndarray) -> Estimate:
    """Sure of another text *and* another training: both errors, with Satterthwaite's degrees of freedom.

    Args:
        of_text: a mean over trainings, with its error over units of the text.
        each: what each training gives, ``[trainings, rows]``; where all agree there is no interval.
    """
    seeds = mean_of(each, least=LEAST_TRAININGS)
    own, other = of_text.error**2, seeds.error**2
    df = (own + other) ** 2 / (own**2 / of_text.df + other**2 / seeds.df)
    return Estimate(of_text.value, np.sqrt(own + other), np.where(np.isnan(df), 1.0, df), of_text.shift, of_text.bound)


def judge(estimate: Estimate, before: np.ndarray, families: Sequence[object], margin: float | None) -> np.ndarray:
    """Verdicts of each family by itself; the margin is a share of the value before."""
    said = np.full(estimate.value.shape, None, dtype=object)
    scale = np.where(before > 0, before, 1.0) if margin is not None else np.ones_like(before)
    for family in dict.fromkeys(families):
        rows = np.array([each == family for each in families])
        value, error, shift = (np.asarray(part) / scale for part in (estimate.value, estimate.error, estimate.shift))
        said[rows] = verdicts(Estimate(value[rows], error[rows], estimate.df[rows], shift[rows]), margin=margin)
    return said

"""What the chapters say of neurons that were found elsewhere."""

from ...neurons.identification import NeuronTypes
from ..markup import myst


def whose(types: NeuronTypes) -> str:
    """Where the neurons of a page come from, and what its types of neurons mean then; nothing for the run's own.

    Args:
        types: from :func:`neuroglot.neurons.sets.in_place_of`.
    """
    if (said := types.provenance.get("outside")) is None:
        return ""
    by, of = (myst(said[name]) if said[name] else "not known" for name in ("method", "model"))
    return (
        f"The neurons of this page were found elsewhere, not in chapter 02: they are those of the file "
        f"{myst(said['file'])} (method: {by}; model: {of}). *Specific* are here those of one language alone, *related* "
        "those of several, *general* those of all; where they are put in order, that is by the score of this run."
    )

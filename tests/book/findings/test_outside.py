import numpy as np

from neuroglot import NeuronSet, NeuronTypes
from neuroglot.book import markup, reference
from neuroglot.book.describing import described
from neuroglot.book.findings.outside import whose
from neuroglot.neurons.sets import in_place_of


def test_a_page_says_whose_neurons_it_shows(tmp_path):
    none = np.zeros((1, 4), dtype=bool)
    active = np.zeros((1, 4, 2), dtype=bool)
    types = NeuronTypes(("en", "sw"), 0.5, 0.1, 0.95, True, False, 0.2, np.zeros((1, 4)), none, active, {"model": "m"})
    assert whose(types) == "" and described(types)["what"].tolist() == list(types.settings())
    NeuronSet(("en", "sw"), ([[1]], [[2]]), method="a*").save(tmp_path / "x_y.safetensors")
    found = in_place_of(types, tmp_path / "x_y.safetensors")
    assert whose(found).startswith(
        "The neurons of this page were found elsewhere, not in chapter 02: they are those of the file "
        f"{markup.myst('x_y.safetensors')} (method: {markup.myst('a*')}; model: not known). *Specific* are here those"
    )
    assert "a*" not in whose(found), "text from outside is no markup"
    rows = described(found)
    assert rows["what"].tolist() == ["neurons: file", "neurons: method", "neurons: model"]
    assert rows["value"].tolist() == ["x_y.safetensors", "a*", "not known"]
    assert reference.beside("effects", tmp_path / "effects.json", found) is None

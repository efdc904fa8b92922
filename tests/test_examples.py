"""The example package, installed beside neuroglot: all four things it adds, through the public face."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "neuroglot-example"

USE = """
import copy, numpy as np, torch
import neuroglot as ng
from neuroglot.alignment.scorers import named
from neuroglot.neurons import detectors
from tests.conftest import tiny_model

class Twofold(torch.nn.Module):
    def __init__(self, mlp):
        super().__init__()
        self.main, self.memory = mlp, copy.deepcopy(mlp)
    def forward(self, x):
        return self.main(x) + self.memory(x)

model, inputs = tiny_model("llama"), {}
model.config.model_type = "twofold"
for number, layer in enumerate(model.model.layers):
    layer.mlp = Twofold(layer.mlp)
    keep = lambda module, args, number=number: inputs.__setitem__(number, args[0][0])
    layer.mlp.register_forward_pre_hook(keep)
ids = torch.arange(1, 21)[None]
counts = ng.count_activations(model, ids, torch.ones_like(ids))
model(ids)
plain = [(inputs[i] @ layer.mlp.main.gate_proj.weight.T > 0).sum(0) for i, layer in enumerate(model.model.layers)]
assert counts.any() and torch.equal(counts, torch.stack(plain))

corpus = ng.load_corpus("proverbs:proverbs.tsv", "de,en", n=1)
assert [e.response for e in corpus.examples] == ["Good day.", "Guten Tag."], corpus
assert corpus.languages == ("de", "en") and corpus.source == "neuroglot-example 0.1.0" and corpus.options == {"n": 1}

scorer = named("length:9", None, None)
assert scorer(corpus.examples, corpus.examples).tolist() == [0, -1]

stats = ng.ActivationStats(np.array([[[[1, 3], [0, 0]]]]), np.array([[4, 4]]), ("en", "de"))
assert "share" in detectors.names()
np.testing.assert_array_equal(detectors.score("share", stats), [[[0.25, 0.75], [np.nan, np.nan]]])
"""


def test_all_four_work_once_the_package_is_installed(tmp_path):
    """Built and installed as anyone's would be, with what ``make`` has put there to build with."""
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*pip, "--no-build-isolation", "--target", installed, EXAMPLE], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "proverbs.tsv").write_text("en\tGood day.\nde\tGuten Tag.\nen\tWell.\nfr\tSalut.\n", encoding="utf-8")
    root = Path(__file__).parents[1]
    path = os.pathsep.join(map(str, (installed, root / "src", root)))
    run = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", sorted((EXAMPLE / "src").rglob("*.py")), ids=lambda path: path.stem)
def test_each_is_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40


def test_the_page_shows_the_example_as_it_is():
    page = (EXAMPLE.parents[1] / "book" / "contributing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```", page, re.M | re.S)
    files = [EXAMPLE / "pyproject.toml", *(path for path in (EXAMPLE / "src").rglob("*.py") if path.stem != "__init__")]
    shown = [
        next((path for path in files if path.read_text(encoding="utf-8").endswith(block)), None) for block in blocks
    ]
    assert sorted(map(str, files)) == sorted(map(str, shown))


def test_the_page_names_every_room():
    page = (EXAMPLE.parents[1] / "book" / "contributing.md").read_text(encoding="utf-8")
    rooms = [
        path.parent.name
        for path in (EXAMPLE.parents[1] / "src" / "neuroglot").glob("*/__init__.py")
        if path.parent.name != "cli"
    ]
    assert sorted(re.findall(r"^\| `([a-z]+)` \|", page, re.M)) == sorted(rooms)

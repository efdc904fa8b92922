"""Every example in a docstring, and every block of Python in a page, is run, on something tiny."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import neuroglot as ng
from neuroglot.book.api import ROOMS, modules, public_face

from .conftest import byte_tokenizer, tiny_model, write_texts

ROOT = Path(__file__).parents[1]
EXAMPLES = [
    test
    for room in ROOMS
    for name in modules(room)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
    if test.examples and test.name.startswith(name)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model, texts in three languages, and what a run of them leaves."""
    root = tmp_path_factory.mktemp("examples")
    tiny_model("llama", num_hidden_layers=4, max_position_embeddings=4096).float().save_pretrained(root / "model")
    byte_tokenizer().save_pretrained(root / "model")
    write_texts(root / "texts")
    return root


@pytest.fixture(scope="module")
def names(place):
    """What an example may take for given."""
    model, tokenizer = ng.load_model(str(place / "model"))
    corpus = ng.load_corpus(f"text:{place / 'texts'}")
    stats = ng.collect(model, tokenizer, corpus, progress=False)
    types = ng.classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
    return {"ng": ng, "model": model, "tokenizer": tokenizer, "corpus": corpus, "stats": stats, "types": types}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.removeprefix("neuroglot."))
def test_examples_of_docstrings(example, place, names, monkeypatch):
    monkeypatch.chdir(place)
    example.globs.update(names)
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert not said, "".join(said)


def test_what_a_user_begins_with_has_an_example():
    wanted = (
        "load_corpus collect classify ActivationStats NeuronTypes four_parts layer_profile deactivate amplify set_to"
    )
    wanted += " losses perplexity grade tokens_per_language overlap top_contexts"
    face = public_face()
    given = {example.name for example in EXAMPLES}
    assert [name for name in wanted.split() if f"{face[name]}.{name}" not in given] == []


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


def test_every_block_of_python_is_known():
    pages = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
    found = {str(path.relative_to(ROOT)): len(blocks(path)) for path in pages if blocks(path)}
    # Those on contributing are files of the example package (test_examples).
    assert found == {
        "README.md": 1,
        "book/rerun.md": 4,
        "book/models.md": 1,
        "book/contributing.md": 4,
        "book/files.md": 1,
    }


def run(text, replaced, **given):
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    exec(compile(text, "block", "exec"), given)
    return given


@pytest.fixture
def apart(place, tmp_path, monkeypatch):
    """A folder of one's own, with the tiny model in it."""
    (tmp_path / "model").symlink_to(place / "model")
    monkeypatch.chdir(tmp_path)


def test_the_readme_s_block(apart):
    small = 'ng.alignment.training.recipe_of("small", {"steps": 2, "save_every": 1, "batch": 2, "micro_batch": 2})'
    (block,) = blocks("README.md")
    replaced = {'"answers.jsonl"': '"answers.jsonl", shots=0, max_new_tokens=4'}
    replaced |= {
        '"gemma3-270m"': '"model"',
        "n=100": "n=8",
        '"small"': small,
        "top_rate=0.05": "top_rate=0.2, quantile=0.7, lam=0.1",
    }
    done = run(block, replaced)
    assert done["after"].shape == done["stats"].shape and Path("explorer.html").is_file()


def test_the_block_of_a_run_s_types(apart, names):
    names["types"].save("runs/first/types.safetensors")
    *_, block = blocks("book/rerun.md")
    run(block, {})


def test_the_block_of_a_set_of_neurons(apart):
    (block,) = blocks("book/files.md")
    assert run(block, {})["found"].sizes() == {"en": 3, "de": 2} and Path("neurons.safetensors").is_file()


def test_three_cells_from_a_model_to_its_types(apart):
    *cells, _ = blocks("book/rerun.md")
    replaced = {'"gemma3-270m"': '"model"', "top_rate=0.05": "top_rate=0.2, quantile=0.7, lam=0.1"}
    text = "\n".join(cells)
    done = run(text, replaced)
    said = done["explorer"].use()
    assert said.startswith("Written to runs/mine/types.safetensors. To be run again")
    assert ng.NeuronTypes.load("runs/mine/types.safetensors").top_rate == 0.2


def test_the_block_of_a_new_family(apart, names, monkeypatch):
    from neuroglot.model import sites

    monkeypatch.setattr(sites, "SITES", dict(sites.SITES))
    (block,) = blocks("book/models.md")
    run(block, {'"mars/martian-7b"': '"model"'}, neuroglot=ng, corpus=names["corpus"])
    assert sites.SITES["martian"].down == "mlp.w_out" and Path("counts.safetensors").is_file()

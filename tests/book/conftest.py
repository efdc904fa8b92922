import shutil
from pathlib import Path

import pytest

from neuroglot.book import chapters

from ..chromium import launched
from ..conftest import byte_tokenizer, tiny_model, write_texts

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window."""
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with the real notebooks, a tiny model and a small text."""
    root = tmp_path_factory.mktemp("project")
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("vendor", "chapters"))
    tiny_model("llama", num_hidden_layers=5, max_position_embeddings=2048).float().save_pretrained(root / "model")
    byte_tokenizer().save_pretrained(root / "model")
    write_texts(root / "texts")
    return root


PARAMETERS = {"model": "model", "corpus": "text:texts", "splits": 3, "overlap_splits": 2, "top_rate": 0.2}
# The alignment of a tiny model: a step of one pair, and no text that has to be fetched.
PARAMETERS |= {"practice_options": {"n": 8, "seed": 2, "levels": "1"}, "steps": [1], "domains": {}, "token_texts": {}}
PARAMETERS |= {"recipe": {"steps": 2, "save_every": 1, "batch": 1, "micro_batch": 1}}


def chosen(*numbers):
    """Chapters by their numbers."""
    return [chapter for chapter in chapters.CHAPTERS if chapter.name.partition("-")[0] in numbers]

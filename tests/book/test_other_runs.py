"""Chapters on questions without answers, and on a model of few layers."""

import json

import nbformat

from neuroglot import ActivationStats
from neuroglot.base.tables import read_tables
from neuroglot.book import chapters

from ..conftest import byte_tokenizer, tiny_model
from .conftest import PARAMETERS, chosen


def test_questions_are_answered_by_the_model_and_graded(project):
    rows = [
        {"id": str(i), "language": code, "prompt": prompt, "answer": i}
        for i in range(6)
        for code, prompt in [("de", f"Wie viel ist {i}?"), ("en", f"How much is {i}?"), ("ru", f"Сколько будет {i}?")]
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (project / "questions.jsonl").write_text(text, encoding="utf-8")
    own = {
        "corpus": "jsonl:questions.jsonl",
        "sampling": {"shots": 0, "max_new_tokens": 20, "temperature": 1.0, "seed": 1},
        "accuracy_questions": 2,
    }
    own |= {"corpus_options": {"n": 4}, "shards": 2}
    chapters.run_chapters(PARAMETERS | own, root=project, run="asked", chapters=chosen("01", "02", "05", "07"))
    folder = project / "runs/asked"
    responses = [json.loads(line) for line in (folder / "responses.jsonl").read_text().splitlines()]
    assert len(responses) == 1 + 4 * 3 and responses[0]["provenance"]["settings"]["max_new_tokens"] == 20
    assert len((folder / "solved.jsonl").read_text().splitlines()) == 1 + 1 * 3, "of those held out"
    stats = ActivationStats.load(folder / "activations.safetensors")
    assert stats.provenance["corpus"] == "responses:jsonl:questions" and stats.tokens.all()
    chapter = (folder / "chapters/01-activations.ipynb").read_text()
    assert "right last number and right language" in chapter.lower()


def test_a_model_of_few_layers_has_a_book_without_the_four_parts(project):
    tiny_model("llama", num_hidden_layers=2, max_position_embeddings=2048).float().save_pretrained(project / "few")
    byte_tokenizer().save_pretrained(project / "few")
    own = PARAMETERS | {"model": "few", "accuracy_questions": 0}
    chapters.run_chapters(own, root=project, run="few", chapters=chosen("01", "02", "03", "11", "index"))
    assert set(read_tables(project / "runs/few/layers.json")) == {"profile", "bands", "segments"}
    for name, said in {
        "03-layers": "With fewer than four layers there are no four parts",
        "11-models": "few has fewer than four layers",
    }.items():
        executed = nbformat.read(project / f"runs/few/chapters/{name}.ipynb", as_version=4)
        outputs = [out.get("data", {}) for cell in executed.cells if cell.cell_type == "code" for out in cell.outputs]
        assert any(said in data.get("text/markdown", "") for data in outputs), name

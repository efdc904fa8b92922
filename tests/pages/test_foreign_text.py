"""A book on text, names and settings that would be code, if a page took them for any."""

import json
import shutil

import pytest

from neuroglot.book import building, chapters

from ..conftest import byte_tokenizer, tiny_model
from .conftest import ROOT, serving

#: Without a slash, so that it can name a file.
NAME = "<img src=x onerror=window.__owned=1>{{{{ 7*7 }}}} $x$ `{field}` &lt; **a** if a <b and c> d -- e"
TEXT = (
    "</td></textarea></script><script>window.__owned=1</script><!-- <iframe src=x> ]]> \\(y\\) $$z$$ {{raw}}`html` "
    "[l](javascript:window.__owned=1) ![i](x) https://evil.example | " + NAME
)
#: What would begin a block.
LINES = (
    "\n\n# h\n> q\n- i\n1. n\n:::{{raw}} html\n<script>window.__owned=1</script>\n:::\n"
    "```{{include}} x\n```\n(t)=\n[^f]: {field}"
)


def name(field: str) -> str:
    return NAME.format(field=field)


def text(field: str) -> str:
    return TEXT.format(field=field)


def lines(field: str) -> str:
    return (TEXT + LINES).format(field=field)


LANGUAGE = "<img src=x onerror=__owned=1>$x$**a**"  # a name of its own, as a corpus may have one
LANGUAGES = ("en", "de", LANGUAGE)
COLUMNS = {"prompt": name("prompt column"), "response": name("response column")}


def rows(count: int) -> list[dict[str, str]]:
    return [
        {
            "id": text(f"id {number}"),
            "language": language,
            COLUMNS["prompt"]: lines(f"prompt {number}"),
            COLUMNS["response"]: f"{text('response')}\n{'ab' * number} {language} {number}",
            "answer": str(number),
            "group": text("group"),
            "cluster": text(f"cluster {number}"),
        }
        for language in LANGUAGES
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the pages: every chapter on a tiny model, its text and names all foreign."""
    root = tmp_path_factory.mktemp("foreign")
    for file in ("_toc.yml", "_config.yml"):
        shutil.copy(ROOT / file, root)
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("chapters"))
    for folder in ("model", "after"):
        tiny = tiny_model("llama", num_hidden_layers=5, max_position_embeddings=8192)
        tiny.float().save_pretrained(root / name(folder))
        byte_tokenizer().save_pretrained(root / name(folder))
    for file, count in (("corpus", 6), ("domain", 2)):
        path = root / f"{name(file)}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows(count)), encoding="utf-8")
    options = {"columns": COLUMNS}
    parameters = {"model": name("model"), "corpus": f"jsonl:{name('corpus')}.jsonl", "corpus_options": options}
    parameters |= {"held_out_share": 0.3, "sampling": {"max_new_tokens": 4, "shots": 0}, "accuracy_questions": 1}
    parameters |= {
        "splits": 2,
        "overlap_splits": 1,
        "answered_again": 4,
        "answer_questions": 1,
        "writing_draws": 2,
        "token_texts": {f"jsonl:{name('domain')}.jsonl": options},
        "top_rate": 0.2,
        "general": 2,
        "texts": 1,
        "window": 1500,
        "random_draws": 1,
    }
    parameters |= {"prompts": 1, "new_tokens": 4, "mean_documents": 1, "score_questions": 1}
    parameters |= {"strengths": {"amplify": [0, 8]}, "headline": {"amplify": 8}, "steering_draws": 1}
    parameters |= {"domains": {f"jsonl:{name('domain')}.jsonl": options, f"jsonl:{name('missing')}": {}}}
    early = [chapter for chapter in chapters.CHAPTERS if chapter.name[:2] < "07"]
    chapters.run_chapters(parameters, root=root, run="run", chapters=early)
    # Beside a run of another name, and compared with a model from elsewhere.
    shutil.copytree(root / "runs/run", root / "runs" / name("beside"), ignore=shutil.ignore_patterns("chapters"))
    late = [chapter for chapter in chapters.CHAPTERS if chapter not in early]
    given = parameters | {"after": name("after")}
    chapters.run_chapters(given, root=root, run="run", beside=[f"runs/{name('beside')}"], chapters=late)
    # And one that was trained here.
    own = {key: f"runs/run/{file}" for key, file in chapters.ARTIFACTS.items() if key not in ("variants", "changes")}
    own |= {"aligned": "runs/trained/aligned", "practice": parameters["corpus"], "practice_options": options}
    own |= {"recipe": {"steps": 1, "save_every": 1, "batch": 1, "micro_batch": 1}, "steps": [], "choices": ["de"]}
    chapters.run_chapters(parameters | own, root=root, run="trained", chapters=late[:1])
    pages = [root / "runs" / run / "chapters/07-alignment.ipynb" for run in ("run", "trained")]
    both, trained = (json.loads(page.read_text(encoding="utf-8")) for page in pages)
    both["cells"] += [cell | {"id": f"trained-{place}"} for place, cell in enumerate(trained["cells"][1:])]
    pages[0].write_text(json.dumps(both), encoding="utf-8")
    return building.build("run", root=root).parent


@pytest.fixture(scope="module")
def site(built):
    with serving(built) as address:
        yield address


#: What a page made of the text, where it took it for code.
MADE = """() => [
  ...document.querySelectorAll("[onerror], iframe, script:not([src], [type*=json])"),
  ...document.querySelectorAll("img[src$='x'], a[href*='evil'], a[href^=javascript]"),
].map(one => one.outerHTML).filter(made => !made.startsWith("<script") || made.includes("__owned"))"""
#: Formulas that the book's own text has not.
TYPESET = "() => document.querySelectorAll('mjx-container').length - document.querySelectorAll('.math').length"
#: What the page says, but for code and data.
SAID = """() => {
  const body = document.body.cloneNode(true);
  body.querySelectorAll("pre, script, style").forEach(one => one.remove());
  return body.textContent;
}"""

MODEL, CORPUS = name("model"), f"jsonl:{name('corpus')}"
#: What is shown, to the letter, on which page.
SHOWN = {
    "index": (MODEL, LANGUAGE, CORPUS, name("prompt column")),
    "00-introduction": (MODEL, LANGUAGE, CORPUS),
    "01-activations": (MODEL, LANGUAGE, CORPUS, text("id 0"), text("group"), lines("prompt 0"), text("response")),
    "02-identification": (MODEL, LANGUAGE, CORPUS),
    "03-layers": (MODEL, LANGUAGE, CORPUS),
    "05-deactivation": (MODEL, LANGUAGE, CORPUS),
    "06-steering": (MODEL, LANGUAGE, CORPUS),
    "07-alignment": (MODEL, LANGUAGE, CORPUS, name("after")),
    "08-spontaneous": (MODEL, LANGUAGE, CORPUS, name("after")),
    "09-stability": (MODEL, LANGUAGE, CORPUS, name("after"), f"jsonl:{name('domain')}", f"jsonl:{name('missing')}"),
    "10-detectors": (MODEL, CORPUS),
    "11-models": (MODEL, LANGUAGE, CORPUS, name("beside")),
    "12-published": (),
    "04-neurons": (MODEL, LANGUAGE, CORPUS, text("response")),
    "search": (f"neuroglot: {MODEL}",),
}
SHOWN["print"] = tuple(dict.fromkeys(one for words in SHOWN.values() for one in words))


@pytest.mark.parametrize("page", SHOWN)
def test_text_from_outside_is_shown_and_is_nothing_else(visit, page):
    seen = visit(f"{page}.html" if page in ("print", "search") else f"book/chapters/{page}.html")
    assert (seen.refused, seen.errors) == ([], [])
    assert seen.page.evaluate("window.__owned") is None
    assert seen.page.evaluate(MADE) == []
    assert seen.page.evaluate(TYPESET) == 0
    said = " ".join(seen.page.evaluate(SAID).split())
    assert [one for one in SHOWN[page] if " ".join(one.split()) not in said] == []

"""Every command that README, the pages and the notebooks give is one that works: parsed, and run on something tiny.

A command written later is found here by itself; what cannot be run is listed with its reason.
"""

import argparse
import itertools
import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from importlib.metadata import requires
from pathlib import Path

import nbformat
import pytest
import yaml
from transformers import T5Config, T5ForConditionalGeneration

from neuroglot import NeuronTypes, cli, collect, load_corpus, load_model
from neuroglot.base.files import write_bytes
from neuroglot.book import chapters, estimate, pages

from .conftest import byte_tokenizer, fetched, tiny_model, write_texts

ROOT = Path(__file__).parents[1]
BIN = Path(sysconfig.get_path("scripts"))


def texts():
    """What a reader sees, by where: README, the pages, and the words of each notebook."""
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]:
        yield path.name, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        yield path.name, "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def lines_of(block):
    """The commands of a block of shell, a line each, without comments and what stands before ``-m neuroglot``."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):  # a variable of the environment
            words = words[1:]
        if words:
            yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


#: By the first word of a command that is not run: why.
NOT_RUN = {
    "make": "sets up .venv, makes the whole book or runs the tests; its targets are looked up",
    "conda": "fetches an environment; its file is compared with the pins in test_project",
    "pip": "fetches packages; its requirement is looked up",
    "!pip": "for Colab",
    "!git": "for Colab",
    "source": "activates an environment",
    "head=$(scontrol": "a line of a Slurm script",
    "models=(Qwen/Qwen3-4B-Base": "a line of a Slurm script",
    "model=${models[$SLURM_ARRAY_TASK_ID]}": "a line of a Slurm script",
}
#: These start several processes, which test_processes does; here one alone runs what they start.
LAUNCHERS = ("accelerate", "torchrun", "srun")

BLOCKS = [
    (name, command)
    for name, text in texts()
    for block in re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", text, re.M | re.S)
    for command in lines_of(block)
]
SPANS = [(name, " ".join(span.split())) for name, text in texts() for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
PROGRAMS = ("neuroglot", "papermill", "make", "conda", "pip", "torchrun", "accelerate", "!pip", "!git", "git", "source")


def inline():
    """Commands within a sentence: all of one, or only its beginning."""
    for name, span in SPANS:
        first = span.removeprefix(".venv/bin/").split(" ")[0]
        if first in PROGRAMS and " " in span:
            yield name, next(lines_of(span))


def without_launcher(command):
    """What one process of a launched command runs."""
    if command[0] in LAUNCHERS and "-m" in command:
        return command[command.index("-m") + 1 :]
    return command


def test_commands_are_found():
    found = [command for _, command in BLOCKS]
    assert len(found) > 30
    assert {command[1] for command in found if command[0] == "neuroglot"} >= {*cli.COMMANDS} - {"lab", "serve"}
    assert ["neuroglot", "book", "--corpus", "udhr", "--languages", "en vi id ar hi"] in found
    assert any(command[0] == "papermill" for command in found)


def test_each_command_can_be_run_or_is_listed():
    known = {"neuroglot", "papermill", *LAUNCHERS, *NOT_RUN}
    assert [(name, command) for name, command in [*BLOCKS, *inline()] if command[0] not in known] == []


def makes(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    return done.returncode == 0


@pytest.mark.parametrize("target", sorted({command[1] for _, command in [*BLOCKS, *inline()] if command[0] == "make"}))
def test_targets_of_make(target):
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    assert makes(target) and not makes("no-such-target")


def test_what_is_fetched_is_what_is_pinned():
    for name, (program, *words) in [*BLOCKS, *inline()]:
        for word in words if program in ("pip", "!pip", "conda") else ():
            if "==" in word:
                assert f"{word} " in (ROOT / "requirements/book.txt").read_text(), (name, word)
            if extra := re.fullmatch(r"(?:\.|neuroglot)\[(\w+)\]", word):
                assert f'extra == "{extra[1]}"' in str(requires("neuroglot")).replace("'", '"'), (name, word)
            if word.endswith((".yml", ".txt")):
                assert (ROOT / word).is_file(), (name, word)


def flags():
    """Every option of every command."""
    parser = cli.arguments.parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    return {name: set(command._option_string_actions) for name, command in commands.items()}


def test_shared_options_are_whole_in_every_command():
    """A parser that resolves a conflict takes the flag out of the action that others share."""
    parser = cli.arguments.parser()
    for action in next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices.values():
        for flag, own in action._option_string_actions.items():
            assert flag in own.option_strings, (action.prog, flag)
    none = ("compare", "verify", "archive", "unpack", "lab", "serve")
    assert all("--languages" in flags()[name] for name in cli.COMMANDS if name not in none)
    unwritten = {"check", "verify", "lab", "serve"}
    assert {name for name, own in flags().items() if "--no-wait" not in own} == unwritten
    assert {name for name, own in flags().items() if "--overwrite" not in own} == unwritten | {"book", "unpack"}
    assert set(flags()) == set(cli.COMMANDS) == set(SMALL)


def test_options_named_in_a_sentence_exist():
    known = set().union(*flags().values())
    for name, span in SPANS:
        if re.match(r"--?[a-z]", span) and span.split()[0] not in ("-e",):
            assert re.split(r"[ =]", span)[0] in known, (name, span)


def test_commands_named_in_a_sentence_exist():
    for name, command in inline():
        words = without_launcher(command)
        if words[0] == "neuroglot":
            assert words[1] in flags(), (name, command)
            assert {word for word in words[2:] if word.startswith("-")} <= flags()[words[1]], (name, command)


# --- run ------------------------------------------------------------------------------------------


@pytest.fixture
def place(template, tmp_path):
    """One of each test's own."""
    return Path(shutil.copytree(template, tmp_path / "place"))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A project with a tiny model, a tiny translation model, and some of all that commands name."""
    from .alignment.test_scorers import _bytes

    place = tmp_path_factory.mktemp("place")
    for name in ("_toc.yml", "_config.yml"):
        shutil.copy(ROOT / name, place)
    shutil.copytree(ROOT / "notebooks", place / "notebooks")
    tiny_model("llama", num_hidden_layers=5, max_position_embeddings=8192).float().save_pretrained(place / "tiny")
    byte_tokenizer().save_pretrained(place / "tiny")
    sizes = {"vocab_size": 320, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=1)).save_pretrained(place / "translation")
    _bytes().save_pretrained(place / "translation")
    for folder in ("data/mgsm", "scratch", *(f"OWNER/NAME/{code}" for code in ("en", "fr"))):
        (place / folder).mkdir(parents=True)
    write_texts(place / "essays")
    for code in ("en", "de"):
        rows = "".join(f"{code}: {number} + 1 = ?\t{number + 1}\n" for number in range(3))
        write_bytes(place / "data" / "mgsm" / f"mgsm_{code}.tsv", rows.encode())
    _texts_of_the_pages(place)
    configs = []
    for code in ("en", "fr"):
        row = {"question": f"{code}?", "response": f"{code}!"}
        write_bytes(place / "OWNER" / "NAME" / code / "test.jsonl", json.dumps(row).encode())
        files = [{"split": "test", "path": f"{code}/test.jsonl"}]
        configs.append({"config_name": code, "data_files": files})
    write_bytes(place / "OWNER" / "NAME" / "README.md", f"---\n{yaml.safe_dump({'configs': configs})}---\n".encode())
    # As the default book leaves it.
    counts = place / "runs" / "gemma3-270m-problems" / "activations.safetensors"
    model = load_model(str(place / "tiny"))
    collect(*model, load_corpus("problems", "en,de,zh", n=8, levels="1"), counts, moments=True, progress=False)
    return place


def _texts_of_the_pages(place):
    """What the commands on other text read, and a model whose tokenizer has a chat template."""
    shutil.copytree(place / "tiny", place / "chatty")
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        "{% for turn in messages %}[{{ turn.role }}] {{ turn.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% if enable_thinking %}Hm. {% endif %}{% endif %}"
    )
    tokenizer.save_pretrained(place / "chatty")
    write_bytes(place / "reviews.csv", b"text,lang\nGood and cheap.,en\nGut und billig.,de\n")
    lines = {"eng_Latn": "Good.\nBad.\n", "swh_Latn": "Nzuri.\nMbaya.\n", "zho_Hans": "好。\n坏。\n"}
    for name, text in lines.items():
        write_bytes(place / "flores200_dataset" / "devtest" / f"{name}.devtest", text.encode())
    chats, wiki = [], {}
    for code, question, response in [("en", "How are you?", "I am well."), ("de", "Wie geht es?", "Mir geht es gut.")]:
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": response}]
        chats.append(json.dumps({"language": code, "messages": turns}))
        wiki[code] = json.dumps({"response": response})
    write_bytes(place / "chats.jsonl", "\n".join(chats).encode())
    for code, row in wiki.items():
        write_bytes(place / "wiki" / f"{code}.jsonl", row.encode())


#: What a command names and a test cannot have, and what stands in for it.
INSTEAD = {
    "--model": "tiny",
    "check": "tiny",
    "--scorer": "translation:translation",
    "--device-map": "cpu",
}
_FEW = shlex.split("-o n 4 -o levels 1 --languages en,de,zh")
#: More of a command's words, so that it is over in a moment; a later value of an option counts.
SMALL = {
    "sample": shlex.split("--n 2 --max-new-tokens 4 --shots 1"),
    "collect": [*_FEW, "--overwrite"],  # one name for counts of several models
    "attribute": _FEW,
    "detect": [],
    "neurons": [],
    "classify": shlex.split("--lam 0.1 --top-rate 0.3 --quantile 0.8"),
    "losses": _FEW,
    "contexts": _FEW,
    "steer": [*_FEW, *shlex.split("--prompts 1 --max-new-tokens 4 --shots 0 --mean-documents 1 --targets de")],
    "align": shlex.split(
        "--n 2 --shots 0 -o n 4 -o levels 1 --set steps 1 --set rank 2 --set batch 1 --set micro_batch 1 "
        "--temperature 1.0"
    ),
    "compare": shlex.split("--splits 2"),
    "check": _FEW,
    "book": ["--no-build"],
    "verify": [],
    "archive": ["--no-pages"],
    "unpack": ["--no-build"],
    "lab": [],
    "serve": [],
}


def small(command, place):
    """The command with a tiny model in place of a hub's, little text, and places of the test's own."""
    words = [command[1]]
    for before, word in itertools.pairwise(command[1:]):
        if before in INSTEAD and command[1] != "book" and (before != "--scorer" or ":" in word):
            word = INSTEAD[before]
        elif before == "max_memory":
            word = json.dumps({"cpu": "1GiB"})
        words.append(re.sub(r"^/(?=\w)", f"{place}/", word))
    more = SMALL[command[1]]
    if command[1] == "collect" and any(name == "--corpus" and ":" in text for name, text in itertools.pairwise(words)):
        more = more[len(_FEW) :]  # other text is as little as it is
    if "template" in words:
        words[words.index("tiny")] = "chatty"
    if "--detector" in words:  # another one than the one with a lambda
        more = more[: more.index("--lam")] + more[more.index("--lam") + 2 :]
    return [*words, *more]


def pretended(source, output, parameters, root):
    """In place of a chapter, which test_book runs: its parameters are its own, its text can be read."""
    known = yaml.safe_load(json.dumps(chapters._parameters(root, chapters.Chapter(source.stem))))
    assert set(parameters) <= set(known), source
    if "corpus_options" in parameters or source.stem == "01-activations":
        corpus = parameters["corpus"]
        loaded = fetched(load_corpus, corpus, parameters.get("languages"), **parameters.get("corpus_options", {}))
        assert loaded.examples
    for domain, options in (parameters.get("domains") or {}).items():
        assert fetched(load_corpus, domain, **options).examples
    for chapter in chapters.CHAPTERS:
        if chapter.name == source.stem:
            for name in chapter.writes:
                write_bytes(root / parameters[name], source.stem.encode())
    write_bytes(output, source.read_bytes())


PAGES = sorted({name for name, command in BLOCKS if without_launcher(command)[0] in ("neuroglot", "papermill")})


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_one_after_another(page, place, monkeypatch, tmp_path):
    """In the order in which a reader comes by them."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(chapters, "_execute", pretended)
    monkeypatch.setattr("neuroglot.model.loading.is_installed", lambda name: True)
    monkeypatch.setattr(chapters, "_file_stamps", lambda _: {})
    monkeypatch.setattr(estimate, "estimate", lambda *_: estimate.Estimate({}, 0))
    for name, command in BLOCKS:
        words = without_launcher(command)
        if name != page or words[0] in NOT_RUN:
            continue
        if words[0] == "papermill":
            done = subprocess.run([BIN / "papermill", *words[1:]], capture_output=True, text=True)
            assert done.returncode == 0, (shlex.join(words), done.stderr[-2000:])
            assert Path(words[2]).is_file()
        else:
            parsed = cli.arguments.parser().parse_args(words[1:])
            assert parsed.command == words[1]
            assert cli.main(small(words, place)) == 0, shlex.join(words)


def test_the_command_that_ends_a_page_runs(place, monkeypatch, tmp_path):
    monkeypatch.chdir(place)
    counts = "runs/gemma3-270m-problems/activations.safetensors"
    said = pages.command(
        "02-identification", {"stats": counts, "types": f"{tmp_path}/types", "top_rate": 0.2, "lam": 0.1}
    )
    (words,) = lines_of(said)
    done = subprocess.run(
        [BIN / "papermill", words[1], tmp_path / words[2], *words[3:]], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert NeuronTypes.load(tmp_path / "types").top_rate == 0.2

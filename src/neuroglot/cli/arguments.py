"""The words of every command. What is not given is not there: its default is that of the function it goes to.

A help text states the default, too; ``tests/test_cli.py`` compares it with the signature.
"""

import argparse
from pathlib import Path
from typing import Any

from ..base.versions import __version__

_MODEL = "packaged model (gemma3-270m, smollm2-135m), hub id, folder or .gguf file"
_CORPUS = (
    "problems, udhr, mgsm:FOLDER, msvamp:FOLDER, generations:PATH, text:FOLDER, csv:PATH, jsonl:PATH, "
    "parquet:PATH, hub:ID/CONFIG (neuroglot.load_corpus describes them) or a corpus file of the book (held-out.jsonl)"
)
_COUNTS = "file written by neuroglot collect, or counts of others (neuroglot.read_counts)"
_SETS = '"specific", "specific + related" or "specific + related + general"'


def parser() -> argparse.ArgumentParser:
    """That of ``neuroglot``."""
    whole = argparse.ArgumentParser(
        prog="neuroglot",
        description="How a multilingual language model divides its neurons among languages.",
        epilog="First counts (collect), then types (classify); book does both and writes the pages. Where a "
        "corpus has questions only, the model answers them first (sample). Whether all of it can be relied on with a "
        "model: check.",
    )
    whole.add_argument("--version", action="version", version=f"neuroglot {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Command)
    for add in (
        _sample,
        _collect,
        _classify,
        _attribute,
        _detect,
        _neurons,
        _losses,
        _contexts,
        _steer,
        _align,
        _compare,
        _check,
        _book,
        _verify,
        _archive,
        _unpack,
        _lab,
        _serve,
    ):
        add(commands)
    return whole


class _Command(argparse.ArgumentParser):
    """One whose options are only there where they are given, and that takes options which others share."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, argument_default=argparse.SUPPRESS)

    def pairs(self, *flags: str, dest: str, help: str) -> None:
        """An option of a name and a value, any number of times."""
        metavar = ("NAME", "VALUE")
        self.add_argument(*flags, dest=dest, nargs=2, action="append", default=[], metavar=metavar, help=help)

    def model(self) -> None:
        """Which model."""
        self.add_argument("--model", help=f"{_MODEL}; default: gemma3-270m")

    def loading(self) -> None:
        """How a model is loaded."""
        self.add_argument("--revision", help="commit, branch or tag of a hub id")
        self.add_argument("--dtype", help="float32, bfloat16 or float16; default: as stored")
        self.add_argument("--device-map", help='"auto" uses every accelerator; default: the CPU')
        self.pairs(
            "--model-option",
            dest="model_option",
            help="""another option of from_pretrained, for instance: --model-option max_memory '{"0": "20GiB"}'""",
        )
        self.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")

    def corpus(self) -> None:
        """Which text."""
        self.add_argument("--corpus", help=f"{_CORPUS}; default: problems")
        self.pairs(
            "-o",
            "--corpus-option",
            dest="corpus_option",
            help="an option of the corpus, for instance: -o n 100 -o levels 1,2",
        )

    def languages(self) -> None:
        """In which languages."""
        self.add_argument("--languages", help='two or more codes, "en,zh,sw"; default: the ten of the paper')

    def reads(self) -> None:
        """A model runs over a text."""
        self.model()
        self.loading()
        self.corpus()
        self.languages()

    def writes(self, out: str, other: str, *, required: bool = True) -> None:
        """A file or folder is written, by one process at a time."""
        self.add_argument("--out", required=required, type=Path, help=out)
        self.add_argument("--overwrite", action="store_true", help=f"replace {other}")
        self.waits()

    def waits(self) -> None:
        """Another process may write the same."""
        self.add_argument(
            "--no-wait",
            dest="wait",
            action="store_false",
            help="stop at once, instead of waiting, where another process writes the same",
        )

    def batches(self) -> None:
        """Passes of so many tokens."""
        self.add_argument("--batch-tokens", type=int, help="tokens per forward pass; default: 1024")
        self.add_argument("--max-tokens", type=int, help="split longer texts; default: the model's context")

    def seed(self, help: str) -> None:
        """Of what is random."""
        self.add_argument("--seed", type=int, help=f"{help}; default: 0")


_Commands = argparse._SubParsersAction

_SHARED = "Several processes share the work, with the bytes of one, as in collect."


def _sample(commands: "_Commands[_Command]") -> None:
    sample = commands.add_parser(
        "sample",
        help="let the model answer the questions of a corpus",
        description="Write the model's own responses to a file that collect and book read as jsonl:FILE. "
        f"An interrupted run goes on where it stopped. {_SHARED}",
    )
    sample.reads()
    sample.writes("file to write, for instance responses.jsonl", "a file that holds other responses")
    sample.add_argument("--n", type=int, help="responses to each question; default: 1")
    sample.add_argument("--temperature", type=float, help="0 is greedy; default: 0.0")
    sample.seed("of the draws")
    sample.add_argument("--shots", type=int, help="worked examples before a question; default: 4")
    sample.add_argument("--worked", help="corpus the worked examples come from; default: the packaged problems")
    sample.add_argument("--chat", action="store_true", help="use the tokenizer's chat template")
    sample.add_argument("--max-new-tokens", type=int, help="longest response; default: 256")
    sample.add_argument("--batch-size", type=int, help="responses made together; default: 16")


def _collect(commands: "_Commands[_Command]") -> None:
    collect = commands.add_parser(
        "collect",
        help="count how often each neuron is active in each language",
        description="Run a model over a corpus and count, for every neuron and language, the tokens "
        "for which it is active. An interrupted run goes on where it stopped. Several processes share the work: "
        "accelerate launch -m neuroglot collect ..., or torchrun --nproc_per_node 2 -m neuroglot collect ...",
    )
    collect.reads()
    collect.writes("file to write, for instance counts.safetensors", "a file that holds other counts")
    collect.add_argument(
        "--dry-run",
        action="store_true",
        default=False,
        help="print tokens, memory, room on disk and an estimate of the time; count nothing",
    )
    _quantity(collect)
    collect.add_argument("--above", type=float, help="the least it must exceed; default: 0.0")
    collect.add_argument("--moments", action="store_true", help="also sum values and squares per language")
    collect.add_argument(
        "--gather",
        action="append",
        metavar="WHAT",
        help="what else detectors read: histograms of the values, and of each text its maxima, sums of absolute values "
        "and last ones (histograms, maxima, absolute, last); several times for several; default: none",
    )
    collect.add_argument(
        "--gather-memory",
        type=float,
        metavar="GIB",
        help="hold what is gathered in files where it needs more memory than this; default: 2.0",
    )
    collect.add_argument("--shards", type=int, help="parts kept apart for intervals; default: 20")
    collect.add_argument(
        "--pack",
        nargs="?",
        const=True,
        type=int,
        metavar="TOKENS",
        help="join texts of a language into windows of so many tokens, without a number as long as an input may be; "
        "default: each text is an input",
    )
    collect.batches()


def _quantity(command: _Command) -> None:
    command.add_argument(
        "--count",
        dest="quantity",
        metavar="QUANTITY",
        help="what makes a neuron active: its pre-activation, activation or product with the up projection; "
        "default: pre-activation",
    )


def _classify(commands: "_Commands[_Command]") -> None:
    classify = commands.add_parser(
        "classify",
        help="find specific, related and general neurons in counts",
        description="Type every neuron as language-specific, language-related, general or none of them.",
    )
    classify.add_argument("stats", type=Path, help=_COUNTS)
    classify.writes(
        "file to write; a .csv name writes a table of all neurons", "a file that holds something else", required=False
    )
    classify.add_argument("--languages", help="use only these languages of the counts")
    classify.add_argument("--top-rate", type=float, help="share of neurons selected; default: 0.01")
    classify.add_argument("--lam", type=float, help="weight of the highest probability; default: solved")
    classify.add_argument("--quantile", type=float, help="of all probabilities, gives tau; default: 0.95")
    classify.add_argument(
        "--unscaled",
        dest="scaled",
        action="store_false",
        help="score as printed in the paper, without its code's scaling",
    )
    classify.add_argument(
        "--min-tokens",
        type=int,
        help="tokens of each language that a mixture's neuron must have seen; default: 20",
    )
    classify.add_argument("--detector", help="whose scores to go by, a method of detect; default: lambda-score")
    classify.add_argument(
        "--activity",
        help="tau, or detector: active in a language is what another detector selects for it; default: tau",
    )


def _attribute(commands: "_Commands[_Command]") -> None:
    attribute = commands.add_parser(
        "attribute",
        help="estimate what switching off each single neuron does to each language's loss",
        description="One pass forward and one back over a corpus: first-order estimates for every neuron and language, "
        f"which detect ranks by (--method attribution). An interrupted run goes on where it stopped. {_SHARED}",
    )
    attribute.reads()
    attribute.writes("file to write, for instance attributions.safetensors", "a file that holds other attributions")
    attribute.batches()


def _detect(commands: "_Commands[_Command]") -> None:
    detect = commands.add_parser(
        "detect",
        help="find a language's neurons in counts by any published method",
        description="Score every neuron for every language by one method and say which neurons it chooses, or as many "
        "of every language.",
    )
    detect.add_argument("stats", type=Path, help=_COUNTS)
    detect.add_argument(
        "--method",
        required=True,
        help="lambda-score, lape, average-precision, plnd, percentile, overlap, mean-difference, attribution, random, "
        "or an installed one",
    )
    detect.writes(
        "file to write; a .csv name writes a table of the neurons chosen", "a file that holds something else",
        required=False,
    )  # fmt: skip
    detect.add_argument("--languages", help="use only these languages of the counts")
    detect.add_argument("--take", type=int, help="choose as many of every language, the highest scores first")
    detect.add_argument("--attributions", type=Path, help="file written by neuroglot attribute on the same languages")
    detect.add_argument(
        "--like", type=Path, help="types, a detection or neurons found elsewhere that random neurons stand in for"
    )
    detect.pairs("--set", dest="changes", help="another setting of the method, for instance: --set top_rate 0.02")


def _neurons(commands: "_Commands[_Command]") -> None:
    neurons = commands.add_parser(
        "neurons",
        help="read which neurons are each language's, whoever found them, and write them in another format",
        description="Say how many neurons of each language a file holds: LAPE's masks, a table (CSV, Parquet), types, "
        "a detection or a set; and write them again, with their languages, for the chapters or for others.",
    )
    neurons.add_argument("found", type=Path, help="file to read, whatever neuroglot.read_neurons reads")
    neurons.writes(
        "file to write, by its ending a set (.safetensors), a table (.csv, .parquet) or LAPE's masks (.pth)",
        "a file that holds something else",
        required=False,
    )
    neurons.add_argument("--languages", help="codes of the languages, in the order of a file that does not name them")


def _losses(commands: "_Commands[_Command]") -> None:
    losses = commands.add_parser(
        "losses",
        help="measure how likely the model finds a text, also without some neurons",
        description="Write the loss of every language's responses, of the model as it is and, given types, without "
        f"each language's neurons. An interrupted run goes on where it stopped. {_SHARED}",
    )
    losses.reads()
    losses.writes("file to write, for instance losses.safetensors", "a file that holds other losses")
    losses.add_argument("--types", type=Path, help="file written by neuroglot classify; default: nothing is removed")
    losses.add_argument(
        "--neurons",
        action="append",
        metavar="SET",
        help=f"which of a language's neurons to remove, {_SETS}; several times for several; default: all three",
    )
    losses.add_argument("--draws", type=int, help="times as many random neurons are removed beside; default: 0")
    losses.add_argument(
        "--matched",
        metavar="HOW",
        help="what random neurons have in common with those they stand beside: layer, or 'firing rate' as well "
        "(with --counts); default: layer",
    )
    losses.add_argument(
        "--counts", dest="stats", type=Path, help="counts that the types were identified on, to match firing rates by"
    )
    losses.add_argument("--width", type=float, help="how far firing rates may be apart; default: the nearest there are")
    losses.seed("of the random neurons")
    losses.add_argument("--response-tokens", type=int, help="tokens of each response that are scored; default: all")
    losses.add_argument(
        "--positions", help="where neurons are removed, at all tokens or at those of the response; default: all"
    )
    losses.batches()


def _contexts(commands: "_Commands[_Command]") -> None:
    contexts = commands.add_parser(
        "contexts",
        help="find the texts on which neurons fire most",
        description="Keep, of chosen neurons, the texts of each language on which they fire most: of all specific and "
        "related ones and some general ones, or of those that are named.",
    )
    contexts.reads()
    contexts.writes("file to write, for instance contexts.safetensors", "a file that holds other contexts")
    contexts.add_argument("--counts", type=Path, help="file written by neuroglot collect")
    contexts.add_argument("--types", type=Path, help="file written by neuroglot classify from these counts")
    contexts.add_argument("--general", type=int, help="general neurons to keep text of; default: 20")
    contexts.add_argument(
        "--neuron",
        nargs=2,
        type=int,
        action="append",
        metavar=("LAYER", "NEURON"),
        help="a neuron to keep text of, any number of times, in place of those of a type",
    )
    contexts.add_argument(
        "--texts", dest="contexts", type=int, help="texts kept of each neuron and language; default: 2"
    )
    contexts.add_argument("--window", type=int, help="tokens kept of each text; default: 16")
    _quantity(contexts)
    contexts.batches()


def _steer(commands: "_Commands[_Command]") -> None:
    steer = commands.add_parser(
        "steer",
        help="generate text with one language's neurons driven up and another's off",
        description="Write responses to questions in one language while its own neurons are switched off and another "
        f"language's driven up, beside random neurons; print how much of them is in that language. {_SHARED}",
    )
    steer.reads()
    steer.writes("file to write, for instance steered.jsonl", "a file that holds other responses, and the means")
    steer.add_argument("--types", required=True, type=Path, help="file written by neuroglot classify")
    steer.add_argument("--neurons", metavar="SET", help=f"of each language, {_SETS}; default: specific + related")
    steer.add_argument("--source", help="language of the questions; default: English, or the text's first")
    steer.add_argument("--targets", help="languages steered to; default: all others")
    steer.add_argument(
        "--strength",
        dest="strengths",
        nargs=2,
        action="append",
        metavar=("WAY", "NUMBERS"),
        help="how far they are driven up: amplify their values, or set them to multiples of their means; "
        "default: amplify 0,4,8 and set 0,1,2",
    )
    steer.add_argument("--prompts", type=int, help="questions, the easiest first; default: 2")
    steer.add_argument(
        "--means",
        type=Path,
        help="counts with --count product --moments, of text of all languages; default: made, and kept beside --out",
    )
    steer.add_argument("--mean-documents", type=int, help="documents of each language that they are of; default: 3")
    steer.add_argument("--shots", type=int, help="worked examples before a question; default: 1")
    steer.add_argument("--max-new-tokens", type=int, help="longest response; default: 32")
    steer.add_argument("--draws", type=int, help="draws of random neurons beside each; default: 1")
    steer.seed("of the random neurons")


def _align(commands: "_Commands[_Command]") -> None:
    align = commands.add_parser(
        "align",
        help="train an adapter that answers other languages as the pivot is answered",
        description="Score several responses to each question by how well they agree with the pivot's, and train "
        "the model to prefer the better of each pair (DPO, LoRA). An interrupted run goes on where it stopped.",
    )
    align.model()
    align.loading()
    align.corpus()
    align.writes("folder to write; book compares it: -p after FOLDER", "another training, and its pairs")
    align.add_argument("--languages", help="languages to align; default: zh,de")
    align.add_argument("--pivot", help="language to align them to; default: en")
    align.add_argument(
        "--responses",
        help="corrupted (right ones of the corpus and wrong ones made of them), sampled (from the model), or a corpus "
        "of several responses to each question, such as jsonl:FILE; default: corrupted",
    )
    align.add_argument("--n", type=int, help="responses to sample; default: 4")
    align.add_argument("--temperature", type=float, help="of sampled ones; default: 0.8")
    align.add_argument("--shots", type=int, help="worked examples before them; default: 4")
    align.add_argument(
        "--scorer",
        help="exact (number, steps and language), self (the model, given the pivot's response), or translation:MODEL, "
        "any seq2seq model, for instance translation:facebook/nllb-200-distilled-600M, or NAME:REST of an installed "
        "package; default: exact",
    )
    align.add_argument("--pairs", type=Path, help="file of preference pairs to use again, or to write")
    align.add_argument("--apart-from", type=Path, help="corpus file (held-out.jsonl) to share no wording with")
    align.add_argument("--preset", help="small, or paper for its hyperparameters; default: small")
    align.pairs(
        "--set",
        dest="changes",
        help="another value of the preset, for instance: --set steps 48 --set learning_rate 5e-5",
    )
    align.seed("of all that is random")
    align.add_argument("--shuffle", action="store_true", help="turn pairs round at random: the control")


def _compare(commands: "_Commands[_Command]") -> None:
    compare = commands.add_parser(
        "compare",
        help="set a changed model's neurons beside those before",
        description="Compare the types of all neurons in two counts of the same text: how many of each type there are, "
        "whether that is told apart from what a control changes, and what each neuron became.",
    )
    compare.add_argument("before", type=Path, help="file written by neuroglot collect")
    compare.add_argument(
        "after", type=Path, nargs="+", help="counts of the changed model; several are one training with other seeds"
    )
    compare.add_argument("--types", required=True, type=Path, help="file written by neuroglot classify from the first")
    compare.writes("file to write, for instance changes.json", "a file that holds something else")
    compare.add_argument(
        "--control",
        type=Path,
        action="append",
        help="counts of a control, such as a training on shuffled pairs; several for as many seeds, in their order",
    )
    compare.add_argument(
        "--thresholds", help="kept, or solved for each of the counts (lambda and tau anew); default: kept"
    )
    compare.add_argument("--splits", type=int, help="of the text into halves, counted again; default: 50")
    compare.seed("of these")


def _check(commands: "_Commands[_Command]") -> None:
    check = commands.add_parser(
        "check",
        help="show on your model what the tests show on tiny ones",
        description="In about a minute, and in plain sentences: where the neurons are, counts beside plain arithmetic, "
        "reading and removing, the tokenizer, the detection of languages, time and memory. Exit code 1 if any fails.",
    )
    check.add_argument("model", metavar="MODEL", help=_MODEL)
    check.loading()
    check.corpus()
    check.languages()


def _book(commands: "_Commands[_Command]") -> None:
    book = commands.add_parser(
        "book",
        help="run every chapter and build the pages",
        description="Run the chapters whose inputs have changed and build _build/html, in a clone of neuroglot.",
    )
    book.add_argument(
        "--model",
        dest="models",
        action="append",
        help=f"{_MODEL}; several are set side by side, the first leads; default: those that are packaged",
    )
    book.loading()
    book.corpus()
    book.languages()
    book.waits()
    book.add_argument("--run", help="name, not a path, of the folder under runs/; default: from model and corpus")
    book.pairs("-p", "--parameter", dest="parameter", help="any parameter of a chapter, for instance: -p top_rate 0.02")
    depth = book.add_mutually_exclusive_group()
    for preset, what in {
        "quick": "little text and few steps, to check the book; every page says so",
        "full": "the book to be cited: all held-out text, more draws and trainings, 2 to 3 hours; it goes on anywhere",
    }.items():
        depth.add_argument(f"--{preset}", dest="preset", action="store_const", const=preset, help=what)
    book.add_argument("--force", action="store_true", help="run every chapter again")
    chapter = "a chapter, by its name or number, for instance 05-deactivation or 05"
    book.add_argument(
        "--dry-run",
        action="store_true",
        default=False,
        help="say how long the chapters and how much memory they are expected to take, and run none",
    )
    book.add_argument("--only", action="append", metavar="CHAPTER", help=f"{chapter}; several times for several")
    book.add_argument("--from", dest="first", metavar="CHAPTER", help="this chapter and those that are run after it")
    book.add_argument("--to", dest="last", metavar="CHAPTER", help="this chapter and those that are run before it")
    book.add_argument("--no-build", action="store_true", default=False, help="run the chapters but build no pages")


def _verify(commands: "_Commands[_Command]") -> None:
    verify = commands.add_parser(
        "verify",
        help="whether a run is as it was written, and comes out the same",
        description="Compare the files of a run with its manifest, by their hashes; measure some of its numbers anew; "
        "set it beside another run. Exit code 1 if anything differs by more than rounding.",
    )
    verify.add_argument("run", metavar="RUN", help="name of its folder under runs/")
    verify.add_argument(
        "--again", type=int, metavar="N", help="measure N parts of counts, losses and answers anew; default: 0"
    )
    verify.add_argument("--seed", type=int, help="of which they are; default: 0")
    verify.add_argument("--like", metavar="RUN", help="another run that must have the same files and outputs")


def _archive(commands: "_Commands[_Command]") -> None:
    archive = commands.add_parser(
        "archive",
        help="pack a run into one file, an RO-Crate",
        description="Pack data, notebooks, pages, locked versions and metadata of a run into one zip file: the same "
        "bytes for the same run. A run whose files were changed is refused.",
    )
    archive.add_argument("run", metavar="RUN", help="name of its folder under runs/")
    archive.writes("file to write; default: RUN.crate.zip", "a file that holds something else", required=False)
    archive.add_argument(
        "--text-licence",
        metavar="NAME",
        help='of text that is not packaged: a name of SPDX, an address, or "unknown"',
    )
    archive.add_argument("--no-pages", dest="pages", action="store_false", help="build and pack no pages")


def _unpack(commands: "_Commands[_Command]") -> None:
    unpack = commands.add_parser(
        "unpack",
        help="make an archive a run again and build its pages, without the model",
        description="Check an archive, put its run into this project or an empty folder, and build the pages there. "
        "Nothing of the archive is run.",
    )
    unpack.add_argument("file", type=Path, metavar="FILE", help="written by neuroglot archive")
    unpack.add_argument("--into", type=Path, metavar="FOLDER", help="a project or an empty folder; default: here")
    unpack.add_argument("--no-build", dest="build", action="store_false", help="build no pages")
    unpack.waits()


def _lab(commands: "_Commands[_Command]") -> None:
    lab = commands.add_parser("lab", help="open the chapters in JupyterLab, on this machine")
    lab.add_argument("--port", type=int, help="default: the first free one from 8888 on")
    lab.add_argument("--no-browser", action="store_false", dest="browser", help="only say the address")


def _serve(commands: "_Commands[_Command]") -> None:
    serve = commands.add_parser("serve", help="show the built book on this machine")
    serve.add_argument("--port", type=int, help="default: 8000")

"""The command line: ``neuroglot sample | collect | classify | align | book | serve``."""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base.errors import NeuroglotError, in_a_line, quoted
from .base.versions import __version__

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .alignment.preferences import Preferences
    from .text.corpora import Corpus

_MODEL = "packaged model (gemma3-270m, smollm2-135m), hub id, folder or .gguf file"
_CORPUS = (
    "problems, udhr, mgsm:FOLDER, msvamp:FOLDER, generations:PATH, text:FOLDER, jsonl:PATH, parquet:PATH or "
    "hub:ID/CONFIG (neuroglot.load_corpus describes them)"
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neuroglot",
        description="How a multilingual language model divides its neurons among languages.",
        epilog="First counts (collect), then types (classify); book does both and writes the pages. Where a "
        "corpus has questions only, the model answers them first (sample).",
    )
    parser.add_argument("--version", action="version", version=f"neuroglot {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    # What several commands share; an option that one of them has otherwise is not among it.
    text, these, one, many, writer = (argparse.ArgumentParser(add_help=False) for _ in range(5))
    one.add_argument("--model", default="gemma3-270m", help=f"{_MODEL}; default: %(default)s")
    many.add_argument("--model", action="append", help=f"{_MODEL}; several are set side by side, the first leads")
    text.add_argument("--revision", help="commit, branch or tag of a hub id")
    text.add_argument("--dtype", help="float32, bfloat16 or float16; default: as stored")
    text.add_argument("--device-map", help='"auto" uses every accelerator; default: the CPU')
    text.add_argument(
        "--model-option",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="""another option of from_pretrained, for instance: --model-option max_memory '{"0": "20GiB"}'""",
    )
    text.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    text.add_argument("--corpus", default="problems", help=f"{_CORPUS}; default: %(default)s")
    text.add_argument(
        "-o",
        "--corpus-option",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="an option of the corpus, for instance: -o n 100 -o levels 1,2",
    )
    these.add_argument("--languages", help='two or more codes, "en,zh,sw"; default: the ten of the paper')
    writer.add_argument(
        "--no-wait",
        dest="wait",
        action="store_false",
        help="stop at once, instead of waiting, where another process writes the same",
    )

    sample = commands.add_parser(
        "sample",
        parents=[one, text, these, writer],
        help="let the model answer the questions of a corpus",
        description="Write the model's own responses to a file that collect and book read as jsonl:FILE. "
        "An interrupted run goes on where it stopped.",
    )
    sample.add_argument("--out", required=True, type=Path, help="file to write, for instance responses.jsonl")
    sample.add_argument("--n", type=int, default=1, help="responses to each question; default: %(default)s")
    sample.add_argument("--temperature", type=float, default=0.0, help="0 is greedy; default: %(default)s")
    sample.add_argument("--seed", type=int, default=0, help="of the draws; default: %(default)s")
    sample.add_argument("--shots", type=int, default=4, help="worked examples before a question; default: %(default)s")
    sample.add_argument("--worked", help="corpus the worked examples come from; default: the packaged problems")
    sample.add_argument("--chat", action="store_true", help="use the tokenizer's chat template")
    sample.add_argument("--max-new-tokens", type=int, default=256, help="longest response; default: %(default)s")
    sample.add_argument("--batch-size", type=int, default=16, help="responses made together; default: %(default)s")
    sample.add_argument("--overwrite", action="store_true", help="replace a file that holds other responses")

    collect = commands.add_parser(
        "collect",
        parents=[one, text, these, writer],
        help="count how often each neuron is active in each language",
        description="Run a model over a corpus and count, for every neuron and language, the tokens "
        "for which it is active. An interrupted run goes on where it stopped. Several processes share the work: "
        "accelerate launch -m neuroglot collect ..., or torchrun --nproc_per_node 2 -m neuroglot collect ...",
    )
    collect.add_argument("--out", required=True, type=Path, help="file to write, for instance counts.safetensors")
    collect.add_argument(
        "--dry-run", action="store_true", help="print tokens, memory and an estimate of the time; count nothing"
    )
    collect.add_argument(
        "--count",
        dest="quantity",
        default="pre-activation",
        metavar="QUANTITY",
        help="what makes a neuron active: its pre-activation, activation or product with the up projection; "
        "default: %(default)s",
    )
    collect.add_argument("--above", type=float, default=0.0, help="the least it must exceed; default: %(default)s")
    collect.add_argument("--moments", action="store_true", help="also sum values and squares per language")
    collect.add_argument("--shards", type=int, default=20, help="parts kept apart for intervals; default: %(default)s")
    collect.add_argument("--batch-tokens", type=int, default=1024, help="tokens per forward pass; default: %(default)s")
    collect.add_argument("--max-tokens", type=int, help="split longer texts; default: the model's context")
    collect.add_argument("--overwrite", action="store_true", help="replace a file that holds other counts")

    classify = commands.add_parser(
        "classify",
        parents=[writer],
        help="find specific, related and general neurons in counts",
        description="Type every neuron as language-specific, language-related, general or none of them.",
    )
    classify.add_argument("stats", type=Path, help="file written by neuroglot collect")
    classify.add_argument("--out", type=Path, help="file to write; a .csv name writes a table of all neurons")
    classify.add_argument("--languages", help="use only these languages of the counts")
    classify.add_argument(
        "--top-rate", type=float, default=0.01, help="share of neurons selected; default: %(default)s"
    )
    classify.add_argument("--lam", type=float, help="weight of the highest probability; default: solved")
    classify.add_argument(
        "--quantile", type=float, default=0.95, help="of all probabilities, gives tau; default: %(default)s"
    )
    classify.add_argument(
        "--unscaled", action="store_true", help="score as printed in the paper, without its code's scaling"
    )
    classify.add_argument(
        "--min-tokens",
        type=int,
        default=20,
        help="tokens of each language that a mixture's neuron must have seen; default: %(default)s",
    )
    classify.add_argument("--overwrite", action="store_true", help="replace a file that holds something else")

    align = commands.add_parser(
        "align",
        parents=[one, text, writer],
        help="train an adapter that answers other languages as the pivot is answered",
        description="Score several responses to each question by how well they agree with the pivot's, and train "
        "the model to prefer the better of each pair (DPO, LoRA). An interrupted run goes on where it stopped.",
    )
    align.add_argument("--out", required=True, type=Path, help="folder to write; book compares it: -p after FOLDER")
    align.add_argument("--languages", default="zh,de", help="languages to align; default: %(default)s")
    align.add_argument("--pivot", default="en", help="language to align them to; default: %(default)s")
    align.add_argument(
        "--responses",
        default="corrupted",
        help="corrupted (right ones of the corpus and wrong ones made of them), sampled (from the model), or a corpus "
        "of several responses to each question, such as jsonl:FILE; default: %(default)s",
    )
    align.add_argument("--n", type=int, default=4, help="responses to sample; default: %(default)s")
    align.add_argument("--temperature", type=float, default=0.8, help="of sampled ones; default: %(default)s")
    align.add_argument("--shots", type=int, default=4, help="worked examples before them; default: %(default)s")
    align.add_argument(
        "--scorer",
        default="exact",
        help="exact (number, steps and language), self (the model, given the pivot's response), or translation:MODEL, "
        "any seq2seq model, for instance translation:facebook/nllb-200-distilled-600M; default: %(default)s",
    )
    align.add_argument("--pairs", type=Path, help="file of preference pairs to use again, or to write")
    align.add_argument("--apart-from", type=Path, help="corpus file (held-out.jsonl) to share no wording with")
    align.add_argument(
        "--preset", default="small", help="small, or paper for its hyperparameters; default: %(default)s"
    )
    align.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="another value of the preset, for instance: --set steps 48 --set learning_rate 5e-5",
    )
    align.add_argument("--seed", type=int, default=0, help="of all that is random; default: %(default)s")
    align.add_argument("--shuffle", action="store_true", help="turn pairs round at random: the control")
    align.add_argument("--overwrite", action="store_true", help="replace another training, and its pairs")

    book = commands.add_parser(
        "book",
        parents=[many, text, these, writer],
        help="run every chapter and build the pages",
        description="Run the chapters whose inputs have changed and build _build/html, in a clone of neuroglot.",
    )
    book.add_argument("--run", help="name, not a path, of the folder under runs/; default: from model and corpus")
    book.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="any parameter of a chapter, for instance: -p top_rate 0.02",
    )
    book.add_argument(
        "--quick", action="store_true", help="little text and few steps, to check the book; every page says so"
    )
    book.add_argument("--force", action="store_true", help="run every chapter again")
    book.add_argument("--no-build", action="store_true", help="run the chapters but build no pages")

    serve = commands.add_parser("serve", help="show the built book on this machine")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    return parser


def _text(arguments: argparse.Namespace) -> "Corpus":
    from .text.readers import load_corpus

    options = _options(arguments.corpus_option, ("spec", "languages"), "--corpus and --languages")
    corpus = load_corpus(arguments.corpus, arguments.languages, **options)
    _say(f"text: {corpus.name}, {len(corpus.examples):,} examples in {', '.join(corpus.languages)}")
    return corpus


def _say(text: str) -> None:
    """Print, once for all the processes that share a run."""
    if os.environ.get("RANK", "0") == "0":
        print(text, flush=True)


def _model(arguments: argparse.Namespace) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    from .model.loading import load_model
    from .model.processes import own_device

    device = own_device()
    if device is not None and arguments.device_map is not None:
        raise NeuroglotError("several processes take one accelerator each; leave out --device-map, or start only one.")
    return load_model(arguments.model, **({} if device is None else {"device_map": device}) | _model_options(arguments))


def _model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    own = ("revision", "dtype", "device_map", "trust_remote_code")
    flags = {name: value for name in own if (value := getattr(arguments, name)) not in (None, False)}
    refused = "--model, --revision, --dtype, --device-map and --trust-remote-code"
    return flags | _options(arguments.model_option, ("name", *own), refused)


def _options(given: Sequence[Sequence[str]], own: Sequence[str], flags: str) -> dict[str, Any]:
    """Pairs of name and value; those that have a flag of their own are refused."""
    if taken := [name for name, _ in given if name in own]:
        raise NeuroglotError(f"the option {quoted(taken[0])} has a flag of its own; use {flags}.")
    return {name: _literal(value) for name, value in given}


def _sample(arguments: argparse.Namespace) -> None:
    from .base.locks import alone
    from .model.sampling import sample
    from .text.readers import load_corpus

    with alone(arguments.out, wait=arguments.wait):  # before a model is loaded
        corpus = _text(arguments)
        worked = load_corpus(arguments.worked, corpus.languages) if arguments.worked else None
        names = ("n", "temperature", "seed", "shots", "chat", "max_new_tokens", "batch_size", "overwrite", "wait")
        settings = {name: getattr(arguments, name) for name in names}
        responses = sample(*_model(arguments), corpus, arguments.out, worked=worked, **settings)
    print(
        f"wrote {arguments.out}: {len(responses.examples):,} responses; to count them: "
        f"--corpus {shlex.quote(f'jsonl:{arguments.out}')}"
    )


def _collect(arguments: argparse.Namespace) -> None:
    from .base.locks import alone
    from .model.processes import joined, leave

    with alone(None if arguments.dry_run else arguments.out, wait=arguments.wait, once=joined().once):
        _count(arguments)
    leave()


def _count(arguments: argparse.Namespace) -> None:
    from .counts.collecting import Collection

    corpus = _text(arguments)
    model, tokenizer = _model(arguments)
    names = ("quantity", "above", "moments", "shards", "batch_tokens", "max_tokens")
    collection = Collection(model, tokenizer, corpus, **{name: getattr(arguments, name) for name in names})
    first = collection.processes.first
    if first and not corpus.questions_only:
        _say(corpus.purity().to_string(index=False))
    tokens = dict(zip(corpus.languages, collection.tokens.sum(axis=0).tolist(), strict=True))
    _say(f"tokens to count: {sum(tokens.values()):,} ({', '.join(f'{c} {n:,}' for c, n in tokens.items())})")
    if collection.split:
        _say(f"{collection.split} texts are longer than the context and are counted in pieces")
    layer = collection.layers[0]
    _say(f"neurons: {len(collection.layers)} layers x {layer.neurons:,}")
    if arguments.dry_run:
        needed = collection.memory()
        each = ", ".join(f"{name} {size / 2**30:.2f} GiB" for name, size in needed.items())
        _say(f"memory: about {sum(needed.values()) / 2**30:.2f} GiB ({each})")
        if first:
            seconds = collection.estimate_seconds()
            _say(
                f"time: about {seconds:.0f} s, {sum(tokens.values()) / seconds:,.0f} counted tokens/s; nothing written"
            )
        return
    start = time.perf_counter()
    collection.run(arguments.out, overwrite=arguments.overwrite, wait=arguments.wait)
    _say(f"wrote {arguments.out} in {time.perf_counter() - start:.1f} s")


def _classify(arguments: argparse.Namespace) -> None:
    from .base.files import write_bytes
    from .base.locks import write_kept
    from .counts.activations import ActivationStats
    from .neurons.identification import classify

    stats = ActivationStats.load(arguments.stats)
    if arguments.languages:
        stats = stats.select(arguments.languages)
    types = classify(
        stats,
        top_rate=arguments.top_rate,
        lam=arguments.lam,
        quantile=arguments.quantile,
        scaled=not arguments.unscaled,
        min_tokens=arguments.min_tokens,
    )
    solved = "given" if arguments.lam is not None else "solved"
    print(f"lambda {types.lam:.6g} ({solved}), tau {types.tau:.6g}, {int(types.selected.sum()):,} neurons selected")
    if types.n_starved:
        print(f"{types.n_starved:,} neurons saw fewer than {types.min_tokens} tokens of a language: unclassified")
    print(types.table()["kind"].value_counts(sort=False).to_string())
    print(
        types.counts_per_language()
        .pivot(index="language", columns="kind", values="neurons")
        .loc[list(types.languages), ["specific", "related"]]
        .to_string()
    )
    if arguments.out:

        def save(path: Path) -> None:
            if path.suffix == ".csv":
                write_bytes(path, types.table().to_csv(index=False, lineterminator="\n").encode())
            else:
                types.save(path)

        write_kept(arguments.out, save, overwrite=arguments.overwrite, wait=arguments.wait)
        print(f"wrote {arguments.out}")


def _align(arguments: argparse.Namespace) -> None:
    from .alignment.training import align, recipe_of, require_folder
    from .base.locks import alone
    from .text.languages import parse_languages

    require_folder(arguments.out)
    recipe = recipe_of(arguments.preset, {name: _literal(value) for name, value in arguments.set})
    languages = parse_languages(arguments.languages, least=1)
    with alone(arguments.out, wait=arguments.wait):
        model, tokenizer = _model(arguments)
        used = _pairs(arguments, model, tokenizer, languages)
        print(used.table().to_string(index=False))
        used = used.shuffled(arguments.seed) if arguments.shuffle else used
        start = time.perf_counter()
        settings = {"seed": arguments.seed, "overwrite": arguments.overwrite, "wait": arguments.wait}
        done = align(model, tokenizer, used, arguments.out, recipe, **settings)
    first, last = done.log.iloc[0], done.log.iloc[-1]
    print(f"loss {first['loss']:.3f} in step 1, {last['loss']:.3f} in step {last['step']:.0f}")
    print(f"wrote {arguments.out} in {time.perf_counter() - start:.1f} s")
    print(f"what changed: neuroglot book {shlex.join(['--model', arguments.model, '-p', 'after', str(arguments.out)])}")


def _pairs(
    arguments: argparse.Namespace,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    languages: "tuple[str, ...]",
) -> "Preferences":
    """Those of ``--pairs`` if it is there, else new ones, written there or beside the training."""
    from .alignment.preferences import Preferences
    from .base.locks import write_kept

    pairs = arguments.pairs or arguments.out.with_name(f"{arguments.out.name}.preferences.jsonl")
    if arguments.pairs is None or not pairs.exists():
        preferences = _preferences(arguments, model, tokenizer, languages)
        write_kept(pairs, preferences.save, overwrite=arguments.overwrite, wait=arguments.wait)
        print(f"wrote {pairs}")
        return preferences
    if arguments.apart_from is not None:
        raise NeuroglotError(f"{pairs} is there already, so --apart-from cannot be kept to; leave one of them out.")
    print(f"using the pairs in {pairs}: corpus, responses and scorer are theirs")
    preferences = Preferences.load(pairs)
    if preferences.pivot != arguments.pivot or set(preferences.languages) != set(languages):
        raise NeuroglotError(
            f"{pairs} has pairs in {' '.join(preferences.languages)} with the pivot {preferences.pivot}; "
            "give these languages, or another file."
        )
    return preferences


def _preferences(
    arguments: argparse.Namespace,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    languages: "tuple[str, ...]",
) -> "Preferences":
    from .alignment.preferences import candidates, prefer
    from .alignment.scorers import named
    from .text.corpora import Corpus
    from .text.readers import load_corpus

    options = _options(arguments.corpus_option, ("spec", "languages"), "--corpus and --languages")
    if arguments.corpus == "problems":  # easy ones, and others than those that neurons are counted on
        options = {"n": 96, "seed": 2, "levels": "1"} | options
    questions = load_corpus(arguments.corpus, **options)
    if arguments.apart_from is not None:
        questions = questions.apart_from(Corpus.load(arguments.apart_from))
    scorer = named(arguments.scorer, model, tokenizer)
    path = arguments.out.with_name(f"{arguments.out.name}.responses.jsonl")
    sampling = {name: getattr(arguments, name) for name in ("n", "temperature", "shots", "seed", "overwrite", "wait")}
    responses = candidates(
        arguments.responses, questions, languages, model, tokenizer, path, seed=arguments.seed, sampling=sampling
    )
    return prefer(responses, questions, scorer, languages=languages, pivot=arguments.pivot)


def _book(arguments: argparse.Namespace) -> None:
    from .book import chapters

    start = time.perf_counter()
    parameters: dict[str, Any] = {"corpus": arguments.corpus}
    if arguments.languages is not None:
        parameters["languages"] = arguments.languages
    if arguments.corpus_option:
        parameters["corpus_options"] = {name: _literal(value) for name, value in arguments.corpus_option}
    if options := _model_options(arguments):
        parameters["model_options"] = options
    parameters |= {name: _literal(value) for name, value in arguments.parameter}
    runs = [{"model": model} for model in arguments.model] if arguments.model else _default_runs()
    # The preset says how much text, not the default book; and other text has options of other names.
    if arguments.quick or parameters["corpus"] != "problems":
        runs = [{"model": own["model"]} for own in runs]
    settings = {"run": arguments.run, "force": arguments.force, "quick": arguments.quick, "wait": arguments.wait}
    run, seconds = chapters.run_models([own | parameters for own in runs], **settings)
    if not arguments.no_build:
        print("  building the pages", flush=True)
        before = time.perf_counter()
        page = chapters.build(run, wait=arguments.wait)
        seconds["pages"] = time.perf_counter() - before
        print(f"open {page}")
    print("took " + ", ".join(f"{name} {time_:.1f} s" for name, time_ in seconds.items()), end="")
    print(f"; in all {time.perf_counter() - start:.1f} s")


def _default_runs() -> "list[dict[str, Any]]":
    """Those of the default book whose packages are installed; the first one's must be."""
    from .book import chapters
    from .model.loading import PACKAGED, is_installed

    lead, *others = chapters.DEFAULT_RUNS
    for other in others:
        packaged = PACKAGED[other["model"]]
        if not is_installed(other["model"]):
            print(
                f"the book is made without {other['model']} beside it; to have it, run: "
                f"pip install {packaged.install}{packaged.package}=={packaged.version}"
            )
    return [lead, *(other for other in others if is_installed(other["model"]))]


def _literal(text: str) -> Any:
    """A number, true, false or null as JSON has them; any other text as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also of a number too long, or of lists too deep
        return text


def _serve(arguments: argparse.Namespace) -> None:
    from .book import chapters

    chapters.serve(chapters.project_root() / "_build" / "html", arguments.port)


def _of_files(error: OSError) -> str:
    name = f"{str(error.filename)[:200]} cannot be read or written: " if error.filename is not None else ""
    return f"{name}{error.strerror or in_a_line(error)}; check that the place is there, has space and may be written."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 is the exit code of an error that the message explains."""
    arguments = _parser().parse_args(argv)
    commands = {
        "sample": _sample,
        "collect": _collect,
        "classify": _classify,
        "align": _align,
        "book": _book,
        "serve": _serve,
    }
    try:
        commands[arguments.command](arguments)
    except NeuroglotError as error:
        which = f" (process {rank})" if (rank := os.environ.get("RANK", "0")) != "0" else ""
        print(f"neuroglot{which}: {error}", file=sys.stderr, flush=True)
        return 2
    except OSError as error:  # of a file or folder: a full disk, one that is read-only, a name too long
        print(f"neuroglot: {_of_files(error)}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        print("neuroglot: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0

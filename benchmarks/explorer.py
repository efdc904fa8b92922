"""How long the explorer in the page takes for an update, and how much data it carries.

Run it with ``make benchmark`` (or ``python benchmarks/explorer.py``); it needs Chromium. Counts of the packaged model's
and of Mistral 7B's size are drawn at random; settings are changed at random, and an update is timed in
the browser from the change to the drawn charts, beside what ``classify`` takes in Python for the same.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from report import machine, table, write

import neuroglot
from neuroglot.book.packing import PAGE_LIMIT, pack
from neuroglot.book.printing import chromium

LANGUAGES = ("en", "ru", "es", "fr", "de", "zh", "ja", "bn", "th", "sw")
SIZES = {"Gemma 3 270M": (18, 2048, 1_500), "Mistral 7B": (32, 14336, 400_000)}
CHANGES = {
    "top rate, lambda given": lambda rng: {"topRate": rng.uniform(0.005, 0.1), "lam": 0.1},
    "top rate, lambda solved": lambda rng: {"topRate": rng.uniform(0.005, 0.1), "lam": None},
    "quantile, lambda solved": lambda rng: {"quantile": rng.uniform(0.8, 0.99), "lam": None},
    "the sliders' ends, lambda solved": lambda rng: {
        "topRate": rng.choice([0.001, 0.2]),
        "quantile": rng.choice([0.5, 0.999]),
        "lam": None,
    },
    "a language left out, lambda solved": lambda rng: {
        "languages": [code for code in LANGUAGES if code != rng.choice(LANGUAGES)],
        "lam": None,
    },
}
TIME = """async (settings) => {
  const { set, took, result } = document.querySelector("[data-neuroglot]").explorer;
  await set(settings);
  const { topRate, lam, solved, quantile, languages } = result(); // where no lambda fits, the ones before
  return [took(), { top_rate: topRate, lam: solved ? null : lam, quantile }, languages];
}"""


def counts(layers: int, width: int, tokens: int) -> neuroglot.ActivationStats:
    """Neurons that lean to one language, to some, or to none."""
    rng = np.random.default_rng(0)
    shape = (layers, width, len(LANGUAGES))
    p = rng.beta(0.8, 2.5, size=(layers, width, 1)) * rng.beta(8, 1, size=shape)
    leaning = rng.random((layers, width)) < 0.05
    p[leaning] *= rng.random((int(leaning.sum()), len(LANGUAGES))) < 0.3
    found = np.round(p * tokens).astype(np.int64)
    languages = np.full((1, len(LANGUAGES)), tokens)
    return neuroglot.ActivationStats(found[None], languages, LANGUAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=20, help="of each kind and size")
    arguments = parser.parse_args()
    rows = [("size", "change", "median, page (ms)", "longest", "median, Python (ms)")]
    said = []
    if chromium() is None:
        raise SystemExit("there is no Chromium on the path; install it")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for name, size in SIZES.items():
            stats = counts(*size)
            packed, data = pack(stats, PAGE_LIMIT)
            kind = (
                f"roots in {packed.scales[0]} steps, at most {packed.error(stats):.4f} off" if packed.roots else "exact"
            )
            said.append(f"{name}: {len(data) * 4 / 3 / 1e6:.2f} MB in the page ({kind})")
            path = Path(folder) / "explorer.html"
            neuroglot.ThresholdExplorer(stats, top_rate=0.02).save(path)
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("[data-drawn]", timeout=60_000)
            for change, settings in CHANGES.items():
                rng, here, there = np.random.default_rng(1), [], []
                page.evaluate(TIME, {"topRate": 0.02, "lam": None, "quantile": 0.95, "languages": LANGUAGES})
                for _ in range(arguments.updates):
                    took, used, languages = page.evaluate(TIME, settings(rng))
                    here.append(took)
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        neuroglot.classify(stats.select(languages), **used)
                    there.append(1000 * (time.perf_counter() - start))
                ours = statistics.median(here), max(here), statistics.median(there)
                rows.append((name, change, *(f"{number:,.0f}" for number in ours)))
            page.close()
        browser.close()
    note = f"*{'; '.join(said)}. {arguments.updates} updates of each kind; {machine()}.*"
    write("explorer", f"{table(rows)}\n\n{note}")


if __name__ == "__main__":
    main()

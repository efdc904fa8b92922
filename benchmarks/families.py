"""Which families of transformers' causal language models are counted, on the page "Any model": ``make benchmark``."""

import sys
from pathlib import Path

import transformers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import families


def main() -> None:
    transformers.logging.set_verbosity_error()
    page = Path(__file__).parents[1] / "book" / "models.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(families.BEGIN)
    _, _, after = rest.partition(families.END)
    block = f"{families.BEGIN}\n{families.table(families.states())}\n{families.END}"
    page.write_text(f"{before}{block}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()

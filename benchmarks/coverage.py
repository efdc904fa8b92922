"""How often each kind of interval holds what it is of, by the number of units: ``make benchmark``."""

import sys
from pathlib import Path

from report import table, write

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.base import coverage


def main() -> None:
    rows = [("interval (nominal 95 %)", *(f"{n} units" for n in coverage.SIZES))]
    for kind, (_, least) in coverage.KINDS.items():
        rows.append((kind, *(f"{coverage.of(kind, n):.1%}" if n >= least else "" for n in coverage.SIZES)))
    write("coverage", table(rows))


if __name__ == "__main__":
    main()

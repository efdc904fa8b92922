"""The main numbers of each chapter in one form, so that one run can be set beside another."""

from collections.abc import Callable, Mapping

import pandas as pd

Tables = Mapping[str, pd.DataFrame]

#: What a chapter writes, and its main numbers: ``what``, ``value``, ``low``, ``high``.
HEADLINES: dict[str, Callable[[Tables], pd.DataFrame]] = {}

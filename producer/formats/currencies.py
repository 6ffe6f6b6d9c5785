"""Minor units of currencies: how many an amount of one has (ISO 4217)."""

from typing import Final

import polars as pl

CENTS: Final = 100
"""Minor units of one, of most currencies."""

_WITHOUT_MINOR_UNITS: Final = """
BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
"""
_WITH_THOUSANDTHS: Final = "BHD IQD JOD KWD LYD OMR TND"

_OTHERS: Final = {
    **dict.fromkeys(_WITHOUT_MINOR_UNITS.split(), 1),
    **dict.fromkeys(_WITH_THOUSANDTHS.split(), 1_000),
}


def minor_units(currencies: pl.Series) -> pl.Series:
    """Return how many minor units one of each currency has (its code); 100 where none is named."""
    codes = currencies.str.strip_chars().str.to_uppercase()
    return codes.replace_strict(_OTHERS, default=CENTS, return_dtype=pl.Int64)

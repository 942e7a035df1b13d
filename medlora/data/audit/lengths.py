"""How long the rows are in tokens, how much of them is learnt, and what the limit does."""

import numpy as np
from numpy.typing import NDArray

from medlora.data.audit.schema import Lengths, Spread
from medlora.data.token_rows import count_targets
from medlora.data.token_store import TokenTable

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


def lengths(
    table: TokenTable, chosen: NDArray[np.int64], *, max_length: int, overlong: str
) -> Lengths:
    """Return JSON values on rows as they are, uncut, and on what the limit does to them.

    Args:
        table: the tokens of a file.
        chosen: which of its rows, int64.
        max_length: limit in tokens.
        overlong: what happens to a row over it: `truncate`, `drop` or `fail`.
    """
    tokens = table.rows["tokens"][chosen]
    learnt = count_targets(table, chosen, tokens)
    over = tokens > max_length
    left = count_targets(table, chosen[over], np.minimum(tokens[over], max_length))
    return {
        "rows": len(chosen),
        "tokens": _spread(tokens),
        "supervised_tokens": _spread(learnt),
        "supervised_share": round(float(learnt.sum() / max(tokens.sum(), 1)), 4),
        "overlong": {
            "limit_tokens": max_length,
            "policy": overlong,
            "rows": int(over.sum()),
            "tokens_over": int((tokens[over] - max_length).sum()),
            "rows_with_nothing_left_to_learn": int((left == 0).sum()),
        },
    }


def _spread(counts: NDArray[np.int64]) -> Spread:
    if not len(counts):
        return {"total": 0, "quantiles": {}}
    # A value that some row has: no arithmetic, so the same on every machine.
    values = np.quantile(counts, QUANTILES, method="inverted_cdf").tolist()
    named = {f"{share:g}": int(value) for share, value in zip(QUANTILES, values, strict=True)}
    return {"total": int(counts.sum()), "quantiles": named}

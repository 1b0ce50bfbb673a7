# SPDX-License-Identifier: MIT
"""What is made of the numbers of many rounds: medians, spreads, ratios with an interval.

Everything goes by the order of the numbers and assumes nothing about their distribution: a shared
machine has outliers. A ratio is taken round by round, of two runs close after each other, so that
a machine that gets slower in the middle does not count.
"""

import math
import statistics

INTERVAL_ROUNDS_MIN = 6  # below, not even the smallest and the largest enclose 95 %


def median(values):
    """The middle one."""
    return statistics.median(values)


def mad(values):
    """The median distance from the median."""
    middle = median(values)
    return median([abs(v - middle) for v in values])


def interval(values):
    """The 95 % confidence interval of the median, the values of two ranks; None with too few."""
    n = len(values)
    if n < INTERVAL_ROUNDS_MIN:
        return None
    tail = 0.0
    rank = 0
    # The largest rank below which the median falls with a chance of at most 2.5 %.
    while tail + math.comb(n, rank) / 2**n <= 0.025:
        tail += math.comb(n, rank) / 2**n
        rank += 1
    ordered = sorted(values)
    return ordered[rank - 1], ordered[n - rank]


def pair_ratios(above, below):
    """above / below, for the rounds that both have (each a dict by round)."""
    return [above[i] / below[i] for i in sorted(above) if below.get(i)]


def read(figure, line):
    """The figure's number in a run's line; ValueError when it is not there or no number."""
    key, _, index = figure.key.partition("[")
    number = line.get(key)
    if key == "values":
        if not isinstance(number, list) or not number:
            raise ValueError("no values")
        number = number[int(index[:-1])] if index else median(number)
    if isinstance(number, bool) or not isinstance(number, (int, float)) \
            or not math.isfinite(number) or number < 0:
        raise ValueError(f"{figure.key} is {number!r}")
    return number * figure.scale


def text(number):
    """A number with three digits that count, or all before the point."""
    if number == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(number)))
    return f"{number:,.{min(max(digits, 0), 4)}f}"

# SPDX-License-Identifier: MIT
"""Whether Weft is where it wants to be: an aim of the catalogue beside what was measured."""

from . import figure, peer

NO_PEERS = ("weft", "weft_pinned", "before", "ideal")
FRACTIONS = {1 / n: f"1/{n}" for n in (1.8, 2, 3, 4, 5)}


class Verdict:
    """One aim, for one number of workers."""

    def __init__(self, aim, workers, text, values):
        self.aim = aim
        self.workers = workers
        self.text = text
        self.value = figure.median(values)
        self.interval = figure.interval(values)

    def state(self, is_higher_better):
        """met; close (its interval reaches the bound); not met."""
        sign = -1 if is_higher_better else 1
        if sign * self.value <= sign * self.aim.bound:
            return "met"
        ends = self.interval or (self.value,)
        return "close" if min(sign * end for end in ends) <= sign * self.aim.bound else "NOT MET"


def bound_text(aim, one):
    """The bound as one would say it."""
    return ("at least " if one.is_higher_better else "at most ") + (
        FRACTIONS.get(aim.bound) or figure.text(aim.bound))


def numbers_of(all_series, name, workers, one):
    """A series' figure by round; empty when it has none."""
    for series in all_series:
        if (series.implementation, series.workers) == (name, workers) and series.state == "ok":
            return series.numbers(one)
    return {}


def best_of(all_series, workers, one):
    """The best peer's figure, round by round."""
    best = {}
    pick = max if one.is_higher_better else min
    for series in all_series:
        if series.implementation in NO_PEERS or series.workers != workers or series.state != "ok":
            continue
        for index, number in series.numbers(one).items():
            best[index] = pick(best.get(index, number), number)
    return best


def verdict(workload, all_series, aim, one, workers):
    """One Verdict; None when something that it takes was not measured."""
    own = numbers_of(all_series, "weft", workers, one)
    bound = bound_text(aim, one)
    if not aim.against:
        values = list(own.values())
        text = f"{bound} {one.unit}".rstrip()
    elif aim.against.startswith("floor:"):
        base = int(aim.against.split(":")[1])
        values = figure.pair_ratios(own, numbers_of(all_series, "weft", base, one))
        text = f"{bound} of Weft's own with {base}"
    elif aim.against == "best":
        values = figure.pair_ratios(own, best_of(all_series, workers, one))
        text = f"{bound} of the best peer's"
    else:
        values = figure.pair_ratios(own, numbers_of(all_series, aim.against, workers, one))
        text = f"{bound} of {peer.find(aim.against).title}'s"
    if not values:
        return None
    label = f"{one.label}, " if one.label else ""
    return Verdict(aim, workers, f"{label}{workers} worker{'s' * (workers > 1)}: {text}", values)


def print_verdicts(workload, all_series):
    """The lines below a table."""
    for aim in workload.aims:
        one = next(f for f in workload.figures if f.label == aim.label)
        for workers in (aim.workers,) if aim.workers else workload.workers:
            found = verdict(workload, all_series, aim, one, workers)
            if found is None:
                continue
            between = ""
            if found.interval:
                between = " (" + "-".join(figure.text(end) for end in found.interval) + ")"
            print(f"  aim: {found.text}: {figure.text(found.value)}{between}, "
                  f"{found.state(one.is_higher_better)}")

# SPDX-License-Identifier: MIT
"""What is printed: a table a workload, or a line of JSON a figure."""

import json

from . import figure, machine, peer

OTHERS_CORES_MAX = 0.1


class Row:
    """A line of a table: one figure of one series, beside Weft's with as many workers."""

    def __init__(self, one, series, weft):
        self.figure = one
        self.series = series
        self.numbers = series.numbers(one) if series.state == "ok" else {}
        self.ratio = None       # its figure divided by Weft's
        self.interval = None
        self.ratios = []
        if self.numbers and weft is not None and weft is not series and weft.state == "ok":
            self.ratios = figure.pair_ratios(self.numbers, weft.numbers(one))
        if self.ratios:
            self.ratio = figure.median(self.ratios)
            self.interval = figure.interval(self.ratios)


def rows_of(workload, all_series):
    """The rows of a table, by figure and workers."""
    rows = []
    for one in workload.figures:
        for workers in workload.workers:
            group = [s for s in all_series if s.workers == workers]
            weft = next((s for s in group if s.implementation == "weft"), None)
            rows += [Row(one, s, weft) for s in group]
    return rows


def title(series):
    """An implementation's name for people."""
    return peer.find(series.implementation).title


def print_head(args, versions):
    """Where this was measured, and what with."""
    cpus = machine.cpus()
    print(f"# {machine.cpu_model()}, {len(cpus)} CPUs{machine.governor()}, {machine.kernel()}")
    print("# " + ", ".join(f"{peer.find(name).title} {version}"
                           for name, version in versions.items()))
    print(f"# pinned to as many CPUs as workers, from CPU {cpus[0]} on, where nothing else is said"
          + ("; quick" if args.is_quick else ""))
    print("# x Weft: so many times Weft's figure: the median of the ratios within each round, with"
          " its 95 % interval")


def print_table(workload, rows):
    """One workload."""
    print(f"\n{workload.name}: {workload.unit_of}"
          + ("" if workload.is_pinned else " (not pinned)")
          + "".join(f" ({one.label}: more is better)" for one in workload.figures
                    if one.is_higher_better))
    labels = max([len(one.label) for one in workload.figures])
    names = max(len(title(row.series)) for row in rows)
    print(f"  {'':{labels}} {'workers':>7} {'':{names}} {'median':>10} {'MAD':>8} {'':4}"
          f" {'x Weft':>8} {'95 %':>17} {'runs':>4}")
    for row in rows:
        series = row.series
        head = f"  {row.figure.label:{labels}} {series.workers:7} {title(series):{names}}"
        if series.state != "ok":
            print(f"{head} {series.state}: {'; '.join(series.reason.splitlines()[:2])}")
            continue
        values = list(row.numbers.values())
        line = (f"{head} {figure.text(figure.median(values)):>10}"
                f" {figure.text(figure.mad(values)) if len(values) > 1 else '-':>8}"
                f" {row.figure.unit:4}")
        if row.ratio is not None:
            between = "-"
            if row.interval:
                between = f"{figure.text(row.interval[0])}-{figure.text(row.interval[1])}"
            line += f" {figure.text(row.ratio):>8} {between:>17}"
        else:
            line += f" {'':8} {'':17}"
        print(f"{line} {len(values):4}")


def print_disturbance(all_series):
    """How busy the machine was with something else."""
    others = [cores for series in all_series for cores in series.others.values()]
    if others and figure.median(others) > OTHERS_CORES_MAX:
        print(f"  disturbed: others had {figure.median(others):.2f} cores meanwhile (median over"
              " the runs); see --undisturbed")


def print_failures(all_series):
    """What went wrong, and how to see it again."""
    for series in all_series:
        if series.state == "failed":
            print(f"  FAILED: {title(series)} with {series.workers}: {series.reason}\n"
                  f"    again: {series.repeat()}")


def print_json(workload, rows, versions, args):
    """A line a figure."""
    for row in rows:
        series = row.series
        line = {"workload": workload.name, "figure": row.figure.label or row.figure.key,
                "implementation": series.implementation, "workers": series.workers,
                "unit": row.figure.unit, "state": series.state}
        if series.state == "ok":
            values = list(row.numbers.values())
            line.update(median=figure.median(values), mad=figure.mad(values), values=values,
                        others_cores=round(figure.median(list(series.others.values())), 3),
                        run_s=round(figure.median(list(series.took.values())), 3))
        else:
            line.update(reason=series.reason)
        if row.ratio is not None:
            line.update(ratio=row.ratio)
        if row.interval:
            line.update(ratio_low=row.interval[0], ratio_high=row.interval[1])
        line.update(version=versions.get(series.implementation, ""), cpu=machine.cpu_model(),
                    cpus=len(machine.cpus()), pinned=workload.is_pinned, kernel=machine.kernel(),
                    quick=args.is_quick,
                    command=series.repeat())
        print(json.dumps(line), flush=True)

# SPDX-License-Identifier: MIT
"""Pictures by gnuplot: a row of bars a figure, or lines over the number of workers for a sweep."""

import math
import re

from . import figure, peer, process
from .table import title

PLOT_SECONDS_MAX = 60
WIDE = 30  # so many times the least: the axis becomes logarithmic
FORMATS = (("svg", "svg size 900,500 dynamic background rgb 'white'"),
           ("png", "pngcairo size 900,500"))


def bars(workload, rows):
    """gnuplot's commands for figures beside each other, one colour a number of workers, with the
    number on top and the median distance from it as a whisker."""
    rows = [row for row in rows if row.numbers]
    names = list(dict.fromkeys(title(row.series) for row in rows))
    used = [n for n in workload.workers if any(row.series.workers == n for row in rows)]
    width = 0.8 / len(used)
    data, plots, texts, most, least = [], [], [], 0.0, math.inf
    for number, workers in enumerate(used):
        lines = []
        for row in rows:
            if row.series.workers == workers:
                values = list(row.numbers.values())
                middle, spread = figure.median(values), figure.mad(values)
                place = names.index(title(row.series)) + (number + 0.5) * width - 0.4
                lines.append(f'{place:.4f} {middle} {spread} "{figure.text(middle)}"')
                most = max(most, middle + spread)
                least = min(least, middle or least)
        data.append(f"$W{workers} << EOD\n" + "\n".join(lines) + "\nEOD\n")
        plots.append(f"$W{workers} using 1:2:({width * 0.92:.4f}) with boxes linetype {number + 1}"
                     f" title '{workers} worker{'s' * (workers > 1)}'")
        texts.append(f"$W{workers} using 1:2:3 with yerrorbars linecolor black pointtype 7"
                     " pointsize 0.2 notitle")
        texts.append(f"$W{workers} using 1:($2+$3):4 with labels offset 0,0.7 font ',9' notitle")
    axis = "set yrange [0:*]\n"
    if most > WIDE * least:
        axis = f"set logscale y\nset yrange [{10 ** math.floor(math.log10(least / 2))}:"
        axis += f"{most * 3}]\n"
    ticks = ", ".join(f'"{name}" {place}' for place, name in enumerate(names))
    return "".join(data) + (
        f"set style fill solid 0.7\nset xtics ({ticks}) rotate by -20 nomirror\n"
        f"set xrange [-0.6:{len(names) - 0.4}]\n{axis}set offsets 0, 0, graph 0.1, 0\n"
        "set pointintervalbox 0\n"
        f"plot {', '.join(plots + texts)}\n")


def lines_over_workers(workload, rows):
    """gnuplot's commands for throughput against workers."""
    data, plots = [], []
    for number, name in enumerate(dict.fromkeys(row.series.implementation for row in rows)):
        points = [f"{r.series.workers} {1e3 / figure.median(list(r.numbers.values()))}"
                  for r in rows if r.series.implementation == name and r.numbers]
        if points:
            data.append(f"$S{number} << EOD\n" + "\n".join(points) + "\nEOD\n")
            plots.append(f"$S{number} with linespoints lw 2 title '{peer.find(name).title}'")
    ticks = ", ".join(map(str, workload.workers))
    return "".join(data) + (f"set yrange [0:*]\nset logscale x 2\nset xrange "
                            f"[{workload.workers[0] * 0.9}:{workload.workers[-1] * 1.1}]\n"
                            f"set xtics ({ticks})\nset xlabel 'workers'\n"
                            f"plot {', '.join(plots)}\n")


def draw(workload, rows, folder):
    """The pictures of a workload, <folder>/<workload>[-<figure>].svg and .png; Failure."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in workload.figures:
        of = [row for row in rows if row.figure is one]
        if not any(row.numbers for row in of):
            continue
        name = "-".join(filter(None, (workload.name, re.sub(r"\W+", "_", one.label))))
        is_line = workload.is_sweep and one.unit == "ns"
        better = "more" if one.is_higher_better or is_line else "less"
        head = f"set title \"{': '.join(filter(None, (workload.name, one.label)))}\\n"
        head += f"{workload.unit_of}; {better} is better\" noenhanced\n"
        head += f"set ylabel '{'million a second' if is_line else one.unit}'\nset grid y\n"
        head += "set key outside bottom center horizontal\n"
        body = lines_over_workers(workload, of) if is_line else bars(workload, of)
        for suffix, terminal in FORMATS:
            script = folder / f"{name}.gnuplot"
            script.write_text(f"set terminal {terminal}\nset output '{folder}/{name}.{suffix}'\n"
                              + head + body, encoding="utf-8")
            try:
                process.run(["gnuplot", str(script)], PLOT_SECONDS_MAX)
            finally:
                script.unlink()

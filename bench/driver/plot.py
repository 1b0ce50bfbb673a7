# SPDX-License-Identifier: MIT
"""Pictures by gnuplot: a row of bars a figure, or lines over the number of workers for a sweep."""

import re

from . import figure, peer, process
from .table import title

PLOT_SECONDS_MAX = 60
FORMATS = (("svg", "svg size 900,500 dynamic background rgb 'white'"),
           ("png", "pngcairo size 900,500"))


def bars(workload, rows):
    """gnuplot's commands for figures beside each other, one colour a number of workers."""
    names = []
    for row in rows:
        if title(row.series) not in names:
            names.append(title(row.series))
    data, plots = [], []
    for workers in workload.workers:
        of = {title(r.series): r for r in rows if r.series.workers == workers and r.numbers}
        lines = []
        for name in names:
            values = list(of[name].numbers.values()) if name in of else []
            lines.append(f'"{name}" {figure.median(values) if values else "NaN"}')
        data.append(f"$W{workers} << EOD\n" + "\n".join(lines) + "\nEOD\n")
        plots.append(f"$W{workers} using 2:xtic(1) title '{workers} workers'")
    return "".join(data) + ("set style data histogram\nset style fill solid 0.8\n"
                            "set boxwidth 0.9\nset xtics rotate by -20\n"
                            f"plot {', '.join(plots)}\n")


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
    return "".join(data) + (f"set logscale x 2\nset xtics ({ticks})\nset xlabel 'workers'\n"
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
        head = f"set title '{workload.name}: {one.label or workload.unit_of}' noenhanced\n"
        head += f"set ylabel '{'million a second' if is_line else one.unit}'\nset grid y\n"
        head += "set yrange [0:*]\nset key outside top right\n"
        body = lines_over_workers(workload, of) if is_line else bars(workload, of)
        for suffix, terminal in FORMATS:
            script = folder / f"{name}.gnuplot"
            script.write_text(f"set terminal {terminal}\nset output '{folder}/{name}.{suffix}'\n"
                              + head + body, encoding="utf-8")
            try:
                process.run(["gnuplot", str(script)], PLOT_SECONDS_MAX)
            finally:
                script.unlink()

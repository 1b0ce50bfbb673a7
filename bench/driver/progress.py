# SPDX-License-Identifier: MIT
"""What is going on, on standard error: one line that changes at a terminal, else a line a round."""

import sys
import time

LINE_SECONDS = 10  # between two lines that are not on a terminal


class Progress:
    """How far it has come, and what is left by the time that runs have taken so far."""

    def __init__(self, is_quiet=False):
        self.is_terminal = sys.stderr.isatty()
        self.is_quiet = is_quiet
        self.took = {}      # by kind of run: seconds, the mean so far
        self.ahead = {}     # by kind of run: how many are left
        self.shown = 0.0

    def plan(self, kind, count, seconds):
        """So many runs of a kind are ahead, each of about so many seconds."""
        self.ahead[kind] = self.ahead.get(kind, 0) + count
        self.took.setdefault(kind, [seconds, 0])

    def done(self, kind, seconds, count=1):
        """A run has ended (or so many will not be made)."""
        self.ahead[kind] = max(self.ahead.get(kind, 0) - count, 0)
        mean, number = self.took.get(kind, [0.0, 0])
        if seconds is not None:
            self.took[kind] = [(mean * number + seconds) / (number + 1), number + 1]

    def left(self):
        """Seconds to go, roughly, as text."""
        seconds = sum(n * self.took[kind][0] for kind, n in self.ahead.items())
        return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"

    def say(self, text, is_forced=False):
        """Show where it is."""
        now = time.monotonic()
        if self.is_quiet or not (is_forced or self.is_terminal or
                                 now - self.shown >= LINE_SECONDS):
            return
        self.shown = now
        if self.is_terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(f"tools/bench: {text}", file=sys.stderr, flush=True)

    def clear(self):
        """Make room for a table."""
        if self.is_terminal and not self.is_quiet:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

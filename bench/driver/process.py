# SPDX-License-Identifier: MIT
"""Child processes: run one, keep what it said, and leave none behind.

Each child is the leader of a session of its own, so that whatever it starts can be ended with it,
and so that Ctrl-C at the terminal reaches the driver alone, which then ends the child.
"""

import os
import signal
import subprocess

GRACE_SECONDS = 2


class Failure(Exception):
    """A child that did not do what it should; the text says why."""


def end_group(process):
    """End a child and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, seconds_max, environment=None, folder=None, is_merged=False):
    """Run a command to its end; its standard output. Failure: it could not be started, took longer,
    or ended with another status than 0, which carries the end of what it said."""
    try:
        child = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if is_merged else subprocess.PIPE, text=True,
            errors="replace", cwd=folder, start_new_session=True,
            env={**os.environ, **(environment or {})})
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error
    try:
        out, err = child.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        end_group(child)
        child.communicate()
        raise Failure(f"not ready after {seconds_max} s") from None
    except BaseException:
        end_group(child)
        raise
    if child.returncode != 0:
        said = (err or out or "").strip().splitlines()
        how = f"signal {-child.returncode}" if child.returncode < 0 else \
            f"status {child.returncode}"
        raise Failure("\n".join([how] + said[-15:]))
    return out

/* SPDX-License-Identifier: MIT */
/*
 * A process that takes so many milliseconds of CPU time in every period, in one thread, until it is
 * ended: what a server feels of it is what the kernel's scheduler can do, and the measure for a
 * runtime that has the same burner as a task. As there, what could not be had in its period is
 * taken in the next. It does not show several that burn.
 */
#include <signal.h>
#include <sys/prctl.h>

#include "../figures.h"
#include "stall.h"

#define STEPS_A_LOOK 1000

static int64_t milliseconds(const char *text)
{
    return (int64_t)floor_number("a time", text, 1, 1000000) * (FIGURES_SECOND_NS / 1000);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        errx(64, "usage: stall_burner MILLISECONDS PERIOD");
    }
    int64_t burn_ns = milliseconds(argv[1]);
    int64_t period_ns = milliseconds(argv[2]);
    uint64_t value = 1;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int64_t begin_ns = figures_clock_ns(CLOCK_MONOTONIC);
    int64_t burnt_ns = 0;
    while (value != 0) { /* which it never is */
        burnt_ns += burn_ns;
        while (figures_clock_ns(CLOCK_PROCESS_CPUTIME_ID) < burnt_ns) {
            value = stall_work(STEPS_A_LOOK, value);
        }
        begin_ns += period_ns;
        struct timespec t = {.tv_sec = begin_ns / FIGURES_SECOND_NS,
                             .tv_nsec = begin_ns % FIGURES_SECOND_NS};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    }
    return 0;
}

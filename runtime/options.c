/* SPDX-License-Identifier: MIT */
/* Options: defaults, the environment, checks. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <weft/blocking.h>
#include <weft/task.h>

#include "cpu_count.h"
#include "pool.h"
#include "runtime_object.h"

#define RING_ENTRIES_DEFAULT 256
#define RING_ENTRIES_MIN 8
#define RING_ENTRIES_MAX 32768
#define SLOW_NS_DEFAULT (100 * WEFT_MS)
#define SLICE_NS_DEFAULT (10 * WEFT_MS)
#define SPIN_NS_MAX (WEFT_FOREVER / 2) /* it is added to the time: 146 years */

/* A bad value in the environment is the user's, who sees no return value. */
static int environment_error(const char *name, const char *value, const char *wanted)
{
    fprintf(stderr, "weft: %s=%s is not %s\n", name, value, wanted);
    return -EINVAL;
}

static int workers_default(unsigned *workers)
{
    const char *value = secure_getenv("WEFT_WORKERS");
    if (value == NULL || *value == '\0') {
        unsigned count = weft__cpu_count();
        *workers = count > WEFT_WORKERS_MAX ? WEFT_WORKERS_MAX : count;
        return 0;
    }
    char *end;
    unsigned long n = strtoul(value, &end, 10);
    if (*end != '\0' || *value < '0' || *value > '9' || n < 1 || n > WEFT_WORKERS_MAX) {
        return environment_error("WEFT_WORKERS", value, "a number from 1 to 256");
    }
    *workers = (unsigned)n;
    return 0;
}

static int seed_default(uint64_t *seed)
{
    const char *value = secure_getenv("WEFT_SEED");
    if (value == NULL || *value == '\0') {
        while (*seed == 0) {
            if (getrandom(seed, sizeof *seed, 0) < 0) {
                *seed = (uint64_t)weft_now();
            }
        }
        return 0;
    }
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (*end != '\0' || *value < '0' || *value > '9' || n == 0 || errno != 0) {
        return environment_error("WEFT_SEED", value, "a number from 1 to 18446744073709551615");
    }
    *seed = n;
    return 0;
}

int weft__options_backend(enum weft_backend *backend)
{
    if (*backend != WEFT_BACKEND_AUTO) {
        return 0;
    }
    const char *value = secure_getenv("WEFT_BACKEND");
    if (value == NULL || *value == '\0' || strcmp(value, "auto") == 0) {
        return 0;
    }
    if (strcmp(value, "uring") == 0) {
        *backend = WEFT_BACKEND_URING;
    } else if (strcmp(value, "epoll") == 0) {
        *backend = WEFT_BACKEND_EPOLL;
    } else {
        return environment_error("WEFT_BACKEND", value, "auto, uring or epoll");
    }
    return 0;
}

/* A variable that is 0 or 1. */
static int flag_default(const char *name, bool *flag)
{
    const char *value = secure_getenv(name);
    if (value == NULL || *value == '\0' || strcmp(value, "0") == 0) {
        return 0;
    }
    *flag = strcmp(value, "1") == 0;
    return *flag ? 0 : environment_error(name, value, "0 or 1");
}

static bool reserved_is_zero(const struct weft_options *o)
{
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        if (o->reserved[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool stack_is_valid(size_t stack_bytes)
{
    return stack_bytes == 0 ||
           (stack_bytes >= WEFT_STACK_BYTES_MIN && weft__stack_class(stack_bytes) >= 0);
}

/* 0, -1, or one that may be caught, is not about what a thread has just done, and is not the C
 * library's. */
static bool kick_signal_is_valid(int sig)
{
    static const int unfit[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                SIGTRAP, SIGABRT, SIGSYS,  SIGPIPE, SIGPROF};
    bool is_unfit = sig < -1 || sig > SIGRTMAX || (sig > SIGSYS && sig < SIGRTMIN);
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        is_unfit = is_unfit || sig == unfit[i];
    }
    return !is_unfit;
}

static bool options_are_valid(const struct weft_options *o)
{
    return o->workers <= (o->simulation ? 1 : WEFT_WORKERS_MAX) && reserved_is_zero(o) &&
           (o->ring_entries == 0 ||
            (o->ring_entries >= RING_ENTRIES_MIN && o->ring_entries <= RING_ENTRIES_MAX)) &&
           stack_is_valid(o->stack_bytes) && o->spin_ns >= 0 && o->slice_ns >= 0 &&
           o->close_grace_ns >= 0 && o->blocking_idle_ns >= 0 &&
           o->blocking_threads_max <= WEFT_BLOCKING_THREADS_MAX && o->slow_ns >= 0 &&
           o->backend >= WEFT_BACKEND_AUTO && o->backend <= WEFT_BACKEND_EPOLL &&
           (o->overflow_report == 0 || o->overflow_report == -1) &&
           (o->interrupt == 0 || o->interrupt == -1) &&
           kick_signal_is_valid(o->kick_signal) && kick_signal_is_valid(o->blocking_signal);
}

static unsigned round_up_to_power_of_two(unsigned n)
{
    unsigned p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

int weft__options_complete(struct weft_options *out, const struct weft_options *given)
{
    struct weft_options o = {0};
    if (given != NULL) {
        o = *given;
    }
    if (!options_are_valid(&o)) {
        return -EINVAL;
    }
    int err = 0;
    if (o.simulation) {
        o.workers = 1;
        o.kick_signal = -1; /* a simulated task has no slices of the processor's time */
    }
    if (o.workers == 0) {
        err = workers_default(&o.workers);
    }
    if (err == 0 && o.seed == 0) {
        err = seed_default(&o.seed);
    }
    if (err == 0) {
        err = weft__options_backend(&o.backend);
    }
    if (err == 0 && !o.debug) {
        err = flag_default("WEFT_DEBUG", &o.debug);
    }
    if (err == 0 && !o.crash_report) {
        err = flag_default("WEFT_CRASH_REPORT", &o.crash_report);
    }
    if (err < 0) {
        return err;
    }
    o.ring_entries = round_up_to_power_of_two(o.ring_entries == 0 ? RING_ENTRIES_DEFAULT
                                                                  : o.ring_entries);
    o.stack_bytes = o.stack_bytes == 0 ? WEFT_STACK_BYTES_DEFAULT : o.stack_bytes;
    o.spin_ns = o.spin_ns > SPIN_NS_MAX ? SPIN_NS_MAX : o.spin_ns;
    o.slow_ns = o.slow_ns == 0 ? SLOW_NS_DEFAULT : o.slow_ns;
    o.slice_ns = o.slice_ns == 0 ? SLICE_NS_DEFAULT : o.slice_ns;
    o.kick_signal = o.kick_signal == 0 ? SIGURG : o.kick_signal;
    o.close_grace_ns = o.close_grace_ns == 0 ? WEFT_FOREVER : o.close_grace_ns;
    o.blocking_signal = o.blocking_signal == 0 ? weft__pool_signal_default() : o.blocking_signal;
    o.blocking_idle_ns = o.blocking_idle_ns == 0 ? WEFT_BLOCKING_IDLE_NS_DEFAULT
                                                 : o.blocking_idle_ns;
    *out = o;
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Question: how late do tasks wake beside one that burns CPU 50 ms, sleeps 50 ms, and so on?
 *
 * 100 tasks sleep for one to ten milliseconds, again and again; how much later than asked each goes
 * on is a latency. First beside another process that burns, then beside a task that does: what the
 * second has more than the first is the runtime's doing. It does not show several that burn, nor
 * one that tells the runtime so.
 */
#include <err.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define SLEEPERS 100
#define SLEEP_MIN_NS WEFT_MS
#define SLEEP_SPREAD_NS (9 * WEFT_MS)
#define BURN_NS (50 * WEFT_MS)
#define BURNER "BENCH_BURNER" /* in the environment: burn, and do nothing else */
#define SAMPLES_MAX 20000     /* a sleeper's: of 20 s */

struct sleeper {
    uint64_t state;
    int64_t end_ns;
    int64_t *late_ns;
    size_t count;
    bool is_early;
};

static void burn(void)
{
    volatile uint64_t x = 1;
    int64_t end_ns = weft_now() + BURN_NS;
    while (weft_now() < end_ns) {
        for (int i = 0; i < 1000; i++) {
            x = x * 3 + 1;
        }
    }
}

/* The process that burns. */
static void burn_for_ever(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        burn();
        usleep(BURN_NS / WEFT_US);
    }
}

static pid_t burner_start(void)
{
    char *argv[] = {"burner", NULL};
    char *environment[] = {BURNER "=1", NULL};
    pid_t pid;
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environment) != 0) {
        errx(1, "no process to burn");
    }
    return pid;
}

/* Returns arg when it was not cancelled in the middle. */
static void *burner(void *arg)
{
    int64_t end_ns = *(int64_t *)arg;
    while (weft_now() < end_ns) {
        burn();
        if (weft_sleep(BURN_NS) < 0) {
            return NULL;
        }
    }
    return arg;
}

static void *sleeper(void *arg)
{
    struct sleeper *s = arg;
    while (weft_now() < s->end_ns && s->count < SAMPLES_MAX) {
        s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        int64_t for_ns = SLEEP_MIN_NS + (int64_t)(s->state >> 33) % SLEEP_SPREAD_NS;
        int64_t due_ns = weft_now() + for_ns;
        if (weft_sleep(for_ns) < 0) {
            return NULL;
        }
        int64_t late_ns = weft_now() - due_ns;
        s->is_early |= late_ns < 0;
        s->late_ns[s->count++] = late_ns;
    }
    return arg;
}

/* Let all of them sleep until a time; whether that went well. */
static bool sleep_all(struct sleeper *sleepers, int64_t end_ns)
{
    weft_task *tasks[SLEEPERS];
    bool is_right = true;
    for (uint64_t i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){.state = i, .end_ns = end_ns,
                                       .late_ns = sleepers[i].late_ns};
        tasks[i] = weft_spawn(sleeper, &sleepers[i]);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        void *result = NULL;
        is_right &= weft_join(tasks[i], &result) == 0 && result != NULL && !sleepers[i].is_early;
    }
    return is_right;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* All latencies in order, in memory of the caller's; how many. */
static size_t gather(const struct sleeper *sleepers, int64_t *all)
{
    size_t count = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        memcpy(all + count, sleepers[i].late_ns, sleepers[i].count * sizeof *all);
        count += sleepers[i].count;
    }
    qsort(all, count, sizeof *all, compare);
    return count;
}

static int64_t p99(const int64_t *sorted, size_t count)
{
    return count == 0 ? 0 : sorted[(count - 1) * 99 / 100];
}

static uint64_t burner_round(uint64_t ms)
{
    static struct sleeper sleepers[SLEEPERS];
    static int64_t all[SLEEPERS * SAMPLES_MAX];
    for (int i = 0; i < SLEEPERS && sleepers[i].late_ns == NULL; i++) {
        sleepers[i].late_ns = calloc(SAMPLES_MAX, sizeof(int64_t));
        if (sleepers[i].late_ns == NULL) {
            return 0;
        }
    }
    pid_t pid = burner_start();
    bool is_right = sleep_all(sleepers, weft_now() + (int64_t)ms * WEFT_MS);
    is_right &= kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid;
    int64_t apart_ns = p99(all, gather(sleepers, all));

    int64_t end_ns = weft_now() + (int64_t)ms * WEFT_MS;
    void *result = NULL;
    weft_task *task = weft_spawn(burner, &end_ns);
    is_right &= sleep_all(sleepers, end_ns);
    is_right &= weft_join(task, &result) == 0 && result != NULL;
    size_t count = gather(sleepers, all);
    int64_t sum_ns = 0;
    for (size_t i = 0; i < count; i++) {
        sum_ns += all[i];
    }
    bench_took(sum_ns);
    bench_latencies(all, count);
    bench_figure("apart_p99", (double)apart_ns);
    bench_figure("times_apart", (double)p99(all, count) / (double)(apart_ns > 0 ? apart_ns : 1));
    return is_right ? count : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "burner_sleepers",
        .what = "How late do 100 tasks wake beside one that burns CPU for 50 ms of every 100?",
        .size_of = "milliseconds of each half of a round",
        .size = 1000,
        .round = burner_round,
        .is_cold = true};
    if (getenv(BURNER) != NULL) {
        burn_for_ever();
    }
    return bench_main(argc, argv, &spec);
}

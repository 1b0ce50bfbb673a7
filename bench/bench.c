/* SPDX-License-Identifier: MIT */
/* The frame of a workload's program; bench.h says what it does. */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cpu_count.h"

#define ROUNDS_MAX 1000
#define FIGURES_MAX 8
#define WATCH_US 20000

/* A figure that the workload adds. */
struct figure {
    const char *key;
    double value;
};

/* The program's only run. */
static struct bench {
    const struct bench_spec *spec;
    unsigned workers;
    unsigned rounds;
    unsigned warmups;
    uint64_t size;
    /* results */
    bool is_wrong;
    int64_t took_ns;       /* of this round, when it said so; else -1 */
    double ns[ROUNDS_MAX]; /* a unit, by round */
    int64_t *latencies;
    size_t latency_count;
    size_t latency_max;
    struct figure figures[FIGURES_MAX];
    unsigned figure_count;
} bench = {.rounds = 3};

static void usage(const char *program)
{
    const struct bench_spec *spec = bench.spec;
    printf("usage: %s [--workers N] [--rounds N] [--warmup N] [--size N]\n"
           "%s\n"
           "  --workers N  threads that run tasks (as many as the process may use CPUs)\n"
           "  --rounds N   rounds that count (3)\n"
           "  --warmup N   rounds before them (%d)\n"
           "  --size N     %s (%llu)\n"
           "Prints one line of JSON.\n",
           program, spec->what, spec->is_cold ? 0 : 1, spec->size_of,
           (unsigned long long)spec->size);
}

static uint64_t number(const char *option, const char *arg, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(arg, &end, 10);
    if (errno != 0 || end == arg || *end != '\0' || *arg == '-' || n < least || n > most) {
        errx(64, "%s takes a whole number from %llu to %llu, not '%s'", option,
             (unsigned long long)least, (unsigned long long)most, arg);
    }
    return n;
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        {"workers", required_argument, NULL, 'w'}, {"rounds", required_argument, NULL, 'r'},
        {"warmup", required_argument, NULL, 'u'},  {"size", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (key) {
        case 'w':
            bench.workers = (unsigned)number("--workers", optarg, 1, WEFT_WORKERS_MAX);
            break;
        case 'r':
            bench.rounds = (unsigned)number("--rounds", optarg, 1, ROUNDS_MAX);
            break;
        case 'u':
            bench.warmups = (unsigned)number("--warmup", optarg, 0, ROUNDS_MAX);
            break;
        case 's':
            bench.size = number("--size", optarg, 1, UINT32_MAX);
            break;
        case 'h':
            usage(argv[0]);
            exit(0);
        default:
            exit(64);
        }
    }
    if (optind < argc) {
        errx(64, "'%s' is not understood", argv[optind]);
    }
}

unsigned bench_workers(void)
{
    return bench.workers;
}

void bench_took(int64_t ns)
{
    bench.took_ns = ns;
}

void bench_latencies(const int64_t *ns, size_t n)
{
    if (n > bench.latency_max - bench.latency_count) {
        bench.latency_max = 2 * (bench.latency_count + n);
        bench.latencies = realloc(bench.latencies, bench.latency_max * sizeof(int64_t));
        if (bench.latencies == NULL) {
            errx(1, "no memory for %zu latencies", bench.latency_max);
        }
    }
    memcpy(bench.latencies + bench.latency_count, ns, n * sizeof(int64_t));
    bench.latency_count += n;
}

void bench_figure(const char *key, double value)
{
    unsigned i = 0;
    while (i < bench.figure_count && strcmp(bench.figures[i].key, key) != 0) {
        i++;
    }
    if (i == FIGURES_MAX) {
        errx(1, "more than %d figures", FIGURES_MAX);
    }
    bench.figures[i] = (struct figure){.key = key, .value = value};
    bench.figure_count += i == bench.figure_count;
}

int64_t bench_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

double bench_status_bytes(const char *name)
{
    char line[256];
    double kib = 0;
    size_t length = strlen(name);
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            kib = strtod(line + length + 1, NULL);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib * 1024;
}

/* What the watching thread has seen. */
static struct {
    pthread_t thread;
    _Atomic bool is_ended; /* relaxed: the join orders what was seen */
    double rss_before, rss_most;
    double tables_before, tables_most;
} watch;

static void watch_look(void)
{
    watch.rss_most = fmax(watch.rss_most, bench_status_bytes("VmRSS"));
    watch.tables_most = fmax(watch.tables_most, bench_status_bytes("VmPTE"));
}

static void *watch_run(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&watch.is_ended, memory_order_relaxed)) {
        watch_look();
        usleep(WATCH_US);
    }
    return NULL;
}

void bench_watch_begin(void)
{
    if (watch.rss_before == 0) {
        watch.rss_before = bench_status_bytes("VmRSS");
        watch.tables_before = bench_status_bytes("VmPTE");
    }
    atomic_store_explicit(&watch.is_ended, false, memory_order_relaxed);
    if (pthread_create(&watch.thread, NULL, watch_run, NULL) != 0) {
        errx(1, "no thread to watch the memory");
    }
}

void bench_watch_end(uint64_t units)
{
    atomic_store_explicit(&watch.is_ended, true, memory_order_relaxed);
    pthread_join(watch.thread, NULL);
    watch_look();
    bench_figure("rss_each", (watch.rss_most - watch.rss_before) / (double)units);
    bench_figure("page_tables_each", (watch.tables_most - watch.tables_before) / (double)units);
}

/* All rounds, in the main task or on the main thread. */
static void *run_rounds(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < bench.warmups + bench.rounds && !bench.is_wrong; i++) {
        if (i == bench.warmups) {
            bench.latency_count = 0;
        }
        bench.took_ns = -1;
        int64_t begin_ns = weft_now();
        uint64_t units = bench.spec->round(bench.size);
        int64_t took_ns = weft_now() - begin_ns;
        if (bench.took_ns >= 0) {
            took_ns = bench.took_ns;
        }
        bench.is_wrong = units == 0;
        if (i >= bench.warmups && units > 0) {
            bench.ns[i - bench.warmups] = (double)took_ns / (double)units;
        }
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_latencies(void)
{
    static const struct {
        const char *key;
        double share;
    } points[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
    if (bench.latency_count == 0) {
        return;
    }
    qsort(bench.latencies, bench.latency_count, sizeof(int64_t), compare);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        size_t at = (size_t)((double)(bench.latency_count - 1) * points[i].share);
        printf(", \"%s\": %lld", points[i].key, (long long)bench.latencies[at]);
    }
}

static void print_line(void)
{
    const struct bench_spec *spec = bench.spec;
    struct rusage used = {0};
    printf("{\"workload\": \"%s\", \"implementation\": \"%s\", \"unit\": \"ns\", \"workers\": %u"
           ", \"values\": [",
           spec->workload, spec->implementation == NULL ? "weft" : spec->implementation,
           bench.workers);
    for (unsigned i = 0; i < bench.rounds; i++) {
        printf("%s%.3f", i == 0 ? "" : ", ", bench.ns[i]);
    }
    printf("]");
    print_latencies();
    for (unsigned i = 0; i < bench.figure_count; i++) {
        printf(", \"%s\": %.3f", bench.figures[i].key, bench.figures[i].value);
    }
    getrusage(RUSAGE_SELF, &used);
    printf(", \"rss_bytes\": %ld, \"cpu_s\": %.3f}\n", used.ru_maxrss * 1024,
           (double)bench_cpu_ns() / 1e9);
}

int bench_main(int argc, char **argv, const struct bench_spec *spec)
{
    bench.spec = spec;
    bench.size = spec->size;
    bench.warmups = spec->is_cold ? 0 : 1;
    bench.workers = weft__cpu_count();
    parse(argc, argv);
    if (spec->is_outside) {
        run_rounds(NULL);
    } else {
        struct weft_options options = {.workers = bench.workers};
        int err = weft_run_with(&options, run_rounds, NULL, NULL);
        if (err < 0) {
            errx(1, "the runtime failed: %s", strerror(-err));
        }
    }
    if (bench.is_wrong) {
        errx(1, "%s: a round gave a wrong result", spec->workload);
    }
    print_line();
    free(bench.latencies);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* The frame of a micro-benchmark; bench.h says what it does. */
#include <err.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define ROUNDS_MAX 1000

/* A benchmark on its way. */
struct bench {
    const struct bench_spec *spec;
    unsigned workers; /* 0: the runtime's default */
    unsigned rounds;
    unsigned warmups;
    bool json;
    /* results */
    bool is_wrong;
    unsigned workers_used;
    double ns[ROUNDS_MAX]; /* a unit, by round */
};

/* A row of figures, in nanoseconds a unit. */
struct summary {
    double median;
    double mad; /* median of the distances from the median */
    double min;
    double max;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median; sorts the values. */
static double median_of(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, compare);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static struct summary summarize(double *values, unsigned n)
{
    struct summary s = {.median = median_of(values, n)};
    s.min = values[0];
    s.max = values[n - 1];
    for (unsigned i = 0; i < n; i++) {
        values[i] = fabs(values[i] - s.median);
    }
    s.mad = median_of(values, n);
    return s;
}

static void usage(const struct bench_spec *spec, const char *program)
{
    printf("usage: %s [--workers N] [--rounds N] [--warmup N] [--json]\n"
           "%s\n"
           "  --workers N  threads that run tasks (as many as the process may use CPUs)\n"
           "  --rounds N   rounds that count, of %llu units each (11)\n"
           "  --warmup N   rounds before them (2)\n"
           "  --json       one line of JSON instead of the table\n"
           "Figures are nanoseconds a %s.\n",
           program, spec->what, (unsigned long long)spec->units, spec->unit);
}

static unsigned number(const char *option, const char *arg, long least, long most)
{
    char *end;
    long n = strtol(arg, &end, 10);
    if (end == arg || *end != '\0' || n < least || n > most) {
        errx(64, "%s takes a whole number from %ld to %ld, not '%s'", option, least, most, arg);
    }
    return (unsigned)n;
}

static void parse(struct bench *b, int argc, char **argv)
{
    static const struct option known[] = {
        {"workers", required_argument, NULL, 'w'}, {"rounds", required_argument, NULL, 'r'},
        {"warmup", required_argument, NULL, 'u'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (key) {
        case 'w':
            b->workers = number("--workers", optarg, 1, WEFT_WORKERS_MAX);
            break;
        case 'r':
            b->rounds = number("--rounds", optarg, 1, ROUNDS_MAX);
            break;
        case 'u':
            b->warmups = number("--warmup", optarg, 0, ROUNDS_MAX);
            break;
        case 'j':
            b->json = true;
            break;
        case 'h':
            usage(b->spec, argv[0]);
            exit(0);
        default:
            exit(64);
        }
    }
    if (optind < argc) {
        errx(64, "'%s' is not understood", argv[optind]);
    }
}

/* The main task. */
static void *run_rounds(void *arg)
{
    struct bench *b = arg;
    b->workers_used = weft_runtime_workers(weft_runtime_current());
    for (unsigned i = 0; i < b->warmups + b->rounds; i++) {
        int64_t begin_ns = weft_now();
        bool is_right = b->spec->round();
        int64_t took_ns = weft_now() - begin_ns;
        if (!is_right) {
            b->is_wrong = true;
            return NULL;
        }
        if (i >= b->warmups) {
            b->ns[i - b->warmups] = (double)took_ns / (double)b->spec->units;
        }
    }
    return NULL;
}

static void print_json(const struct bench *b, const struct summary *s)
{
    printf("{\"bench\": \"%s\", \"unit\": \"%s\", \"workers\": %u, \"rounds\": %u, \"units\": %llu,"
           " \"median_ns\": %.2f, \"mad_ns\": %.2f, \"min_ns\": %.2f, \"max_ns\": %.2f,"
           " \"round_ms\": %.3f}\n",
           b->spec->name, b->spec->unit, b->workers_used, b->rounds,
           (unsigned long long)b->spec->units, s->median, s->mad, s->min, s->max,
           s->median * (double)b->spec->units / 1e6);
}

static void print_table(const struct bench *b, const struct summary *s)
{
    printf("%-8s %8s %12s %10s %10s %10s %12s\n", "", "workers", "median", "MAD", "min", "max",
           "round");
    printf("%-8s %8u %9.1f ns %7.1f ns %7.1f ns %7.1f ns %9.1f ms   a %s\n", b->spec->name,
           b->workers_used, s->median, s->mad, s->min, s->max,
           s->median * (double)b->spec->units / 1e6, b->spec->unit);
}

int bench_main(int argc, char **argv, const struct bench_spec *spec)
{
    static struct bench b = {.rounds = 11, .warmups = 2};
    b.spec = spec;
    parse(&b, argc, argv);
    struct weft_options options = {.workers = b.workers};
    int err = weft_run_with(&options, run_rounds, &b, NULL);
    if (err < 0) {
        errx(1, "the runtime failed: %s", strerror(-err));
    }
    if (b.is_wrong) {
        errx(1, "%s: a round gave a wrong result", spec->name);
    }
    struct summary s = summarize(b.ns, b.rounds);
    if (b.json) {
        print_json(&b, &s);
    } else {
        print_table(&b, &s);
    }
    return 0;
}

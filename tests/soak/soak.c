/* SPDX-License-Identifier: MIT */
/*
 * weft-soak: everything at once for a while, runtimes closed under load and made anew, and a look
 * whether all was conserved and nothing has grown. `tools/soak` builds and runs it.
 *
 * Flat means: after each round the process has no more threads, descriptors and children than at
 * the most after the rounds of the warm-up (the first quarter of the time, two at least), and no
 * more resident memory than then and a slack. The slack is for the allocator's arenas, which each
 * new thread may spread over further; a leak of 100 bytes a step is above it in a minute. Under
 * ASan it is larger, for freed memory is held back; under TSan memory is not judged, for it keeps
 * what it knows of each address.
 *
 * Status 0: flat and conserved; 1: not; 2: the arguments are wrong.
 */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "soak.h"

const char *argp_program_version = "weft-soak " WEFT_VERSION_STRING;

/* Freed memory that ASan holds back is not to hide what grows. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}

#define SLACK_KIB ((long)(SOAK_SANITIZED ? 64 : 8) * 1024)

static struct soak_round the_round;
static unsigned long long steps_total;
static unsigned long long bytes_total;
static unsigned rounds_total;
static int64_t begun_at;

static const struct argp_option option_table[] = {
    {"seconds", 's', "N", 0, "How long (60)", 0},
    {"seed", 'r', "N", 0, "Of all chance (another one each time); what a verdict names", 0},
    {"workers", 'w', "N", 0, "Worker threads (as many as the process may use CPUs)", 0},
    {"backend", 'b', "NAME", 0, "auto, uring or epoll (auto)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const char *const backends[] = {"auto", "uring", "epoll"};
    struct soak_options *o = state->input;
    char *end;
    switch (key) {
    case 's':
        o->for_ns = cli_seconds(state, "--seconds", arg, 1, 1e6);
        return 0;
    case 'r':
        errno = 0;
        o->seed = strtoull(arg, &end, 10);
        if (errno != 0 || *arg < '0' || *arg > '9' || *end != '\0') {
            argp_error(state, "--seed takes a whole number, not '%s'", arg);
        }
        return 0;
    case 'w':
        o->workers = (unsigned)cli_number(state, "--workers", arg, 1, WEFT_WORKERS_MAX);
        return 0;
    case 'b':
        for (int i = 0; i < 3; i++) {
            if (strcmp(arg, backends[i]) == 0) {
                o->backend = (enum weft_backend)i;
                return 0;
            }
        }
        argp_error(state, "--backend is auto, uring or epoll, not '%s'", arg);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unknown argument: %s", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What of the environment decides: "NAME=value ", or nothing. */
static void print_variable(const char *name)
{
    const char *value = getenv(name);
    if (value != NULL) {
        printf("%s=%s ", name, value);
    }
}

/* All that is known of a failure comes last, where it is not cut off. */
void soak_verdict(const struct soak_options *o, const char *what)
{
    char workers[32] = "";
    static const char *const backend[] = {"", " --backend uring", " --backend epoll"};
    if (o->workers != 0) {
        snprintf(workers, sizeof workers, " --workers %u", o->workers);
    }
    printf("%s: %u rounds, %llu steps, %llu bytes through clean connections, %u broken; seed %llu\n"
           "again: ",
           what, rounds_total, steps_total, bytes_total, soak_broken_count(),
           (unsigned long long)o->seed);
    print_variable("WEFT_WORKERS");
    print_variable("WEFT_BACKEND");
    printf("tools/soak --seed %llu --seconds %g%s%s\n", (unsigned long long)o->seed,
           (double)o->for_ns / 1e9, workers, backend[o->backend]);
    if (soak_broken_count() > 0) {
        double load = -1;
        (void)getloadavg(&load, 1);
        printf("broken, after %.1f s and under a load of %.1f:\n",
               (double)(weft_now() - begun_at) / 1e9, load);
        soak_broken_repeat(stdout);
    }
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *where)
{
    (void)s;
    (void)type;
    (void)where;
    return remove(path);
}

static long more(long a, long b)
{
    return a > b ? a : b;
}

/* Whether what is there after a round is no more than at the end of the warm-up. */
static void judge(unsigned round, const struct soak_state *now, const struct soak_state *most)
{
    if (now->threads > most->threads || now->descriptors > most->descriptors ||
        now->children > most->children) {
        soak_broken("round %u left %ld threads, %ld descriptors, %ld children; the first ones left"
                    " %ld, %ld, %ld",
                    round, now->threads, now->descriptors, now->children, most->threads,
                    most->descriptors, most->children);
    }
#ifndef SOAK_TSAN
    if (now->rss_kib > most->rss_kib + SLACK_KIB) {
        soak_broken("round %u left %ld KiB of memory; the first ones %ld, and the slack is %ld",
                    round, now->rss_kib, most->rss_kib, SLACK_KIB);
    }
#endif
}

void soak_tell(struct soak_round *r)
{
    if (isatty(STDOUT_FILENO)) {
        unsigned long long steps = soak_count(&r->accounts[SOAK_STEPS].out);
        unsigned long long bytes = soak_count(&r->accounts[SOAK_BYTES].out) +
                                   soak_count(&r->accounts[SOAK_TLS_BYTES].out);
        printf("\r%4.0f s, %u rounds, %llu steps, %llu MB, %u broken ",
               (double)(weft_now() - begun_at) / 1e9, rounds_total, steps_total + steps,
               (bytes_total + bytes) / 1000000, soak_broken_count());
        fflush(stdout);
    }
}

static void run(const struct soak_options *o, const char *folder)
{
    int64_t since = weft_now();
    begun_at = since;
    int64_t length = o->for_ns / 8 < 3 * WEFT_SECOND ? o->for_ns / 8 : 3 * WEFT_SECOND;
    uint64_t random = o->seed;
    struct soak_state most = {0, 0, 0, 0};
    struct soak_state before = soak_measure();
    for (unsigned i = 0; weft_now() - since < o->for_ns || i < 3; i++) {
        int64_t for_ns = length / 2 + (int64_t)soak_below(&random, (uint64_t)length);
        bool is_warm = i >= 2 && weft_now() - since >= o->for_ns / 4;
        if (!soak_round_run(&the_round, o, i, folder, for_ns)) {
            break;
        }
        rounds_total++;
        steps_total += soak_count(&the_round.accounts[SOAK_STEPS].out);
        bytes_total += soak_count(&the_round.accounts[SOAK_BYTES].out) +
                       soak_count(&the_round.accounts[SOAK_TLS_BYTES].out);
        struct soak_state now = soak_measure_settled(is_warm ? &most : &before);
        if (is_warm) {
            judge(i, &now, &most);
        } else {
            most.rss_kib = more(most.rss_kib, now.rss_kib);
            most.threads = more(most.threads, now.threads);
            most.descriptors = more(most.descriptors, now.descriptors);
            most.children = more(most.children, now.children);
        }
        if (getenv("WEFT_SOAK_TRACE") != NULL) {
            printf("round %u: %ld KiB, %ld threads, %ld descriptors, %ld children\n", i,
                   now.rss_kib, now.threads, now.descriptors, now.children);
        }
    }
    printf(isatty(STDOUT_FILENO) ? "\n" : "");
}

int main(int argc, char **argv)
{
    static const struct argp parser = {
        .options = option_table,
        .parser = parse,
        .doc = "Servers, clients, TLS, datagrams, timers, cancels, queues, locks, blocking jobs,"
               " files, processes and pools of them, signals and stalls at once, on runtimes that"
               " are closed under load and made anew: is all conserved, and do memory, threads,"
               " descriptors and children stay flat?",
    };
    struct soak_options o = {.for_ns = 60 * WEFT_SECOND, .seed = (uint64_t)weft_now() % 1000000007};
    char folder[] = "/tmp/weft-soak-XXXXXX";
    soak_farm_begin(argc, argv);
    soak_signals_ignore();
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    if (!soak_secure_begin()) {
        fprintf(stderr, "weft-soak: OpenSSL could not make a certificate\n");
        return 1;
    }
    if (mkdtemp(folder) == NULL) {
        fprintf(stderr, "weft-soak: no temporary folder: %s\n", cli_error_text(errno));
        return 1;
    }
    printf("seed %llu\n", (unsigned long long)o.seed);
    fflush(stdout);
    soak_watchdog_start(&o);
    run(&o, folder);
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    bool is_well = soak_broken_count() == 0;
    soak_verdict(&o, is_well ? "flat and conserved" : "NOT flat, or not conserved");
    return is_well ? 0 : 1;
}

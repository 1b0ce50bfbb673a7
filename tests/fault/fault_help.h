/* SPDX-License-Identifier: MIT */
/*
 * For tests that make calls fail: a case is done again and again, each time with the next call of a
 * kind failing, until it was done without a failure.
 *
 *     static int make_channel(void *arg)            0, or an error, and then nothing is left
 *     static const struct fault_case cases[] = {{"channel", make_channel}, ...};
 *     fault_run(cases, COUNT(cases), faults, COUNT(faults));
 *
 * A case does an operation whole, from making to destroying, and checks for itself that what it was
 * told is so. Required of each: it ends; it returns 0 or the injected error (or another one that
 * its row allows); done again without a failure it succeeds; and at the end as many blocks, mapped
 * bytes, descriptors and threads are there as before. The state of the walk is printed when the
 * process is ended by a signal; WEFT_FAULT_TRACE=1 prints all of it.
 */
#ifndef WEFT_FAULT_HELP_H
#define WEFT_FAULT_HELP_H

#include <limits.h>

#include "fault_state.h"
#include "injection.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A way to fail. */
struct fault {
    enum inject_kind kind;
    int error;      /* positive */
    unsigned times; /* in a row; 0: all from then on */
};

struct fault_case {
    const char *name;
    int (*run)(void *arg); /* 0 or -errno */
    void *arg;
    int also[5]; /* errors that it may return beside the injected one */
};

/* Where the walk is, for who wants to know why the process ended. */
static struct {
    const char *name;
    struct fault fault;
    unsigned n;
} fault_at;

static inline int fault_place(char *text, size_t bytes)
{
    return snprintf(text, bytes, "fault: %s, %s %u of error %d, %u times\n",
                    fault_at.name != NULL ? fault_at.name : "no case",
                    inject_name(fault_at.fault.kind), fault_at.n, fault_at.fault.error,
                    fault_at.fault.times);
}

static inline void fault_tell(void)
{
    char text[256];
    int n = fault_place(text, sizeof text);
    (void)!write(help_stderr(), text, (size_t)n);
}

#if defined(__SANITIZE_ADDRESS__)
void __asan_on_error(void);
void __asan_on_error(void)
{
    fault_tell();
}
#endif

static inline void fault_on_signal(int signo)
{
    fault_tell();
    signal(signo, SIG_DFL);
    raise(signo);
}

static inline bool fault_accepts(const struct fault_case *c, const struct fault *f, int err)
{
    bool is_known = err == 0 || err == -f->error;
    for (size_t i = 0; i < COUNT(c->also); i++) {
        is_known |= c->also[i] != 0 && err == c->also[i];
    }
    return is_known;
}

/* Every how many calls one is made to fail: each in its turn; where that takes minutes a sample,
 * another one each time. WEFT_FAULT_STEP says otherwise. */
static inline unsigned fault_step(enum inject_kind kind)
{
    const char *given = getenv("WEFT_FAULT_STEP");
    unsigned each = kind == INJECT_OPENSSL ? 150 : 1; /* of which there are thousands */
#if defined(__SANITIZE_THREAD__)
    each *= 8;
#elif defined(__SANITIZE_ADDRESS__)
    each *= 3;
#endif
    return given != NULL ? (unsigned)atoi(given) : each;
}

static inline unsigned fault_first(enum inject_kind kind)
{
    static uint64_t random;
    random = random == 0 ? test_seed() : random;
    return 1 + (unsigned)(test_random(&random) % fault_step(kind));
}

/* What came of doing a case with the n-th call failing, so many failures in fact. */
static inline void fault_judge(const struct fault_case *c, const struct fault *f, unsigned n,
                               int err, unsigned failed)
{
    enum { CALLS_MAX = 20000 };

    if (getenv("WEFT_FAULT_TRACE") != NULL) {
        fprintf(stderr, "%s, %s %u: error %d x %u: %d\n", c->name, inject_name(f->kind), n,
                f->error, failed, err);
    }
    CHECK(n < CALLS_MAX);
    if (!fault_accepts(c, f, err) || (failed == 0 && err != 0)) {
        fault_tell();
        CHECK_EQUAL(err, failed == 0 ? 0 : -f->error);
    }
}

/* Do a case with each call of a kind failing in its turn. */
static inline void fault_walk(const struct fault_case *c, const struct fault *f)
{
    unsigned failed = 1;
    fault_at.name = c->name;
    fault_at.fault = *f;
    for (unsigned n = fault_first(f->kind); failed != 0; n += fault_step(f->kind)) {
        fault_at.n = n;
        inject_arm(f->kind, n, f->error, f->times == 0 ? UINT_MAX : f->times);
        int err = c->run(c->arg);
        failed = inject_disarm();
        fault_judge(c, f, n, err, failed);
        if (failed != 0 && err != 0) {
            CHECK_EQUAL(c->run(c->arg), 0); /* as if nothing had been */
        }
    }
}

/* For main, before anything else. */
static inline void fault_begin(void)
{
    help_limit_time();
    signal(SIGABRT, fault_on_signal);
#ifndef TEST_SANITIZED
    signal(SIGSEGV, fault_on_signal);
    signal(SIGBUS, fault_on_signal);
#endif
}

/*
 * All cases with all faults. Each case is done once without, so that what stays for the life of the
 * process is there; then, after each walk, everything must be as before it.
 */
static inline void fault_walk_apart(const struct fault_case *cases, size_t case_count,
                                    const struct fault *faults, size_t fault_count)
{
    for (size_t i = 0; i < case_count; i++) {
        CHECK_EQUAL(cases[i].run(cases[i].arg), 0);
        struct fault_state before = fault_state_settled();
        for (size_t k = 0; k < fault_count; k++) {
            fault_walk(&cases[i], &faults[k]);
            fault_check_state(&before);
        }
    }
}

/* Cases that are done in a task, for fault_run. */
struct fault_walks {
    const struct fault_case *cases;
    size_t case_count;
    const struct fault *faults;
    size_t fault_count;
};

__attribute__((unused)) static void *fault_walk_inside(void *arg)
{
    const struct fault_walks *w = arg;
    for (size_t i = 0; i < w->case_count; i++) {
        CHECK_EQUAL(w->cases[i].run(w->cases[i].arg), 0);
        int fds = fd_count();
        for (size_t k = 0; k < w->fault_count; k++) {
            fault_walk(&w->cases[i], &w->faults[k]);
            CHECK_EQUAL(fd_count(), fds);
        }
    }
    return NULL;
}

__attribute__((unused)) static void *fault_warm_up(void *arg)
{
    const struct fault_walks *w = arg;
    for (size_t i = 0; i < w->case_count; i++) {
        CHECK_EQUAL(w->cases[i].run(w->cases[i].arg), 0);
    }
    return NULL;
}

/* A case in a task of a runtime that has done nothing yet: nothing is kept in stock. */
struct fault_first {
    const struct fault_case *c;
    const struct fault *f;
    unsigned n;
    int err;
    unsigned failed;
};

__attribute__((unused)) static void *fault_do_first(void *arg)
{
    struct fault_first *first = arg;
    const struct fault *f = first->f;
    inject_arm(f->kind, first->n, f->error, f->times == 0 ? UINT_MAX : f->times);
    first->err = first->c->run(first->c->arg);
    first->failed = inject_disarm();
    if (first->failed != 0 && first->err != 0) {
        CHECK_EQUAL(first->c->run(first->c->arg), 0);
    }
    return NULL;
}

static inline int fault_run_first(void *arg)
{
    struct fault_first *first = arg;
    run_case(fault_do_first, first);
    return first->err;
}

/* Each in a runtime of its own, which is made without a failure. */
static inline void fault_run_fresh(const struct fault_case *cases, size_t case_count,
                                   const struct fault *faults, size_t fault_count)
{
    const struct fault none = {INJECT_NOTHING, 0, 1};
    for (size_t i = 0; i < case_count; i++) {
        struct fault_first first = {.c = &cases[i], .f = &none};
        CHECK_EQUAL(fault_run_first(&first), 0);
        struct fault_state before = fault_state_settled();
        for (size_t k = 0; k < fault_count; k++) {
            fault_at.name = cases[i].name;
            fault_at.fault = faults[k];
            first = (struct fault_first){.c = &cases[i], .f = &faults[k], .failed = 1};
            unsigned step = fault_step(faults[k].kind);
            for (first.n = fault_first(faults[k].kind); first.failed != 0; first.n += step) {
                fault_at.n = first.n;
                (void)fault_run_first(&first);
                fault_judge(&cases[i], &faults[k], first.n, first.err, first.failed);
            }
            fault_check_state(&before);
        }
    }
}

/* The same in a task, all in one runtime; when that has ended everything must be as before. */
static inline void fault_run(const struct fault_case *cases, size_t case_count,
                             const struct fault *faults, size_t fault_count)
{
    struct fault_walks walks = {cases, case_count, faults, fault_count};
    run_case(fault_warm_up, &walks);
    struct fault_state before = fault_state_settled();
    run_case(fault_walk_inside, &walks);
    fault_check_state(&before);
}

#endif

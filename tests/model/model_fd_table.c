/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table: a descriptor is closed when no call is in, and its closer is told once.
 *
 * Threads make calls on one descriptor and close it, as op.c and close.c do; between two closes the
 * number is given out again. A call reads the file, to close it writes it; nothing else orders the
 * two. A closer lives on its closer's stack, and is gone when that goes on.
 *
 * The first version told whoever was there: one that had left and was delayed told a later closer
 * of the same number, which then closed under the calls that it should have waited for. That is
 * among the mutants.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_ENTER_RELAXED,  /* P1 */
    MUTANT_LET_IN,         /* P6: calls do not wait for close(2) */
    MUTANT_AWAIT_RELAXED,  /* P2 */
    MUTANT_LEAVE_RELAXED,  /* P3 */
    MUTANT_NO_LAST_LOOK,   /* a closer that finds nobody in waits to be told */
    MUTANT_END_EARLY,      /* P6: others may close before close(2) has returned */
    MUTANT_END_RELAXED,    /* P6 */
};

static enum mutant mutant;

#define ORDER_UNLESS(which) (mutant == (which) ? MODEL_RELAXED : MODEL_ACQ_REL)

#undef atomic_and_acq_rel
#define atomic_and_acq_rel(p, v) \
    MODEL_MODIFY(p, v, MODEL_AND, \
                 strcmp(__func__, "fd_entry_ended") == 0 ? ORDER_UNLESS(MUTANT_END_RELAXED) \
                                                         : MODEL_ACQ_REL)
#undef atomic_or_acq_rel
#define atomic_or_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_OR, ORDER_UNLESS(MUTANT_AWAIT_RELAXED))
#undef atomic_sub_acq_rel
#define atomic_sub_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_SUB, ORDER_UNLESS(MUTANT_LEAVE_RELAXED))
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              strcmp(__func__, "fd_entry_enter") == 0 ? ORDER_UNLESS(MUTANT_ENTER_RELAXED) \
                                                      : MODEL_ACQ_REL)

#define FD_CHUNK 16
#define FD_CHUNKS 4
#include "fd_table.c"

struct waiting_closer {
    struct fd_closer closer; /* first */
    int known;               /* written before it is told of, read by who tells */
    _Atomic(uint32_t) told;
};

static struct fd_entry entry;
static struct waiting_closer waiting[MODEL_THREADS_MAX]; /* one a thread */
static int file;
static _Atomic(uint32_t) closes;

static void setup(void)
{
    memset(&entry, 0, sizeof(entry));
    memset(waiting, 0, sizeof(waiting));
    file = 0;
    atomic_store_relaxed(&closes, 0);
}

static void tell(struct fd_closer *closer)
{
    struct waiting_closer *w = (struct waiting_closer *)(void *)closer;
    model_plain_read(&w->known);
    /* As pending in close.c: whoever waits sees all that was done before. */
    uint32_t before = atomic_add_seq_cst(&w->told, 1);
    model_assert(before == 0);
}

/* The first version: whoever is not refused is in. */
static int enter_at_once(void)
{
    uint64_t old = atomic_load_relaxed(&entry.word);
    do {
        if ((old & FD_CLOSING) != 0) {
            return -EBADF;
        }
    } while (!atomic_cas_seq_cst(&entry.word, &old, old + FD_ONE));
    return 0;
}

static void call(void)
{
    int err = mutant == MUTANT_LET_IN ? enter_at_once() : fd_entry_enter(&entry);
    if (err == 0) { /* -EAGAIN: what comes again is another call */
        model_plain_read(&file);
        fd_entry_leave(&entry);
    }
}

static void close_it(void)
{
    struct waiting_closer *w = &waiting[model_self()];
    int64_t calls = -EAGAIN;
    model_wait_until((calls = fd_entry_close(&entry)) != -EAGAIN);
    if (calls < 0) {
        return;
    }
    if (calls > 0) {
        w->closer.left = tell;
        model_plain_write(&w->known);
        if (mutant == MUTANT_NO_LAST_LOOK) {
            entry.closer = &w->closer;
            (void)atomic_or_acq_rel(&entry.word, FD_AWAITED);
        } else {
            weft__fd_entry_await(&entry, &w->closer);
        }
        model_wait_until(atomic_load_acquire(&w->told) == 1);
        model_retire(w, sizeof(*w));
    }
    fd_entry_end(&entry);
    if (mutant == MUTANT_END_EARLY) {
        fd_entry_ended(&entry);
    }
    model_plain_write(&file);
    if (mutant != MUTANT_END_EARLY) {
        fd_entry_ended(&entry);
    }
    (void)atomic_add_seq_cst(&closes, 1);
}

/* A call that closes the descriptor itself, if it is alone; else it leaves, and no more. */
static void call_and_end(void)
{
    if (fd_entry_enter(&entry) < 0) {
        return;
    }
    model_plain_read(&file);
    if (fd_entry_end_alone(&entry)) {
        model_plain_write(&file);
        fd_entry_ended(&entry);
    } else {
        fd_entry_leave(&entry);
    }
    (void)atomic_add_seq_cst(&closes, 1);
}

static void call_twice(void)
{
    call();
    call();
}

static void close_then_call(void)
{
    close_it();
    call();
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&entry.word) == 0);
    model_assert(atomic_load_relaxed(&closes) >= 1);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .value_states = true,
    };
}

/* Of two calls, one may be refused and the other delayed, when the number is used again. */
static struct model_scenario used_again(const char *name)
{
    struct model_scenario s = scenario(name);
    s.threads[0] = call;
    s.threads[1] = call;
    s.threads[2] = close_then_call;
    s.threads[3] = close_it;
    return s;
}

static int run_right(void)
{
    int failed = 0;
    mutant = MUTANT_NONE;
    struct model_scenario s = scenario("fd_table: two callers, one closer");
    s.threads[0] = call_twice;
    s.threads[1] = call;
    s.threads[2] = close_it;
    failed += model_run(&s);
    s = scenario("fd_table: two closers, one caller");
    s.threads[0] = call;
    s.threads[1] = close_it;
    s.threads[2] = close_it;
    failed += model_run(&s);
    s = scenario("fd_table: one that closes if alone, one caller, one closer");
    s.threads[0] = call_and_end;
    s.threads[1] = call;
    s.threads[2] = close_it;
    failed += model_run(&s);
    s = used_again("fd_table: the number is used and closed again");
    return failed + model_run(&s);
}

static int run_mutant(enum mutant which, const char *name, const char *rule)
{
    mutant = which;
    struct model_scenario s = used_again(name);
    return model_finds(&s, rule);
}

int main(void)
{
    int failed = run_right();
    failed += run_mutant(MUTANT_ENTER_RELAXED, "fd_table: enter relaxed", "data race");
    failed += run_mutant(MUTANT_LET_IN, "fd_table: let in during close(2)", "data race");
    failed += run_mutant(MUTANT_AWAIT_RELAXED, "fd_table: await relaxed", "data race");
    failed += run_mutant(MUTANT_LEAVE_RELAXED, "fd_table: leave relaxed", "data race");
    failed += run_mutant(MUTANT_END_EARLY, "fd_table: end before close(2)", "data race");
    failed += run_mutant(MUTANT_END_RELAXED, "fd_table: end relaxed", "data race");
    failed += run_mutant(MUTANT_NO_LAST_LOOK, "fd_table: no look after AWAITED", "deadlock");
    return failed == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * A close of a descriptor with a call in flight: all workers are asked to end it, and the closer
 * goes on when each has answered and the call is over; nobody touches the wait or the messages,
 * which are on its stack, after that.
 *
 * io/close.c and fd_table.c as they are, two workers, of which the second has the call's operation.
 * The wait is reduced as in sync_fibers.h.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_DONE_RELAXED, /* P1 */
    MUTANT_WAKE_EACH,    /* whoever is done wakes the closer, and not the last */
    MUTANT_COUNT_SHORT,  /* the call is not counted */
    MUTANT_NOT_AWAITED,  /* nobody tells that the last call has left */
    MUTANT_ONE_UNASKED,  /* a worker gets no message */
    MUTANT_READ_LATE,    /* a worker looks at the message when it has answered */
};

static enum mutant mutant;

static bool mutates(enum mutant which, const char *function, const char *here)
{
    return mutant == which && strcmp(function, here) == 0;
}

#undef atomic_sub_acq_rel
#define atomic_sub_acq_rel(p, v) \
    (mutates(MUTANT_WAKE_EACH, "close_one_done", __func__) \
         ? ((void)MODEL_MODIFY(p, v, MODEL_SUB, MODEL_ACQ_REL), 1u) \
         : MODEL_MODIFY(p, v, MODEL_SUB, \
                        mutates(MUTANT_DONE_RELAXED, "close_one_done", __func__) \
                            ? MODEL_RELAXED \
                            : MODEL_ACQ_REL))

#define FD_CHUNK 16
#define FD_CHUNKS 4
#include "fd_table.c"

static void await(struct fd_entry *e, struct fd_closer *closer)
{
    if (mutant != MUTANT_NOT_AWAITED) {
        weft__fd_entry_await(e, closer);
    }
}

#include "op.h"
#include "runtime_object.h"

#define weft__fd_entry_await await
#undef atomic_store_relaxed
#define atomic_store_relaxed(p, v) /* of the count alone */ \
    MODEL_STORE(p, (v) - (mutant == MUTANT_COUNT_SHORT ? 1 : 0), MODEL_RELAXED)
#include "io/close.c"
#undef atomic_store_relaxed
#define atomic_store_relaxed(p, v) MODEL_STORE(p, v, MODEL_RELAXED)

#include "sync_fibers.h"

enum { WORKERS = 2, FD = 7 };

static struct fd_entry entry;
static int file; /* read by the call, written by close(2) */
static _Atomic(struct message *) inbox[WORKERS];
static struct close_wait *wait_of_closer; /* on its stack */
static _Atomic(uint32_t) asked;           /* the call's operation is to end */
static _Atomic(uint32_t) is_closed;

#include "fd_close_calls.h"

static void setup(void)
{
    fibers_setup();
    memset(&entry, 0, sizeof entry);
    memset(inbox, 0, sizeof inbox);
    file = 0;
    wait_of_closer = NULL;
    atomic_store_relaxed(&asked, 0);
    atomic_store_relaxed(&is_closed, 0);
}

static void closer(void)
{
    int64_t calls = fd_entry_close(&entry);
    model_assert(calls >= 0);
    if (calls > 0) {
        close_drain(weft__fiber_current(), &entry, FD);
        for (int i = 0; i < WORKERS; i++) { /* the messages' memory is another's */
            model_plain_write(&inbox[i]);
        }
        model_retire(wait_of_closer, sizeof *wait_of_closer);
    }
    fd_entry_end(&entry);
    model_plain_write(&file);
    fd_entry_ended(&entry);
    atomic_store_release(&is_closed, 1);
}

static void call(void)
{
    if (fd_entry_enter(&entry) == 0) {
        model_plain_read(&file);
        if (model_choose(2) == 0) { /* else it ends by itself */
            model_wait_until(atomic_load_acquire(&asked) != 0 ||
                             atomic_load_acquire(&is_closed) != 0); /* it came after the close */
        }
        fd_entry_leave(&entry);
    }
}

static void work(int i)
{
    model_wait_until(atomic_load_acquire(&inbox[i]) != NULL ||
                     atomic_load_acquire(&is_closed) != 0);
    struct message *m = atomic_load_acquire(&inbox[i]);
    if (m != NULL) {
        if (mutant != MUTANT_READ_LATE) {
            model_plain_read(&inbox[i]);
        }
        m->deliver(m, &fibers[1 + i].worker);
        if (mutant == MUTANT_READ_LATE) {
            model_plain_read(&inbox[i]);
        }
    }
}

static void first_worker(void)
{
    work(0);
}

static void second_worker(void)
{
    fiber_cancel(0); /* which cuts no close short */
    work(1);
}

static void check(void)
{
    model_assert(atomic_load_relaxed(&entry.word) == 0);
    model_assert(atomic_load_relaxed(&fibers[0].is_ready) == 0);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {closer, first_worker, second_worker, call},
    };
}

static int run_mutant(enum mutant which, const char *name, const char *rule)
{
    mutant = which;
    struct model_scenario s = scenario(name);
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = scenario("close: a call, two workers");
    int failed = model_run(&s);
    failed += run_mutant(MUTANT_DONE_RELAXED, "close: done relaxed", "data race");
    failed += run_mutant(MUTANT_WAKE_EACH, "close: whoever is done wakes", "data race");
    failed += run_mutant(MUTANT_COUNT_SHORT, "close: the call is not counted", "data race");
    failed += run_mutant(MUTANT_NOT_AWAITED, "close: the call is not awaited", "deadlock");
    failed += run_mutant(MUTANT_ONE_UNASKED, "close: a worker is not asked", "deadlock");
    failed += run_mutant(MUTANT_READ_LATE, "close: a message is read late", "data race");
    return failed == 0 ? 0 : 1;
}

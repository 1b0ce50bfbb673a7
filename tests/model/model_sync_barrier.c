/* SPDX-License-Identifier: MIT */
/*
 * The barrier of tasks: nobody goes on before its round is full, all of a full round do, with
 * different numbers, also when one is cancelled and another takes its place; and who was let go may
 * free it.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_COUNT_ALL,    /* one that was cancelled counts, if it is still in the queue */
    MUTANT_TOUCH,        /* the barrier is looked at after the others were let go */
    MUTANT_RESUME_FIRST, /* waiters are made ready before the barrier is left alone */
};

static enum mutant mutant;

#include "sync_fibers.h"

#include <weft/sync.h>

/* ---- sync_barrier.c, with some of its calls led through here ---- */

static struct wait_node *model_claim(struct weft_barrier *b, struct wait_queue *q)
{
    struct wait_node *n;
    while ((n = q->first) != NULL && !weft__wait_queue_take(q, n)) {
        b->parties -= mutant == MUTANT_COUNT_ALL;
    }
    if (n != NULL && mutant == MUTANT_RESUME_FIRST) {
        weft__wait_queue_resume(n);
    }
    return n;
}

static void model_resume(struct weft_barrier *b, struct wait_chain *c)
{
    if (mutant != MUTANT_RESUME_FIRST) {
        weft__wait_chain_resume(c);
    }
    if (mutant == MUTANT_TOUCH) {
        (void)atomic_load_relaxed(&b->word);
    }
}

#define weft__wait_queue_claim(q) model_claim(b, q)
#define weft__wait_chain_resume(c) model_resume(b, c)

#include "sync_barrier.c"

enum { PARTIES_MAX = 3, PREEMPTIONS = 3 };

static struct weft_barrier *barrier;
static int parties;
static int numbers[PARTIES_MAX]; /* what each one's wait returned */
static int written[PARTIES_MAX]; /* before the barrier, by each; read after it */
static bool frees;

static void setup(void)
{
    fibers_setup();
    barrier = calloc(1, sizeof(*barrier));
    int err = weft_barrier_init(barrier, parties);
    model_assert(err == 0);
}

/* One that is cancelled acknowledges it, and comes again. */
static void party(void)
{
    int me = model_self();
    model_plain_write(&written[me]);
    while ((numbers[me] = weft_barrier_wait(barrier)) == -ECANCELED) {
        atomic_store_seq_cst(&fibers[me].task.cancel, 0);
    }
    for (int i = 0; i < parties; i++) {
        model_plain_read(&written[i]);
    }
    if (frees && numbers[me] == 0) {
        free(barrier);
    }
}

static void canceller(void)
{
    fiber_cancel(1);
}

static void check(void)
{
    int seen = 0;
    for (int i = 0; i < parties; i++) {
        model_assert(numbers[i] >= 0 && numbers[i] < parties);
        seen |= 1 << numbers[i];
    }
    model_assert(seen == (1 << parties) - 1);
    model_assert(frees || (barrier->first == NULL && barrier->waiting == 0));
}

static struct model_scenario two(const char *name)
{
    mutant = MUTANT_NONE;
    parties = 2;
    frees = true;
    return (struct model_scenario){
        .name = name, .setup = setup, .check = check, .threads = {party, party}};
}

/* Too many for all interleavings. */
static struct model_scenario three(const char *name)
{
    struct model_scenario s = two(name);
    parties = 3;
    frees = false;
    s.threads[2] = party;
    s.threads[3] = canceller;
    s.memory = MODEL_SC;
    s.preemptions_max = PREEMPTIONS;
    return s;
}

static int find(enum mutant which, struct model_scenario s, const char *rule)
{
    mutant = which;
    return model_finds(&s, rule);
}

int main(void)
{
    struct model_scenario s = two("barrier: two parties, one frees it");
    int failures = model_run(&s);
    s = three("barrier: three parties, one is cancelled");
    failures += model_run(&s);
    failures += find(MUTANT_TOUCH, two("barrier: touched after the end"), "free");
    failures += find(MUTANT_RESUME_FIRST, two("barrier: resume first"), "free");
    failures += find(MUTANT_COUNT_ALL, three("barrier: cancelled ones count"), "deadlock");
    return failures == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * Strands: one handler at a time, which sees what the posters did and what the one before has left;
 * every event is handled; the strand is in a queue once at most; and nothing is handled after it
 * was over.
 *
 * Two threads post, two workers take the strand from a queue of one place.
 */
#include "explorer/model.h"

#include "atomic.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_POST_RELAXED, /* P1, and P2 for the queue */
    MUTANT_TAKE_RELAXED, /* P1 */
    MUTANT_REST_RELAXED, /* P2 */
    MUTANT_REST_BLIND,   /* it rests although something has come */
    MUTANT_FORGET,       /* it says that it rests before it has handled all */
};

static enum mutant mutant;

#define ORDER_UNLESS(which) (mutant == (which) ? MODEL_RELAXED : MODEL_ACQ_REL)

#undef atomic_or_acq_rel
#define atomic_or_acq_rel(p, v) MODEL_MODIFY(p, v, MODEL_OR, ORDER_UNLESS(MUTANT_POST_RELAXED))
#undef atomic_exchange_acq_rel
#define atomic_exchange_acq_rel(p, v) MODEL_SWAP(p, v, ORDER_UNLESS(MUTANT_TAKE_RELAXED))
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    MODEL_CAS(p, expected, v, ORDER_UNLESS(MUTANT_REST_RELAXED))

#define STRAND_ROUNDS_MAX 1
#include "strand.h"

#define EVENTS 3

static struct strand strand;
static _Atomic(uint32_t) queued;  /* the queue's one place */
static _Atomic(uint32_t) handled; /* events, as bits from 0 on */
static int given[EVENTS];         /* what a poster did before it posted */
static int kept;                  /* the strand's own */
static bool ends;                 /* the first event is the last that is handled */
static bool is_over;              /* kept's */

static void setup(void)
{
    memset(&strand, 0, sizeof(strand));
    memset(given, 0, sizeof(given));
    atomic_store_relaxed(&queued, 0);
    atomic_store_relaxed(&handled, 0);
    kept = 0;
    is_over = false;
}

/* As the runtime's queues: who takes it sees what who queued it did. */
void weft__strand_queue(struct strand *s)
{
    (void)s;
    uint32_t before = atomic_add_release(&queued, 1);
    model_assert(before == 0);
}

static void post(int event)
{
    model_plain_write(&given[event]);
    weft__strand_post(&strand, (uint32_t)2 << event);
}

static enum strand_next handle(struct strand *s, uint32_t events)
{
    (void)s;
    model_plain_write(&kept);
    model_assert(!is_over);
    kept++;
    for (int i = 0; i < EVENTS; i++) {
        if ((events >> i & 2) != 0) {
            model_plain_read(&given[i]);
            (void)atomic_add_relaxed(&handled, (uint32_t)1 << i);
        }
    }
    is_over = ends && events != 0;
    return is_over ? STRAND_OVER : STRAND_REST;
}

/* As strand_turn, but wrong. */
static bool turn_wrongly(struct strand *s)
{
    if (mutant == MUTANT_FORGET) {
        uint32_t events = strand_take(s);
        bool rests = strand_rest(s);
        (void)handle(s, events);
        return !rests;
    }
    (void)handle(s, strand_take(s));
    atomic_store_relaxed(&s->word, 0);
    return false;
}

static bool is_done(void)
{
    return atomic_load_relaxed(&handled) == (1u << EVENTS) - 1 ||
           (ends && atomic_load_relaxed(&handled) != 0);
}

static void work(void)
{
    for (;;) {
        uint32_t one = 1;
        model_wait_until(atomic_load_relaxed(&queued) == 1 || is_done());
        if (!atomic_cas_acquire(&queued, &one, 0)) {
            if (is_done()) {
                return;
            }
            continue;
        }
        bool is_wrong = mutant == MUTANT_REST_BLIND || mutant == MUTANT_FORGET;
        if (is_wrong ? turn_wrongly(&strand) : strand_turn(&strand, handle)) {
            weft__strand_queue(&strand);
        }
    }
}

static void post_two(void)
{
    post(0);
    post(1);
}

static void post_one(void)
{
    post(2);
}

static void check(void)
{
    uint32_t word = atomic_load_relaxed(&strand.word);
    model_assert(is_done());
    model_assert(ends || word == 0 || atomic_load_relaxed(&queued) == 1);
    model_assert(!ends || (word & STRAND_BUSY) != 0);
}

static struct model_scenario scenario(const char *name)
{
    return (struct model_scenario){
        .name = name,
        .setup = setup,
        .check = check,
        .threads = {post_two, post_one, work, work},
        .value_states = true,
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
    struct model_scenario s = scenario("strand: two posters, two workers");
    int failed = model_run(&s);
    ends = true;
    s = scenario("strand: over after the first event");
    failed += model_run(&s);
    ends = false;
    failed += run_mutant(MUTANT_POST_RELAXED, "strand: post relaxed", "data race");
    failed += run_mutant(MUTANT_TAKE_RELAXED, "strand: take relaxed", "data race");
    failed += run_mutant(MUTANT_REST_RELAXED, "strand: rest relaxed", "data race");
    failed += run_mutant(MUTANT_REST_BLIND, "strand: rest without a look", "");
    failed += run_mutant(MUTANT_FORGET, "strand: rest before it is done", "data race");
    return failed == 0 ? 0 : 1;
}

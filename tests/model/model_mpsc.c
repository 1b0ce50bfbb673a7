/* SPDX-License-Identifier: MIT */
/*
 * The inbox: each letter arrives once and whole, in its producer's order; no wake is lost.
 *
 * Two producers and the consumer, in all interleavings. Letters carry plain data, and their links
 * are plain too: both are announced, so that a pair too weak is a data race. In the sleep tests the
 * consumer sleeps whenever the inbox is empty, and only the producer that found it empty wakes: a
 * lost wake is a deadlock. Then mutations: each pair of the essay is broken, and that has to be
 * found. That the load of mpsc_empty is seq_cst cannot be broken here: the explorer never moves a
 * load before an earlier RMW.
 */
#include "explorer/model.h"

#include "atomic.h"

/* Orders are run-time values of the explorer, so one program holds all the mutants. */
enum mutant {
    MUTANT_NONE,
    MUTANT_PUSH_RELAXED,  /* P1 */
    MUTANT_PUSH_RELEASE,  /* P2 */
    MUTANT_PUSH_UNLOCKED, /* load and store in place of the CAS */
    MUTANT_TAKE_RELAXED,  /* P1, the other side */
    MUTANT_NO_LOOK,       /* P2: no mpsc_empty before the sleep */
    MUTANT_PARK_RELEASE,  /* P2, the parker's publication */
};

static enum mutant mutant;
struct mpsc_node;
static bool cas_unlocked(_Atomic(struct mpsc_node *) *p, struct mpsc_node **expected,
                         struct mpsc_node *v);

#undef atomic_cas_seq_cst
#define atomic_cas_seq_cst(p, expected, v) \
    (mutant == MUTANT_PUSH_UNLOCKED \
         ? cas_unlocked(p, expected, v) \
         : MODEL_CAS(p, expected, v, \
                     mutant == MUTANT_PUSH_RELAXED   ? MODEL_RELAXED \
                     : mutant == MUTANT_PUSH_RELEASE ? MODEL_ACQ_REL \
                                                     : MODEL_SEQ_CST))
#undef atomic_exchange_acquire
#define atomic_exchange_acquire(p, v) \
    MODEL_SWAP(p, v, mutant == MUTANT_TAKE_RELAXED ? MODEL_RELAXED : MODEL_ACQUIRE)

#include "check.h"
#include "mpsc.h"

static bool cas_unlocked(_Atomic(struct mpsc_node *) *p, struct mpsc_node **expected,
                         struct mpsc_node *v)
{
    struct mpsc_node *was = atomic_load_acquire(p);
    if (was != *expected) {
        *expected = was;
        return false;
    }
    MODEL_STORE(p, v, MODEL_SEQ_CST);
    return true;
}

enum { PRODUCERS_MAX = 2, LETTERS_MAX = 3 };

struct letter {
    struct mpsc_node node;
    int producer;
    int number;
    int data;            /* announced */
    _Atomic(bool) given; /* the producer may not use it */
};

static unsigned letters_of[PRODUCERS_MAX];
static unsigned reuse_from; /* a producer has this many letters, which it uses in turn */

static struct mpsc inbox;
static struct letter letters[PRODUCERS_MAX][LETTERS_MAX];
static int next_of[PRODUCERS_MAX]; /* the number that has to come next */
static int was_empty_count;
static int batch_count;
static _Atomic(bool) parked;
static _Atomic(bool) woken;

static void setup(void)
{
    mpsc_init(&inbox);
    for (int p = 0; p < PRODUCERS_MAX; p++) {
        for (int i = 0; i < LETTERS_MAX; i++) {
            atomic_store_relaxed(&letters[p][i].given, false);
        }
        next_of[p] = 0;
    }
    was_empty_count = 0;
    batch_count = 0;
    atomic_store_relaxed(&parked, false);
    atomic_store_relaxed(&woken, false);
}

static bool send(int producer, int number)
{
    struct letter *letter = &letters[producer][(unsigned)number % reuse_from];
    model_wait_until(!atomic_load_acquire(&letter->given));
    atomic_store_relaxed(&letter->given, true);
    letter->producer = producer;
    letter->number = number;
    model_plain_write(&letter->data);
    model_plain_write(&letter->node);
    bool was_empty = mpsc_push(&inbox, &letter->node);
    was_empty_count += was_empty;
    return was_empty;
}

/* Take what there is; returns how many letters that were. */
static unsigned receive(void)
{
    unsigned count = 0;
    struct mpsc_node *node = mpsc_take_all(&inbox);
    batch_count += node != NULL;
    while (node != NULL) {
        struct letter *letter = WEFT_CONTAINER(node, struct letter, node);
        model_plain_write(&letter->node); /* turned round */
        node = node->next;
        model_plain_read(&letter->data);
        model_assert(letter->number == next_of[letter->producer]);
        next_of[letter->producer]++;
        count++;
        atomic_store_release(&letter->given, false);
    }
    return count;
}

static unsigned letters_all(void)
{
    return letters_of[0] + letters_of[1];
}

/* ---- conservation and order ---- */

static void produce(int producer)
{
    for (unsigned i = 0; i < letters_of[producer]; i++) {
        (void)send(producer, (int)i);
    }
}

static void producer_0(void)
{
    produce(0);
}

static void producer_1(void)
{
    produce(1);
}

static void consumer(void)
{
    unsigned count = 0;
    while (count < letters_all()) {
        unsigned received = receive();
        if (received == 0) {
            cpu_relax();
        }
        count += received;
    }
}

static void check(void)
{
    model_assert(mpsc_empty(&inbox));
    model_assert(mpsc_take_all(&inbox) == NULL);
    model_assert(next_of[0] == (int)letters_of[0]);
    model_assert(next_of[1] == (int)letters_of[1]);
    model_assert(was_empty_count == batch_count);
}

/* ---- the sleep protocol ---- */

static void wake_if_parked(void)
{
    if (atomic_load_seq_cst(&parked) && atomic_exchange_seq_cst(&parked, false)) {
        atomic_store_release(&woken, true);
    }
}

static void produce_and_wake(int producer)
{
    for (unsigned i = 0; i < letters_of[producer]; i++) {
        if (send(producer, (int)i)) {
            wake_if_parked();
        }
    }
}

static void waking_producer_0(void)
{
    produce_and_wake(0);
}

static void waking_producer_1(void)
{
    produce_and_wake(1);
}

static void sleep_until_woken(void)
{
    (void)MODEL_SWAP(&parked, true,
                     mutant == MUTANT_PARK_RELEASE ? MODEL_RELEASE : MODEL_SEQ_CST);
    bool has_seen = mutant != MUTANT_NO_LOOK && !mpsc_empty(&inbox);
    if (has_seen && atomic_exchange_seq_cst(&parked, false)) {
        return;
    }
    model_wait_until(atomic_load_acquire(&woken));
    atomic_store_relaxed(&woken, false);
}

static void sleeping_consumer(void)
{
    unsigned count = 0;
    while (count < letters_all()) {
        unsigned received = receive();
        if (received == 0) {
            sleep_until_woken();
        }
        count += received;
    }
}

/* ---- what is run ---- */

static struct model_scenario plain(const char *name, unsigned from_0, unsigned from_1)
{
    mutant = MUTANT_NONE;
    letters_of[0] = from_0;
    letters_of[1] = from_1;
    reuse_from = LETTERS_MAX;
    return (struct model_scenario){.name = name,
                                   .setup = setup,
                                   .threads = {consumer, producer_0, producer_1},
                                   .check = check};
}

static struct model_scenario sleeping(const char *name, unsigned from_0, unsigned from_1)
{
    struct model_scenario s = plain(name, from_0, from_1);
    s.threads[0] = sleeping_consumer;
    s.threads[1] = waking_producer_0;
    s.threads[2] = waking_producer_1;
    return s;
}

static int test_right(void)
{
    struct model_scenario s = plain("inbox: 3 letters of two", 2, 1);
    int failures = model_run(&s);
    s = plain("inbox: 3 letters, a node used again", 2, 1);
    reuse_from = 1;
    failures += model_run(&s);
    s = sleeping("inbox, sleeping: 1 letter each", 1, 1);
    failures += model_run(&s);
    s = sleeping("inbox, sleeping: 2 letters of one", 2, 0);
    failures += model_run(&s);
    s = sleeping("inbox, sleeping: 3 letters of two", 2, 1);
    s.memory = MODEL_TSO;
    s.value_states = true; /* what several threads write is counted up */
    return failures + model_run(&s);
}

static int test_mutants(void)
{
    struct model_scenario s = plain("inbox, mutant: push relaxed", 1, 0);
    mutant = MUTANT_PUSH_RELAXED;
    int failures = model_finds(&s, "data race");
    s = plain("inbox, mutant: taken without acquire", 1, 0);
    mutant = MUTANT_TAKE_RELAXED;
    failures += model_finds(&s, "data race");
    s = plain("inbox, mutant: push loads and stores", 1, 1);
    mutant = MUTANT_PUSH_UNLOCKED;
    failures += model_finds(&s, "next_of");
    s = sleeping("inbox, mutant: push not seq_cst", 1, 0);
    mutant = MUTANT_PUSH_RELEASE;
    failures += model_finds(&s, "deadlock");
    s = sleeping("inbox, mutant: no look before the sleep", 1, 0);
    mutant = MUTANT_NO_LOOK;
    failures += model_finds(&s, "deadlock");
    s = sleeping("inbox, mutant: parked not seq_cst", 1, 0);
    mutant = MUTANT_PARK_RELEASE;
    return failures + model_finds(&s, "deadlock");
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * The inbox under real threads. Goal: nothing lost, nothing twice, each producer's letters in
 * order, exactly one "was empty" for each take that found something, and no wake lost by the sleep
 * protocol.
 *
 * Method: producers send numbered letters from a small set of their own, so nodes are reused all
 * the time (which would show a stack's ABA problem), and the consumer counts. In the second test
 * the consumer sleeps by the protocol of mpsc.h whenever the inbox is empty: a lost wake hangs, and
 * the semaphore's time limit turns that into a failure.
 */
#include "mpsc.h"

#include <pthread.h>
#include <semaphore.h>
#include <sched.h>

#include "check.h"
#include "test.h"

enum { PRODUCERS = 3, LETTERS_EACH = 256 };

struct letter {
    struct mpsc_node node;
    _Atomic(bool) free; /* false from the push until the consumer has read it */
    unsigned producer;
    uint64_t number; /* plain: has to arrive with the node */
};

struct post {
    struct mpsc inbox;
    _Atomic(bool) parked;
    _Atomic(uint64_t) was_empty_count;
    sem_t wake;
    uint64_t count_each;
};

struct producer {
    pthread_t thread;
    struct post *post;
    unsigned index;
    uint64_t random;
    struct letter letters[LETTERS_EACH];
};

static void wake_if_parked(struct post *post)
{
    if (atomic_load_seq_cst(&post->parked) && atomic_exchange_seq_cst(&post->parked, false)) {
        sem_post(&post->wake);
    }
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (uint64_t i = 0; i < p->post->count_each; i++) {
        struct letter *letter = &p->letters[i % LETTERS_EACH];
        while (!atomic_load_acquire(&letter->free)) {
            sched_yield();
        }
        atomic_store_relaxed(&letter->free, false);
        letter->producer = p->index;
        letter->number = i;
        bool was_empty = mpsc_push(&p->post->inbox, &letter->node);
        if (was_empty) {
            atomic_add_relaxed(&p->post->was_empty_count, 1);
            wake_if_parked(p->post);
        }
        if (test_random(&p->random) % 256 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Check one batch; returns the number of letters in it. */
static uint64_t consume_batch(struct mpsc_node *node, uint64_t next[PRODUCERS])
{
    uint64_t count = 0;
    while (node != NULL) {
        struct letter *letter = WEFT_CONTAINER(node, struct letter, node);
        node = node->next;
        assert_true(letter->producer < PRODUCERS);
        assert_int_equal(letter->number, next[letter->producer]);
        next[letter->producer]++;
        count++;
        atomic_store_release(&letter->free, true);
    }
    return count;
}

static void sleep_until_pushed(struct post *post)
{
    atomic_exchange_seq_cst(&post->parked, true);
    if (!mpsc_empty(&post->inbox) && atomic_exchange_seq_cst(&post->parked, false)) {
        return;
    }
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    assert_int_equal(sem_timedwait(&post->wake, &limit), 0);
}

static void run(bool is_sleeping_test, uint64_t count_each)
{
    static struct producer producers[PRODUCERS];
    struct post post = {.count_each = count_each};
    uint64_t seed = test_seed();
    assert_int_equal(sem_init(&post.wake, 0, 0), 0);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        struct producer *p = &producers[i];
        p->post = &post;
        p->index = i;
        p->random = seed + i;
        for (unsigned k = 0; k < LETTERS_EACH; k++) {
            atomic_store_relaxed(&p->letters[k].free, true);
        }
        assert_int_equal(pthread_create(&p->thread, NULL, produce, p), 0);
    }

    uint64_t next[PRODUCERS] = {0};
    uint64_t count = 0;
    uint64_t batches = 0;
    while (count < PRODUCERS * count_each) {
        struct mpsc_node *batch = mpsc_take_all(&post.inbox);
        batches += batch != NULL;
        count += consume_batch(batch, next);
        if (batch == NULL) {
            if (is_sleeping_test) {
                sleep_until_pushed(&post);
            } else {
                sched_yield();
            }
        }
    }

    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(producers[i].thread, NULL), 0);
        assert_int_equal(next[i], count_each);
    }
    assert_true(mpsc_empty(&post.inbox));
    assert_int_equal(atomic_load_relaxed(&post.was_empty_count), batches);
    sem_destroy(&post.wake);
}

static void conserves_letters_and_their_order(void **state)
{
    (void)state;
    run(false, test_scaled(200000, 50000));
}

static void sleep_protocol_loses_no_wake(void **state)
{
    (void)state;
    run(true, test_scaled(100000, 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conserves_letters_and_their_order),
        cmocka_unit_test(sleep_protocol_loses_no_wake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Goal: while workers take, pass on and give back stacks and memory decays all the time, nobody
 * gets a stack that somebody else has, or one without a guard, and what is in use keeps its
 * contents.
 *
 * Method: threads with a cache each. A stack in use carries its holder's random number at both ends
 * of what it uses; an idle one carries 0, as it does after its memory went. Stacks change hands
 * through a table of slots, like tasks that end on another worker. The period of decay is shorter
 * than a turn, so that every path runs at once. A guard is known by write(2): from an address that
 * cannot be read it fails with EFAULT.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "atomic.h"
#include "stack.h"

#define THREADS 4
#define HELD_MAX 300
#define EXCHANGE 64

struct owner {
    struct stack stack;
    uint64_t mark;
};

WEFT_STACK_EMBEDS(struct owner, stack);

static struct stack_pool pool;
static _Atomic(struct stack *) exchange[EXCHANGE]; /* in use, on the way to another thread */
static int pipe_end[2];

struct holder {
    uint64_t random;
    struct stack_cache cache;
    struct stack *held[HELD_MAX];
    unsigned count;
};

static uint64_t *low_mark(struct stack *s)
{
    return (uint64_t *)(void *)(s->low + 64);
}

static uint64_t *high_mark(struct stack *s)
{
    return &WEFT_CONTAINER(s, struct owner, stack)->mark;
}

static void begin_use(struct holder *h, struct stack *s)
{
    /* An even number is at both ends. */
    uint64_t mark = test_random(&h->random) | 2;
    WEFT_ASSERT(*high_mark(s) == 0);
    *high_mark(s) = mark;
    if (mark % 2 == 0) {
        *low_mark(s) = mark;
    }
}

static void end_use(struct stack *s)
{
    uint64_t mark = *high_mark(s);
    WEFT_ASSERT(mark != 0);
    if (mark % 2 == 0) {
        WEFT_ASSERT(*low_mark(s) == mark);
    }
    *high_mark(s) = 0;
}

static void take(struct holder *h)
{
    unsigned stack_class = (unsigned)(test_random(&h->random) % 16);
    struct stack *s = stack_cache_get(&h->cache, stack_class < 4 ? stack_class : 0);
    if (s == NULL) {
        return; /* the guards by mprotect are used up */
    }
    begin_use(h, s);
    h->held[h->count++] = s;
    if (test_random(&h->random) % 64 == 0) {
        WEFT_ASSERT(write(pipe_end[1], s->low - 1, 1) == -1 && errno == EFAULT);
    }
}

static void give(struct holder *h)
{
    unsigned i = (unsigned)(test_random(&h->random) % h->count);
    struct stack *s = h->held[i];
    h->held[i] = h->held[--h->count];
    if (test_random(&h->random) % 4 == 0) {
        s = atomic_exchange_acq_rel(&exchange[test_random(&h->random) % EXCHANGE], s);
    }
    if (s != NULL) {
        end_use(s);
        stack_cache_put(&h->cache, s);
    }
}

static void *holder_main(void *arg)
{
    struct holder *h = arg;
    size_t turns = test_scaled(4000, 60);
    int64_t now = 0;
    weft__stack_cache_init(&h->cache, &pool);
    for (size_t turn = 0; turn < turns; turn++) {
        /* The number held swings, now and then to nothing: caches spill and whole slabs go. */
        unsigned goal = (unsigned)(test_random(&h->random) % (turn % 8 == 0 ? 1 : HELD_MAX));
        for (int step = 0; step < 400; step++) {
            bool takes = h->count < goal ? test_random(&h->random) % 8 != 0
                                         : test_random(&h->random) % 8 == 0;
            if (takes && h->count < HELD_MAX) {
                take(h);
            } else if (h->count > 0) {
                give(h);
            }
        }
        now += 1;
        (void)weft__stack_cache_decay(&h->cache, now);
    }
    while (h->count > 0) {
        give(h);
    }
    weft__stack_cache_fini(&h->cache);
    return NULL;
}

static void run(const struct stack_options *options)
{
    static struct holder holder[THREADS];
    pthread_t thread[THREADS];
    uint64_t random = test_seed();
    assert_int_equal(weft__stack_pool_init(&pool, options), 0);
    for (int i = 0; i < THREADS; i++) {
        holder[i].random = test_random(&random);
        assert_int_equal(pthread_create(&thread[i], NULL, holder_main, &holder[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    struct stack_cache last;
    weft__stack_cache_init(&last, &pool);
    for (int i = 0; i < EXCHANGE; i++) {
        struct stack *s = atomic_exchange_acq_rel(&exchange[i], NULL);
        if (s != NULL) {
            end_use(s);
            stack_cache_put(&last, s);
        }
    }
    weft__stack_cache_fini(&last);
    weft__stack_pool_decay(&pool, 0, true);
    assert_int_equal(atomic_load_relaxed(&pool.stacks), 0);
    weft__stack_pool_fini(&pool);
}

static void test_guard_regions(void **state)
{
    (void)state;
    const struct stack_options options = {.decay_ns = 1};
    run(&options);
}

static void test_guards_by_mprotect_that_run_out(void **state)
{
    (void)state;
    const struct stack_options options = {.decay_ns = 1, .refuse_madvise = true, .guard_max = 700};
    run(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_regions),
        cmocka_unit_test(test_guards_by_mprotect_that_run_out),
    };
    if (pipe(pipe_end) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

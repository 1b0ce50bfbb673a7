/* SPDX-License-Identifier: MIT */
/*
 * Many connections, both ends of which call back: bytes are conserved. For each a task writes the
 * pattern in pieces of all sizes and ends it in some way; others, and plain threads, pause and
 * resume both ends, move the marks, look. What was closed decently has arrived, all of it; what was
 * aborted is a beginning of it; and every end is told of its beginning and its end once.
 */
#include "../io/protocol_help.h"

#define DISTURBERS 3

enum way { WAY_CLOSE, WAY_SHUT, WAY_ABORT, WAYS };

struct link {
    struct talk from;
    struct talk to;
    weft_transport *t[2];
    size_t written;
    enum way way;
    uint64_t random;
};

static struct link *links;
static size_t link_count;
static shared_int is_over;

static void *write_and_end(void *arg)
{
    struct link *l = arg;
    char buf[20000];
    for (uint64_t i = test_random(&l->random) % 30; i > 0; i--) {
        size_t n = test_random(&l->random) % (test_random(&l->random) % 4 == 0 ? sizeof buf : 100);
        pattern_fill(buf, l->written, n);
        CHECK_EQUAL(weft_transport_write(l->t[0], buf, n), 0);
        l->written += n;
        if (test_random(&l->random) % 3 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    if (l->way == WAY_CLOSE) {
        weft_transport_close(l->t[0]);
    } else if (l->way == WAY_SHUT) {
        weft_transport_shutdown_write(l->t[0]);
    } else {
        weft_transport_abort(l->t[0]);
    }
    return NULL;
}

/* One disturbance of a random connection. */
static void disturb(uint64_t *random)
{
    const struct link *l = &links[test_random(random) % link_count];
    weft_transport *t = l->t[test_random(random) % 2];
    size_t high = test_random(random) % 50000;
    switch (test_random(random) % 4) {
    case 0:
        weft_transport_pause_reading(t);
        break;
    case 1:
        CHECK_EQUAL(weft_transport_set_marks(t, high, WEFT_MARK_DERIVED), 0);
        break;
    case 2:
        (void)weft_transport_buffered(t);
        (void)weft_transport_is_closing(t);
        (void)weft_transport_fd(t);
        break;
    default:
        break;
    }
    weft_transport_resume_reading(t);
}

static void *disturb_from_task(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    while (atomic_load_seq_cst(&is_over) == 0) {
        disturb(&random);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

static void *disturb_from_thread(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    while (atomic_load_seq_cst(&is_over) == 0) {
        disturb(&random);
        sched_yield();
    }
    return NULL;
}

static void begin(struct link *l, uint64_t *random)
{
    int fds[2];
    l->random = test_random(random);
    l->way = (enum way)(test_random(random) % WAYS);
    l->from.is_disturbed = true;
    l->to.is_disturbed = true;
    make_ends(fds, test_random(random) % 2 == 0);
    CHECK_EQUAL(weft_transport_open(fds[0], &talk_protocol, &l->from, &l->t[0]), 0);
    CHECK_EQUAL(weft_transport_open(fds[1], &talk_protocol, &l->to, &l->t[1]), 0);
}

static void finish(struct link *l)
{
    yield_until(&l->from.lost, 1);
    yield_until(&l->to.lost, 1);
    CHECK_EQUAL(atomic_load_seq_cst(&l->from.bytes), 0);
    if (l->way == WAY_ABORT) {
        CHECK(atomic_load_seq_cst(&l->to.bytes) <= l->written);
    } else {
        CHECK_EQUAL(atomic_load_seq_cst(&l->to.bytes), l->written);
        CHECK_EQUAL(atomic_load_seq_cst(&l->to.error), 0);
    }
    CHECK_EQUAL(atomic_load_seq_cst(&l->from.error), 0);
    weft_transport_put(l->t[0]);
    weft_transport_put(l->t[1]);
}

static void one_round(uint64_t *random)
{
    weft_task *tasks[DISTURBERS];
    weft_task **writers = calloc(link_count, sizeof *writers);
    links = calloc(link_count, sizeof *links);
    CHECK(links != NULL && writers != NULL);
    atomic_store_seq_cst(&is_over, 0);
    for (size_t i = 0; i < link_count; i++) {
        begin(&links[i], random);
    }
    pthread_t thread = start_thread(disturb_from_thread, (void *)(uintptr_t)test_random(random));
    for (int i = 0; i < DISTURBERS; i++) {
        tasks[i] = spawn(disturb_from_task, (void *)(uintptr_t)test_random(random));
    }
    for (size_t i = 0; i < link_count; i++) {
        writers[i] = spawn(write_and_end, &links[i]);
    }
    for (size_t i = 0; i < link_count; i++) {
        CHECK_EQUAL(weft_join(writers[i], NULL), 0);
    }
    for (size_t i = 0; i < link_count; i++) {
        struct link *l = &links[i];
        weft_transport_resume_reading(l->t[0]);
        weft_transport_resume_reading(l->t[1]);
    }
    while (atomic_load_seq_cst(&links[0].from.lost) == 0) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    atomic_store_seq_cst(&is_over, 1);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    for (int i = 0; i < DISTURBERS; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    for (size_t i = 0; i < link_count; i++) {
        finish(&links[i]);
    }
    free(links);
    free(writers);
}

static void *rounds(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    link_count = test_scaled(100, 30);
    for (size_t i = 0; test_goes_on(i, test_scaled(40, 12)); i++) {
        one_round(&random);
    }
    return NULL;
}

static void bytes_are_conserved(void **state)
{
    (void)state;
    run_io(rounds, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_conserved),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

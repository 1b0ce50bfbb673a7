/* SPDX-License-Identifier: MIT */
/*
 * Goal: streams lose, double and swap no byte, and leave nobody waiting, whatever is cancelled, out
 * of time, aborted or closed meanwhile, and in whatever order.
 *
 * Method: two ends in memory. On each, a task writes a pattern in random pieces and a task reads in
 * random ways, each in scopes that end soon and cancelled now and then; others drain. What a write
 * says was taken is counted, and so is what is read; in the end they are the same. The marks and
 * the limit are small, so that everybody waits. WEFT_SEED=<n> runs one.
 */
#include "sim_help.h"

enum { SEEDS = 400, SEEDS_SANITIZED = 40, TOTAL = 2000 };

struct side {
    weft_stream *s;
    uint64_t random;
    size_t written; /* taken for writing, of a pattern */
    size_t read;    /* of the peer's */
    bool is_over;   /* the writer has ended its output */
    weft_task *reader;
    weft_task *writer;
};

static char pattern(size_t i)
{
    return (char)((i * 2654435761u) >> 11);
}

static int dice(struct side *e, int sides)
{
    return (int)(test_random(&e->random) % (uint64_t)sides);
}

/* A limit for a step: none, most of the time. */
static int64_t limit(struct side *e)
{
    return dice(e, 3) == 0 ? dice(e, 20) * WEFT_US : WEFT_FOREVER;
}

static void check_pattern(struct side *e, const char *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(data[i], pattern(e->read + i));
    }
    e->read += n;
}

static bool is_expected(ssize_t err)
{
    return err == -ECANCELED || err == -ETIMEDOUT || err == -EMSGSIZE;
}

static void write_step(struct side *e)
{
    char buf[400];
    size_t n = 1 + (size_t)dice(e, sizeof buf);
    for (size_t i = 0; i < n; i++) {
        buf[i] = pattern(e->written + i);
    }
    WEFT_TIMEOUT(limit(e)) {
        struct iovec v[2] = {{buf, n / 2}, {buf + n / 2, n - n / 2}};
        ssize_t put = weft_stream_writev(e->s, v, 2);
        CHECK(is_expected(put) || (put > 0 && (size_t)put <= n));
        e->written += put > 0 ? (size_t)put : 0;
        if (dice(e, 4) == 0) {
            int err = weft_stream_drain(e->s);
            CHECK(err == 0 || is_expected(err));
        }
    }
    if (dice(e, 6) == 0) {
        (void)weft_sleep(dice(e, 10) * WEFT_US);
    }
    (void)weft_uncancel();
}

static void *write_all(void *arg)
{
    struct side *e = arg;
    while (e->written < TOTAL) {
        write_step(e);
    }
    while (weft_stream_shutdown_write(e->s) != 0) {
        (void)weft_uncancel();
    }
    e->is_over = true;
    return NULL;
}

/* One reading call, of a kind. Returns what it returned; the bytes are checked. */
static ssize_t read_call(struct side *e)
{
    char buf[300];
    struct weft_view view = {NULL, 0};
    ssize_t n;
    char separator = (char)dice(e, 256);
    switch (dice(e, 5)) {
    case 0:
        n = weft_stream_read(e->s, buf, 1 + (size_t)dice(e, sizeof buf));
        check_pattern(e, buf, n > 0 ? (size_t)n : 0);
        return n;
    case 1:
        n = weft_stream_read_exactly(e->s, buf, 1 + (size_t)dice(e, sizeof buf));
        check_pattern(e, buf, n > 0 ? (size_t)n : 0);
        return n;
    case 2:
        n = weft_stream_read_until(e->s, &separator, 1, &view);
        check_pattern(e, view.data, n > 0 ? view.bytes : 0);
        return n;
    case 3:
        n = weft_stream_peek(e->s, (size_t)dice(e, 100), &view);
        for (size_t i = 0; i < view.bytes; i++) {
            CHECK_EQUAL(view.data[i], pattern(e->read + i));
        }
        return view.bytes > 0 ? 1 : n;
    default:
        n = weft_stream_read(e->s, buf, 1);
        check_pattern(e, buf, n > 0 ? (size_t)n : 0);
        return n;
    }
}

static void *read_all(void *arg)
{
    struct side *e = arg;
    while (!weft_stream_at_eof(e->s)) {
        WEFT_TIMEOUT(limit(e)) {
            ssize_t n = read_call(e);
            CHECK(n >= 0 || n == -ENODATA || is_expected(n));
        }
        (void)weft_uncancel();
    }
    return NULL;
}

static void *exchange(void *arg)
{
    struct weft_stream_options options = {.limit = 100, .high_water = 256, .low_water = 50};
    weft_stream *ends[2];
    struct side sides[2] = {{.random = *(uint64_t *)arg}, {.random = *(uint64_t *)arg + 77}};
    CHECK_EQUAL(weft_stream_pair(&options, ends), 0);
    for (int i = 0; i < 2; i++) {
        sides[i].s = ends[i];
        sides[i].reader = weft_spawn(read_all, &sides[i]);
        sides[i].writer = weft_spawn(write_all, &sides[i]);
    }
    for (int i = dice(&sides[0], 40); i > 0; i--) { /* somebody's wait is cut short */
        struct side *e = &sides[dice(&sides[0], 2)];
        (void)weft_cancel(dice(e, 2) == 0 ? e->reader : e->writer);
        (void)weft_sleep(dice(e, 10) * WEFT_US);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(weft_join(sides[i].writer, NULL), 0);
        CHECK_EQUAL(weft_join(sides[i].reader, NULL), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(sides[i].is_over);
        CHECK_EQUAL(sides[i].read, sides[1 - i].written);
        CHECK_EQUAL(weft_stream_pending(ends[i]), 0);
        CHECK_EQUAL(weft_stream_close(ends[i]), 0);
    }
    return NULL;
}

static void for_seeds(weft_fn fn)
{
    sim_run_seeds(test_scaled(SEEDS, SEEDS_SANITIZED), fn);
}

static void bytes_are_conserved(void **state)
{
    (void)state;
    for_seeds(exchange);
}

/* --- ends that come at any moment --- */

static void *write_until_refused(void *arg)
{
    struct side *e = arg;
    char buf[200] = {0};
    ssize_t n;
    do {
        n = weft_stream_write(e->s, buf, 1 + (size_t)dice(e, sizeof buf));
    } while (n > 0);
    CHECK(n == -EPIPE || n == -ECONNABORTED || n == -ECONNRESET || n == -ECANCELED);
    return NULL;
}

static void *read_until_end(void *arg)
{
    struct side *e = arg;
    char buf[200];
    ssize_t n;
    do {
        n = weft_stream_read(e->s, buf, 1 + (size_t)dice(e, sizeof buf));
    } while (n > 0);
    CHECK(n == 0 || n == -ECONNABORTED || n == -ECONNRESET || n == -ECANCELED);
    return NULL;
}

static void *drain_until_refused(void *arg)
{
    struct side *e = arg;
    while (weft_stream_drain(e->s) == 0) {
        (void)weft_yield();
    }
    return NULL;
}

/* Everybody is at it when one end is aborted, or closed, or its peer is. */
static void *end_early(void *arg)
{
    struct weft_stream_options options = {.high_water = 256};
    weft_stream *ends[2];
    weft_task *tasks[5];
    struct side sides[2] = {{.random = *(uint64_t *)arg}, {.random = *(uint64_t *)arg + 77}};
    CHECK_EQUAL(weft_stream_pair(&options, ends), 0);
    sides[0].s = ends[0];
    sides[1].s = ends[1];
    tasks[0] = weft_spawn(write_until_refused, &sides[0]);
    tasks[1] = weft_spawn(read_until_end, &sides[0]);
    tasks[2] = weft_spawn(drain_until_refused, &sides[0]);
    tasks[3] = weft_spawn(write_until_refused, &sides[1]);
    tasks[4] = weft_spawn(read_until_end, &sides[1]);
    for (int i = dice(&sides[0], 100); i > 0; i--) { /* time stands still beside those */
        CHECK_EQUAL(weft_yield(), 0);
    }
    int how = dice(&sides[0], 3);
    if (how == 0) {
        weft_stream_abort(ends[0]);
    } else if (how == 1) {
        weft_stream_abort(ends[1]);
    }
    if (how < 2) {
        for (int i = 0; i < 5; i++) {
            CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
        }
        CHECK(weft_stream_close(ends[1]) < 0);
        CHECK(weft_stream_close(ends[0]) < 0);
        return NULL;
    }
    for (int i = 3; i < 5; i++) { /* so that nobody begins a call on the one that is closed */
        CHECK(weft_cancel(tasks[i]));
    }
    (void)weft_join(tasks[3], NULL);
    (void)weft_join(tasks[4], NULL);
    (void)weft_stream_close(ends[1]);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(tasks[i], NULL), 0);
    }
    CHECK(weft_stream_close(ends[0]) < 0);
    return NULL;
}

static void an_end_wakes_everybody(void **state)
{
    (void)state;
    for_seeds(end_early);
}

/* A close with the other end's reader slow: everything that was written arrives. */
static void *read_slowly(void *arg)
{
    struct side *e = arg;
    char buf[64];
    ssize_t n;
    while ((n = weft_stream_read(e->s, buf, 1 + (size_t)dice(e, sizeof buf))) > 0) {
        check_pattern(e, buf, (size_t)n);
        (void)weft_sleep(dice(e, 3) * WEFT_SECOND);
    }
    CHECK_EQUAL(n, 0);
    return NULL;
}

static void *close_after_writes(void *arg)
{
    weft_stream *ends[2];
    struct side sides[2] = {{.random = *(uint64_t *)arg}, {.random = *(uint64_t *)arg + 77}};
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    sides[0].s = ends[0];
    sides[1].s = ends[1];
    weft_task *reader = weft_spawn(read_slowly, &sides[1]);
    while (sides[0].written < 500) {
        write_step(&sides[0]);
    }
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(weft_join(reader, NULL), 0);
    CHECK_EQUAL(sides[1].read, sides[0].written);
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    return NULL;
}

static void a_close_loses_nothing(void **state)
{
    (void)state;
    for_seeds(close_after_writes);
}

static void *drain_in_time(void *arg)
{
    int err = 0;
    WEFT_TIMEOUT(WEFT_MINUTE) {
        err = weft_stream_drain(arg);
    }
    return (void *)(intptr_t)err;
}

/* The peer reads a little and stalls: enough for those who drain, not for what is sent. */
static void *stall_below_the_mark(void *arg)
{
    struct weft_stream_options options = {.high_water = 4096, .low_water = 1024};
    weft_stream *ends[2];
    weft_task *drains[3];
    static char block[65536 + 4096];
    void *err = NULL;
    (void)arg;
    CHECK_EQUAL(weft_stream_pair(&options, ends), 0);
    CHECK_EQUAL(weft_stream_write(ends[0], block, sizeof block), sizeof block);
    CHECK_EQUAL(weft_stream_pending(ends[0]), 4096); /* the rest is in the pipe */
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    for (int i = 0; i < 3; i++) {
        drains[i] = weft_spawn(drain_in_time, ends[0]);
    }
    CHECK_EQUAL(weft_sleep(WEFT_SECOND), 0);
    CHECK(!weft_done(drains[0]));
    char *buf = malloc(3100);
    CHECK_EQUAL(weft_stream_read(ends[1], buf, 3100), 3100);
    free(buf);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(weft_join(drains[i], &err), 0);
        CHECK_EQUAL((intptr_t)err, 0);
    }
    CHECK_EQUAL(weft_stream_pending(ends[0]), 4096 - 3100);
    weft_stream_abort(ends[1]);
    CHECK(weft_stream_close(ends[0]) < 0);
    CHECK(weft_stream_close(ends[1]) < 0);
    return NULL;
}

static void item_228_drains_are_released_at_the_low_water_mark(void **state)
{
    (void)state;
    for_seeds(stall_below_the_mark);
}

/* --- a listener --- */

static void *accept_all(void *arg)
{
    weft_memory_listener *l = arg;
    weft_stream *s = NULL;
    intptr_t count = 0;
    while (weft_memory_accept(l, NULL, &s) == 0) {
        struct weft_view line;
        CHECK_EQUAL(weft_stream_read_line(s, &line), 3);
        CHECK_EQUAL(weft_stream_write(s, line.data, line.bytes), 3);
        CHECK_EQUAL(weft_stream_close(s), 0);
        count++;
    }
    return (void *)count;
}

static void *connect_once(void *arg)
{
    weft_stream *s = NULL;
    struct weft_view line;
    int err = weft_memory_connect(arg, NULL, &s);
    if (err < 0) {
        return (void *)(intptr_t)err;
    }
    CHECK_EQUAL(weft_stream_write(s, "hi\n", 3), 3);
    ssize_t n = weft_stream_read_line(s, &line);
    CHECK(n == 3 || n == -ECONNRESET);
    (void)weft_stream_close(s);
    return (void *)(intptr_t)(n == 3);
}

static void *use_listener(void *arg)
{
    weft_memory_listener *l = NULL;
    weft_task *clients[6];
    uint64_t random = *(uint64_t *)arg;
    void *value = NULL;
    intptr_t served = 0;
    CHECK_EQUAL(weft_memory_listener_create(&l, 2), 0);
    weft_task *server = weft_spawn(accept_all, l);
    for (int i = 0; i < 6; i++) {
        clients[i] = weft_spawn(connect_once, l);
    }
    (void)weft_sleep((int64_t)(test_random(&random) % 20) * WEFT_US);
    weft_memory_listener_close(l);
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(weft_join(clients[i], &value), 0);
        CHECK((intptr_t)value >= 0 || (intptr_t)value == -ECONNREFUSED);
        served += (intptr_t)value > 0;
    }
    CHECK_EQUAL(weft_join(server, &value), 0);
    CHECK_EQUAL((intptr_t)value, served);
    weft_memory_listener_destroy(l);
    return NULL;
}

static void a_listener_hands_out_each_connection_once(void **state)
{
    (void)state;
    for_seeds(use_listener);
}

int main(int argc, char **argv)
{
    (void)argc;
    sim_begin(argv[0]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_conserved),
        cmocka_unit_test(an_end_wakes_everybody),
        cmocka_unit_test(a_close_loses_nothing),
        cmocka_unit_test(item_228_drains_are_released_at_the_low_water_mark),
        cmocka_unit_test(a_listener_hands_out_each_connection_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

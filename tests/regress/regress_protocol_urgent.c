/* SPDX-License-Identifier: MIT */
/*
 * Urgent data of TCP: a read stops before it, with less than there is. A protocol took that for the
 * last, as a short read of a TCP socket is, and what came behind it lay there until more came.
 */
#include "../io/stream_help.h"

#include <weft/protocol.h>

struct listener {
    shared_int bytes;
    struct weft_event lost;
};

static int count_bytes(weft_transport *t, const void *data, size_t n, void *arg)
{
    struct listener *l = arg;
    (void)t;
    (void)data;
    atomic_add_seq_cst(&l->bytes, (int)n);
    return 0;
}

static void note_loss(weft_transport *t, int error, void *arg)
{
    struct listener *l = arg;
    (void)t;
    CHECK_EQUAL(error, 0);
    weft_event_set(&l->lost);
}

static void *send_urgent(void *arg)
{
    static const struct weft_protocol protocol = {
        .data_received = count_bytes, .connection_lost = note_loss};
    static struct listener l;
    weft_transport *t;
    int fds[2];
    l = (struct listener){.bytes = 0};
    make_connection(fds);
    CHECK_EQUAL(weft_transport_open(fds[0], &protocol, &l, &t), 0);
    CHECK_EQUAL(send(fds[1], "before", 6, 0), 6);
    yield_until(&l.bytes, 6); /* its poll is armed */
    weft_transport_pause_reading(t);
    CHECK_EQUAL(send(fds[1], "first", 5, 0), 5);
    CHECK_EQUAL(send(fds[1], "!", 1, MSG_OOB), 1);
    CHECK_EQUAL(send(fds[1], "second", 6, 0), 6);
    CHECK_EQUAL(weft_sleep(20 * WEFT_MS), 0); /* all of it is told of, and lies there */
    CHECK_EQUAL(atomic_load_seq_cst(&l.bytes), 6);
    weft_transport_resume_reading(t);
    yield_until(&l.bytes, 17);
    weft_transport_close(t);
    CHECK_EQUAL(weft_event_wait(&l.lost), 0);
    CHECK_EQUAL(atomic_load_seq_cst(&l.bytes), 17);
    weft_transport_put(t);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return arg;
}

static void what_is_behind_urgent_data_is_received(void **state)
{
    (void)state;
    run_io(send_urgent, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_behind_urgent_data_is_received),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Cancels that the kernel did not carry out. A connect that waits for room in a listener's queue is
 * tried again and again by the kernel before a thread of the kernel takes it to wait; a cancel that
 * came meanwhile did not find it (-ENOENT), and nobody asked again. And such a thread looks busy
 * with a request for a moment after that has completed: the cancel of the next one, on the same
 * stack and so of the same name, was taken for one of the former (-EALREADY). The task then waited
 * for ever.
 */
#include "../io/io_help.h"

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void *connect_to_it(void *arg)
{
    return BOXED(weft_connect(UNBOXED(arg), any_address(&address), sizeof address));
}

/* Some pass as quickly as they can, some after the kernel's thread has begun to wait. */
static void *cancel_connects(void *arg)
{
    (void)arg;
    snprintf(address.sun_path + 1, 40, "weft-test-lost-cancel-%d", (int)getpid());
    int listener = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    int first = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQUAL(weft_bind(listener, any_address(&address), sizeof address), 0);
    CHECK_EQUAL(weft_listen(listener, 0), 0);
    CHECK_EQUAL(weft_connect(first, any_address(&address), sizeof address), 0);
    for (int i = 0; i < 60; i++) {
        int fd = weft_socket(AF_UNIX, SOCK_STREAM, 0);
        weft_task *t = spawn(connect_to_it, BOXED(fd));
        for (int k = 0; k < i % 5; k++) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        if (i % 3 == 0) {
            settle();
        }
        CHECK(weft_cancel(t));
        CHECK_EQUAL(joined(t), -ECANCELED);
        CHECK_EQUAL(weft_close(fd), 0);
    }
    CHECK_EQUAL(weft_close(first), 0);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void a_connect_can_be_cancelled_at_any_time(void **state)
{
    (void)state;
    run_io(cancel_connects, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_can_be_cancelled_at_any_time),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

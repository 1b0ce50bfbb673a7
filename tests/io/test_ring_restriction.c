/* SPDX-License-Identifier: MIT */
/*
 * Goal: a ring takes what the library uses, and nothing else.
 *
 * Method: on each rung, an opcode, a flag and a call that are not listed are refused, and the ring
 * goes on. That all in use are listed, the other tests of this folder show: a runtime's rings are
 * restricted.
 */
#include "probe.h"

#include <errno.h>
#include <unistd.h>

#include "ring_help.h"

static void publish(struct ring *r, unsigned opcode, unsigned flags, uint64_t user_data)
{
    struct io_uring_sqe *sqe = ring_sqe(r);
    assert_non_null(sqe);
    sqe->opcode = (uint8_t)opcode;
    sqe->flags = (uint8_t)flags;
    sqe->fd = -1;
    sqe->user_data = user_data;
    ring_publish(r);
}

static void test_what_is_not_listed_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < RUNG_COUNT; i++) {
        struct ring r;
        make(&r, 8, rungs[i].disable);
        if (!r.features.restricted) {
            print_message("%s: the kernel does not restrict rings\n", rungs[i].name);
            weft__ring_fini(&r);
            continue;
        }
        static const uint8_t refused[] = {IORING_OP_CLOSE, IORING_OP_TIMEOUT, IORING_OP_MSG_RING,
                                          IORING_OP_EPOLL_CTL, IORING_OP_FILES_UPDATE};
        for (size_t n = 0; n < sizeof refused; n++) {
            publish(&r, refused[n], 0, n);
            reap(&r, n, -EACCES);
        }
        publish(&r, IORING_OP_NOP, IOSQE_FIXED_FILE, 50);
        reap(&r, 50, -EACCES);
        publish(&r, IORING_OP_NOP, IOSQE_ASYNC, 51);
        reap(&r, 51, 0);

        int fd = -1;
        assert_int_equal(io_uring_register_files(&r.uring, &fd, 1), -EACCES);
        assert_int_equal(io_uring_register_eventfd(&r.uring, 0), -EACCES);
        publish_nop(&r, 52);
        reap(&r, 52, 0);
        weft__ring_fini(&r);
    }
}

/* Once it is enabled, nobody gets more of it. */
static void test_no_restriction_is_taken_back(void **state)
{
    (void)state;
    struct ring r;
    make(&r, 8, 0);
    struct io_uring_restriction more = {
        .opcode = IORING_RESTRICTION_SQE_OP,
        .sqe_op = IORING_OP_CLOSE,
    };
    unsigned fd = (unsigned)r.uring.ring_fd;
    assert_true(io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, &more, 1) < 0);
    assert_true(io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0);
    publish_nop(&r, 1);
    reap(&r, 1, 0);
    weft__ring_fini(&r);
}

/* The probe finds the same in a restricted ring. */
static void test_restrictions_hide_no_feature(void **state)
{
    (void)state;
    struct ring_features found[2];
    for (unsigned i = 0; i < 2; i++) {
        struct ring r;
        char why[256];
        make(&r, 0, i == 0 ? 0 : WEFT_RING_WITHOUT_RESTRICTIONS);
        assert_int_equal(weft__probe(&r, why, sizeof why), 0);
        found[i] = r.features;
        weft__ring_fini(&r);
    }
    assert_false(found[1].restricted);
    found[0].restricted = false;
    assert_memory_equal(&found[0], &found[1], sizeof found[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_listed_is_refused),
        cmocka_unit_test(test_no_restriction_is_taken_back),
        cmocka_unit_test(test_restrictions_hide_no_feature),
    };

    int skip = ring_skip_status();
    return skip != 0 ? skip : cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * A child of a process whose first three descriptors are closed, as a daemon's may be. The numbers
 * are given out again, to the first that opens something: a ring of the runtime, a pipe of the very
 * child. The child got it, as what it was to inherit: it held the write end of its own input, whose
 * end it then never met, and could close or use the ring.
 */
#include "../io/process_help.h"

static const char only_the_first[] = "cat >/dev/null || exit 1; cd /proc/$$/fd;"
                                     " for i in 1 2; do if test -e $i; then exit 2; fi; done;"
                                     " exit 3";

static void *start_children(void *arg)
{
    (void)arg;
    struct weft_process_output got;
    struct weft_process_options o = {.in = WEFT_PROCESS_PIPE};
    for (int i = 0; i < 3; i++) {
        o.err = i == 0 ? WEFT_PROCESS_INHERIT : WEFT_PROCESS_STDOUT;
        o.keep_fds = i == 2;
        weft_process *p = shell(only_the_first, &o);
        CHECK_EQUAL(weft_process_communicate(p, "x", 1, &got), 0);
        CHECK_EQUAL(got.status, 3);
        weft_process_put(p);
    }
    return NULL;
}

static void a_child_inherits_no_number_that_is_another_files_by_now(void **state)
{
    (void)state;
    for (int is_taken = 0; is_taken < 2; is_taken++) {
        pid_t pid = fork();
        if (pid == 0) {
            for (int fd = 0; fd < 3; fd++) {
                close(fd);
            }
            for (int fd = 0; fd < 3 && is_taken != 0; fd++) {
                CHECK_EQUAL(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
            }
            _exit(weft_run(start_children, NULL, NULL) == 0 ? 0 : 1);
        }
        int status = 0;
        CHECK_EQUAL(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_inherits_no_number_that_is_another_files_by_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

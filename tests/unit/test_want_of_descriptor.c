/* SPDX-License-Identifier: MIT */
/* What is said when a descriptor could not be had: the limit that has to be raised, or none. */
#include "test.h"

#include "want_of_descriptor.h"

static const char *said(int err)
{
    static char why[200];
    explain_want_of_descriptor("epoll instance", err, why, sizeof why);
    return why;
}

static void only_the_limit_that_was_met_is_named(void **state)
{
    (void)state;
    assert_string_equal(said(-EMFILE), "no epoll instance (Too many open files); "
                                       "raise the limit with 'ulimit -n'");
    assert_non_null(strstr(said(-ENFILE), "'sysctl fs.file-max'"));
    assert_non_null(strstr(said(-ENOSPC), "'sysctl fs.epoll.max_user_watches'"));
    assert_string_equal(said(-ENOMEM), "no epoll instance (Cannot allocate memory)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_limit_that_was_met_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Goal: the version is said the same way everywhere, and which library serves which headers. */
#include "test.h"

#include <errno.h>

#include <weft/weft.h>

static void number_and_text_agree(void **state)
{
    (void)state;
    char text[32];
    int n = weft_version_number();
    snprintf(text, sizeof text, "%d.%d.%d", n / 1000000, n / 1000 % 1000, n % 1000);
    assert_string_equal(weft_version_string(), text);
    assert_string_equal(weft_version_string(), WEFT_VERSION_STRING);
    assert_int_equal(n, WEFT_VERSION_NUMBER);
}

static void the_headers_fit_their_own_library(void **state)
{
    (void)state;
    assert_int_equal(weft_version_check(), 0);
}

static int fit(int headers_major, int headers_minor, int headers_patch, int library_major,
               int library_minor, int library_patch)
{
    return weft_version_compatible(headers_major * 1000000 + headers_minor * 1000 + headers_patch,
                                   library_major * 1000000 + library_minor * 1000 + library_patch);
}

static void a_newer_library_serves_older_headers(void **state)
{
    (void)state;
    assert_int_equal(fit(1, 2, 3, 1, 2, 3), 0);
    assert_int_equal(fit(1, 2, 3, 1, 2, 4), 0);
    assert_int_equal(fit(1, 2, 3, 1, 3, 0), 0);
    assert_int_equal(fit(1, 0, 0, 1, 999, 999), 0);
    assert_int_equal(fit(1, 2, 3, 1, 2, 2), -EPROTO);
    assert_int_equal(fit(1, 2, 3, 1, 1, 9), -EPROTO);
}

static void another_major_number_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(fit(1, 2, 3, 2, 2, 3), -EPROTO);
    assert_int_equal(fit(2, 0, 0, 1, 999, 999), -EPROTO);
    assert_int_equal(fit(0, 9, 0, 1, 0, 0), -EPROTO);
    assert_int_equal(fit(1, 0, 0, 0, 999, 999), -EPROTO);
}

static void before_1_0_another_minor_number_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(fit(0, 1, 0, 0, 1, 0), 0);
    assert_int_equal(fit(0, 1, 0, 0, 1, 5), 0);
    assert_int_equal(fit(0, 1, 5, 0, 1, 4), -EPROTO);
    assert_int_equal(fit(0, 1, 0, 0, 2, 0), -EPROTO);
    assert_int_equal(fit(0, 2, 0, 0, 1, 9), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_and_text_agree),
        cmocka_unit_test(the_headers_fit_their_own_library),
        cmocka_unit_test(a_newer_library_serves_older_headers),
        cmocka_unit_test(another_major_number_does_not_fit),
        cmocka_unit_test(before_1_0_another_minor_number_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

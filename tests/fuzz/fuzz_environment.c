/* SPDX-License-Identifier: MIT */
/*
 * Options from the environment: what is taken for a number is one, and in its range; everything
 * else is refused. The first byte says which variable, the rest is its value.
 */
#include "fuzz_help.h"

#include "runtime_object.h"

/* Digits alone, and no more than a uint64_t holds. */
static bool is_number(const char *text, uint64_t *n)
{
    *n = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(*n, 10, n) ||
            __builtin_add_overflow(*n, (uint64_t)(*at - '0'), n)) {
            return false;
        }
    }
    return *text != '\0';
}

static void check(uint32_t which, const char *value)
{
    struct weft_options given = {.workers = which == 0 ? 0 : 1, .seed = which == 1 ? 0 : 1};
    struct weft_options o;
    uint64_t n;
    bool is = is_number(value, &n);
    int err = weft__options_complete(&o, &given);
    CHECK(err == 0 || err == -EINVAL || (err == -ENOSYS && which == 2));
    if (*value == '\0') {
        CHECK_EQUAL(err, 0);
    } else if (which == 0) {
        CHECK_EQUAL(err == 0, is && n >= 1 && n <= WEFT_WORKERS_MAX);
        CHECK(err < 0 || o.workers == n);
    } else if (which == 1) {
        CHECK_EQUAL(err == 0, is && n >= 1);
        CHECK(err < 0 || o.seed == n);
    } else if (which == 2) {
        CHECK_EQUAL(err != -EINVAL, strcmp(value, "auto") == 0 || strcmp(value, "uring") == 0 ||
                                        strcmp(value, "epoll") == 0);
    } else {
        CHECK_EQUAL(err == 0, strcmp(value, "0") == 0 || strcmp(value, "1") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const names[] = {"WEFT_WORKERS", "WEFT_SEED", "WEFT_BACKEND", "WEFT_DEBUG"};
    struct fuzz_input in = {data, bytes};
    uint32_t which = fuzz_number(&in, 3);
    char value[64];
    size_t n = in.bytes < sizeof value - 1 ? in.bytes : sizeof value - 1;
    memcpy(value, in.data, n);
    value[n] = '\0';
    CHECK_EQUAL(setenv(names[which], value, 1), 0);
    check(which, value);
    CHECK_EQUAL(unsetenv(names[which]), 0);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Two functions that share a runtime, each of which closes it: the second is told so. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *get_hihi(void *arg)
{
    (void)arg;
    return "{\"message\":\"hihi\"}";
}

/* Use the runtime once, and close it. */
static int use_and_close(weft_runtime *rt)
{
    void *value;
    int err = weft_runtime_run(rt, get_hihi, NULL, &value);
    if (err < 0) {
        return err;
    }
    puts(value);
    return weft_runtime_close(rt);
}

int main(void)
{
    weft_runtime *rt;
    if (weft_runtime_create(&rt, NULL) < 0) {
        return 1;
    }
    int first = use_and_close(rt);
    int second = use_and_close(rt);
    puts(second == -ESHUTDOWN ? "the runtime is closed" : "unexpected");
    return first < 0 || weft_runtime_destroy(rt) < 0;
}

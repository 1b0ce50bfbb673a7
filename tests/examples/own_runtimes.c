/* SPDX-License-Identifier: MIT */
/* Two functions with a runtime each: neither disturbs the other. */
#include <stdio.h>

#include <weft/weft.h>

static void *get_hihi(void *arg)
{
    (void)arg;
    return "{\"message\":\"hihi\"}";
}

/* Make a runtime, run get_hihi on it, close it. */
static int inner(void **value)
{
    weft_runtime *rt;
    int err = weft_runtime_create(&rt, NULL);
    if (err < 0) {
        return err;
    }
    err = weft_runtime_run(rt, get_hihi, NULL, value);
    int closed = weft_runtime_close(rt);
    int freed = weft_runtime_destroy(rt);
    return err < 0 ? err : closed < 0 ? closed : freed;
}

static void *finish(void *arg)
{
    (void)arg;
    return "finish";
}

int main(void)
{
    weft_runtime *rt;
    void *value = NULL;
    if (weft_runtime_create(&rt, NULL) < 0 || inner(&value) < 0) {
        return 1;
    }
    puts(value);
    if (weft_runtime_run(rt, finish, NULL, &value) < 0) {
        return 1;
    }
    puts(value);
    return weft_runtime_close(rt) < 0 || weft_runtime_destroy(rt) < 0;
}

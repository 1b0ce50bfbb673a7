/* SPDX-License-Identifier: MIT */
/* A runtime made by hand: created, used, closed, freed. */
#include <stdio.h>

#include <weft/weft.h>

static void *get_hihi(void *arg)
{
    (void)arg;
    return "{\"message\":\"hihi\"}";
}

int main(void)
{
    weft_runtime *rt;
    if (weft_runtime_create(&rt, NULL) < 0) {
        return 1;
    }
    void *value;
    int err = weft_runtime_run(rt, get_hihi, NULL, &value);
    if (err == 0) {
        puts(value);
    }
    if (weft_runtime_close(rt) < 0 || weft_runtime_destroy(rt) < 0) {
        return 1;
    }
    return err < 0;
}

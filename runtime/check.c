/* SPDX-License-Identifier: MIT */
/* A broken check ends the process, with what can be said about it. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>


void weft__check_failed(const char *rule, const char *advice, const char *file, int line)
{
    char name[64];
    weft__check_describe_task(name, sizeof name);
    fprintf(stderr, "weft: broken rule: %s\nweft:   at %s:%d, task %s\n", rule, file, line, name);
    if (advice != NULL) {
        fprintf(stderr, "weft:   %s\n", advice);
    }
    abort();
}

/* SPDX-License-Identifier: MIT */
/* The smallest program: a runtime, one task, its end. */
#include <stdio.h>

#include <weft/weft.h>

static void *hello(void *arg)
{
    (void)arg;
    puts("Hello, world!");
    return NULL;
}

int main(void)
{
    return weft_run(hello, NULL, NULL) < 0;
}

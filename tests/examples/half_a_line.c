/* SPDX-License-Identifier: MIT */
/* A plain function: who calls it stands still until it returns, here for a second. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <weft/weft.h>

static void foo(void)
{
    printf("hello ");
    (void)fflush(stdout);
    (void)sleep(1);
    printf("world\n");
}

int main(void)
{
    int64_t started = weft_now();
    printf("stated at 0\n");
    foo();
    printf("finish at %lld\n", (long long)((weft_now() - started) / WEFT_SECOND));
    return 0;
}

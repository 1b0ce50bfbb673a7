/* SPDX-License-Identifier: MIT */
/* Five page loads of a second each by a function that blocks: five seconds. */
#include <stdio.h>
#include <unistd.h>

#include <weft/weft.h>

static void download_page(const char *url)
{
    (void)sleep(1); /* the page comes */
    printf("complete download: %s\n", url);
}

int main(void)
{
    int64_t started = weft_now();
    for (int i = 1; i <= 5; i++) {
        char url[16];
        (void)snprintf(url, sizeof url, "url_%d", i);
        download_page(url);
    }
    printf("%lld s\n", (long long)((weft_now() - started) / WEFT_SECOND));
    return 0;
}

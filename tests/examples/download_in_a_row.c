/* SPDX-License-Identifier: MIT */
/* Five page loads of a second each, one awaited after the other: five seconds. */
#include <stdio.h>

#include <weft/weft.h>

static void *download_page(void *url)
{
    int err = weft_sleep(1 * WEFT_SECOND);
    if (err < 0) {
        return weft_fail(err);
    }
    printf("complete download: %s\n", (char *)url);
    return NULL;
}

static void *start(void *arg)
{
    static char urls[5][8] = {"url_1", "url_2", "url_3", "url_4", "url_5"};
    for (int i = 0; i < 5; i++) {
        int err = weft_join(weft_spawn(download_page, urls[i]), NULL);
        if (err < 0) {
            return weft_fail(err);
        }
    }
    return arg;
}

int main(void)
{
    int64_t started = weft_now();
    int err = weft_run(start, NULL, NULL);
    printf("%lld s\n", (long long)((weft_now() - started) / WEFT_SECOND));
    return err < 0;
}

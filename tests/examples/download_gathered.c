/* SPDX-License-Identifier: MIT */
/*
 * Five page loads of a second each, gathered: a second in all.
 *
 * On one worker they end in the order in which they began to wait; on several in any order.
 */
#include <stdio.h>

#include <weft/weft.h>

enum { PAGES = 5 };

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
    static char urls[PAGES][8] = {"url_1", "url_2", "url_3", "url_4", "url_5"};
    weft_task *pages[PAGES];
    for (int i = 0; i < PAGES; i++) {
        pages[i] = weft_spawn(download_page, urls[i]);
    }
    int err = weft_gather(PAGES, pages, NULL, NULL);
    for (int i = 0; i < PAGES; i++) {
        weft_put(pages[i]);
    }
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    struct weft_options one = {.workers = 1};
    int64_t started = weft_now();
    int err = weft_run_with(&one, start, NULL, NULL);
    printf("%lld s\n", (long long)((weft_now() - started) / WEFT_SECOND));
    return err < 0;
}

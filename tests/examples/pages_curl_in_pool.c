/* SPDX-License-Identifier: MIT */
/*
 * Five pages by libcurl, which blocks: on threads of the blocking pool, side by side, while the
 * workers are free. The pages come from a server that the program starts itself.
 */
#include <stdio.h>

#include <weft/weft.h>

#include "curl_pages.h"

static void *download_page(void *arg)
{
    size_t bytes = 0;
    int err = weft_run_blocking(get_page, &bytes, NULL);
    if (err < 0) {
        return weft_fail(err);
    }
    printf("complete download: http://127.0.0.1/ , size of page( %zu )\n", bytes);
    return arg;
}

static void *start(void *arg)
{
    weft_task *pages[PAGES];
    for (int i = 0; i < PAGES; i++) {
        pages[i] = weft_spawn(download_page, NULL);
    }
    int err = weft_gather(PAGES, pages, NULL, NULL);
    for (int i = 0; i < PAGES; i++) {
        weft_put(pages[i]);
    }
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    start_server();
    int64_t started = weft_now();
    int err = weft_run(start, NULL, NULL);
    bool is_in_a_row = weft_now() - started >= PAGES * PAUSE_MS * WEFT_MS;
    printf("%s\n", is_in_a_row ? "one after the other" : "side by side");
    return err < 0;
}

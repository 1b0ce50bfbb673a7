/* SPDX-License-Identifier: MIT */
/*
 * Five pages by libcurl, which blocks: each waits for the one before. The pages come from a server
 * that the program starts itself.
 */
#include <stdio.h>

#include <weft/weft.h>

#include "curl_pages.h"

static void download_page(void)
{
    size_t bytes = 0;
    (void)get_page(&bytes);
    printf("complete download: http://127.0.0.1/ , size of page( %zu )\n", bytes);
}

int main(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    start_server();
    int64_t started = weft_now();
    for (int i = 0; i < PAGES; i++) {
        download_page();
    }
    bool is_in_a_row = weft_now() - started >= PAGES * PAUSE_MS * WEFT_MS;
    printf("%s\n", is_in_a_row ? "one after the other" : "side by side");
    return 0;
}

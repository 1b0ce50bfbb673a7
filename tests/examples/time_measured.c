/* SPDX-License-Identifier: MIT */
/*
 * A wrapper that tells when a task begins and ends and how long it took, around the loads and
 * around what gathers them: all begin before the first ends, and it all takes as long as one.
 */
#include <stdio.h>

#include <weft/weft.h>

enum { PAGES = 5 };

struct measured {
    weft_fn fn;
    const char *name;
    void *arg;
};

static void *time_measure(void *arg)
{
    struct measured *m = arg;
    int64_t started = weft_now();
    printf("%s stated\n", m->name);
    void *result = m->fn(m->arg);
    double took = (double)(weft_now() - started) / (double)WEFT_SECOND;
    printf("%s finish, total: %.0f s\n", m->name, took);
    return result;
}

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
    struct measured loads[PAGES];
    char names[PAGES][40];
    weft_task *pages[PAGES];
    for (int i = 0; i < PAGES; i++) {
        snprintf(names[i], sizeof names[i], "download_page('url_%d')", i + 1);
        loads[i] = (struct measured){download_page, names[i], "url"};
        pages[i] = weft_spawn(time_measure, &loads[i]);
    }
    int errors[PAGES]; /* all are waited for: they use our stack */
    int err = weft_gather(PAGES, pages, NULL, errors);
    for (int i = 0; i < PAGES; i++) {
        err = err == 0 ? errors[i] : err;
        weft_put(pages[i]);
    }
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    struct weft_options one = {.workers = 1};
    struct measured all = {start, "main()", NULL};
    return weft_run_with(&one, time_measure, &all, NULL) < 0;
}

/* SPDX-License-Identifier: MIT */
/* For tests of what is shown of tasks: to describe them, to wait until they do something. */
#ifndef WEFT_VIEW_HELP_H
#define WEFT_VIEW_HELP_H

#include "task_help.h"

#define LINE 512

static inline void describe(weft_future *f, char line[LINE])
{
    ssize_t n = weft_describe(f, line, LINE);
    CHECK(n > 0 && n < LINE);
}

/* In a task: let others run until t is said to do that. */
static inline void await_words(weft_future *t, const char *words)
{
    char line[LINE];
    describe(t, line);
    while (strstr(line, words) == NULL) {
        CHECK_EQUAL(weft_yield(), 0);
        describe(t, line);
    }
}

static inline void check_ends_with(weft_future *f, const char *words)
{
    char line[LINE];
    describe(f, line);
    size_t n = strlen(line);
    if (n < strlen(words) || strcmp(line + n - strlen(words), words) != 0) {
        dprintf(help_stderr(), "not at the end: %s\nof: %s\n", words, line);
        abort();
    }
}

static inline weft_task *spawn_named(const char *name, weft_fn fn, void *arg)
{
    const struct weft_spawn_options options = {.name = name};
    weft_task *t = weft_spawn_with(&options, fn, arg);
    CHECK(t != NULL);
    return t;
}

static inline void *sleep_long(void *arg)
{
    return weft_sleep(WEFT_FOREVER) < 0 && arg == NULL ? weft_fail(-ECANCELED) : arg;
}

static inline void *return_it(void *arg)
{
    return arg;
}

enum { HELP_AWAITERS = 16 };

/* All of `tasks` and nobody else. */
static inline void check_awaiters(weft_future *f, weft_task *const tasks[], size_t n)
{
    weft_task *found[HELP_AWAITERS + 1];
    size_t count = weft_awaiters(f, found, HELP_AWAITERS + 1);
    CHECK_EQUAL(count, n);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < n && tasks[k] != found[i]) {
            k++;
        }
        CHECK(k < n);
        weft_put(found[i]);
    }
    CHECK_EQUAL(weft_awaiters(f, NULL, 0), n);
}

static inline void await_count(weft_future *f, size_t n)
{
    while (weft_awaiters(f, NULL, 0) != n) {
        CHECK_EQUAL(weft_yield(), 0);
    }
}

/* Text that a dump has written; to be freed. */
__attribute__((noinline, unused)) static char *dump_text(weft_runtime *rt, ssize_t *count)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    *count = weft_dump_tasks(rt, out);
    fclose(out);
    return text;
}

#endif

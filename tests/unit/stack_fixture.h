/* SPDX-License-Identifier: MIT */
/* What the tests of stacks share: a pool with two caches, marks in headers, numbers from /proc. */
#ifndef WEFT_STACK_FIXTURE_H
#define WEFT_STACK_FIXTURE_H

#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sanitize.h"
#include "stack.h"

#define DEFAULT_CLASS 2u             /* 64 KiB */
#define PERIOD ((int64_t)10000000000) /* what decay_ns is by default */
#define START ((int64_t)5000000000)

struct stack_fixture {
    struct stack_pool pool;
    struct stack_cache cache[2];
};

/* An owner's object: the field is what the last owner wrote, or zero. */
struct owner {
    struct stack stack;
    uint64_t mark;
};

WEFT_STACK_EMBEDS(struct owner, stack);

static inline void fixture_init(struct stack_fixture *f, const struct stack_options *options)
{
    assert_int_equal(weft__stack_pool_init(&f->pool, options), 0);
    weft__stack_cache_init(&f->cache[0], &f->pool);
    weft__stack_cache_init(&f->cache[1], &f->pool);
}

static inline void fixture_fini(struct stack_fixture *f)
{
    weft__stack_cache_fini(&f->cache[0]);
    weft__stack_cache_fini(&f->cache[1]);
    weft__stack_pool_fini(&f->pool);
}

static inline struct stack *get(struct stack_cache *cache, unsigned stack_class)
{
    struct stack *s = stack_cache_get(cache, stack_class);
    assert_non_null(s);
    return s;
}

static inline uint64_t *mark_of(struct stack *s)
{
    return &WEFT_CONTAINER(s, struct owner, stack)->mark;
}

static inline size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static inline size_t counted(const struct stack_fixture *f)
{
    return atomic_load_relaxed(&f->pool.stacks); /* ORD none: one thread */
}

/* A field of a file of /proc in its own unit; or how many lines it has. */
static inline size_t proc_number(const char *file, const char *field)
{
    char line[512];
    size_t found = 0;
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL) {
        if (field == NULL) {
            found++;
        } else if (strncmp(line, field, strlen(field)) == 0) {
            found = strtoull(line + strlen(field), NULL, 10);
        }
    }
    fclose(in);
    return found;
}

static inline size_t rss_kib(void)
{
    return proc_number("/proc/self/status", "VmRSS:");
}

/* Whether a write to an address ends a child process. */
static inline bool write_is_fatal(char *address)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        *(volatile char *)address = 1;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFSIGNALED(status) && WTERMSIG(status) != SIGSEGV);
    return status != 0;
}

#endif

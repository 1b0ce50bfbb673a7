/* SPDX-License-Identifier: MIT */
/* Announced plain data, checked by vector clocks, and memory that goes away. */
#ifndef WEFT_MODEL_PLAIN_H
#define WEFT_MODEL_PLAIN_H

static struct mx_plain *mx_plain_get(uintptr_t addr)
{
    size_t i = (size_t)(mx_mix(addr, 1) % MX_PLAIN_COUNT);
    for (size_t tries = 0;; i = (i + 1) % MX_PLAIN_COUNT) {
        struct mx_plain *p = &mx.plains[i];
        if (p->execution != mx.execution) {
            *p = (struct mx_plain){.addr = addr, .execution = mx.execution, .writer = -1};
        }
        if (p->addr == addr) {
            return p;
        }
        if (++tries == MX_PLAIN_COUNT) {
            model_fail("more than %d announced plain variables", MX_PLAIN_COUNT);
        }
    }
}

static void mx_plain_check_write(const struct mx_plain *p, const struct mx_thread *t,
                                 const char *what)
{
    if (p->writer >= 0 && p->written_at > t->clock.at[p->writer]) {
        model_fail("data race: %s against a write by T%d", what, p->writer);
    }
}

static void mx_plain_check_reads(const struct mx_plain *p, const struct mx_thread *t,
                                 const char *what)
{
    for (int i = 0; i < mx.thread_count; i++) {
        if (p->read_at.at[i] > t->clock.at[i]) {
            model_fail("data race: %s against a read by T%d", what, i);
        }
    }
}

void model_plain_read(const volatile void *addr)
{
    mx_retired_check((uintptr_t)addr, 1, "plain read");
    if (mx.current < 0) {
        return;
    }
    struct mx_thread *t = &mx.threads[mx.current];
    struct mx_plain *p = mx_plain_get((uintptr_t)addr);
    mx_plain_check_write(p, t, "plain read");
    p->read_at.at[mx.current] = ++t->clock.at[mx.current];
}

void model_plain_write(const volatile void *addr)
{
    mx_retired_check((uintptr_t)addr, 1, "plain write");
    if (mx.current < 0) {
        return;
    }
    struct mx_thread *t = &mx.threads[mx.current];
    struct mx_plain *p = mx_plain_get((uintptr_t)addr);
    mx_plain_check_write(p, t, "plain write");
    mx_plain_check_reads(p, t, "plain write");
    p->writer = mx.current;
    p->written_at = ++t->clock.at[mx.current];
}

/* Whether an atomic variable in the range is known to more than one thread. */
static bool mx_range_shared(uintptr_t from, size_t bytes)
{
    for (size_t i = 0; i < MX_LOC_COUNT; i++) {
        if (mx.locs[i].execution == mx.execution && mx.locs[i].addr - from < bytes &&
            mx_loc_shared(&mx.locs[i])) {
            return true;
        }
    }
    return false;
}

/* A thread is about to end this memory: that is a use, and a write to the plain data in it. */
static void mx_range_use(struct mx_thread *t, int thread, uintptr_t from, size_t bytes)
{
    for (uint32_t k = 0; k < t->count; k++) {
        t->buffer[k].is_own_garbage |= t->buffer[k].loc->addr - from < bytes;
    }
    for (size_t i = 0; i < MX_PLAIN_COUNT; i++) {
        const struct mx_plain *p = &mx.plains[i];
        if (p->execution == mx.execution && p->addr - from < bytes) {
            mx_plain_check_write(p, t, "free");
            mx_plain_check_reads(p, t, "free");
        }
    }
    for (size_t i = 0; i < MX_LOC_COUNT; i++) {
        if (mx.locs[i].execution == mx.execution && mx.locs[i].addr - from < bytes) {
            mx_loc_use(&mx.locs[i], thread);
        }
    }
}

static void mx_range_retire(uintptr_t from, size_t bytes)
{
    if (mx.retired_count == MX_RETIRED_MAX) {
        model_fail("more than %d retired ranges", MX_RETIRED_MAX);
    }
    mx.retired[mx.retired_count++] = (struct mx_range){from, from + bytes};
}

void model_revive(const volatile void *addr, size_t bytes)
{
    uintptr_t from = (uintptr_t)addr;
    for (uint32_t i = 0; i < mx.retired_count; i++) {
        if (mx.retired[i].from - from < bytes) {
            mx.retired[i--] = mx.retired[--mx.retired_count];
        }
    }
}

#endif

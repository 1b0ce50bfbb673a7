/* SPDX-License-Identifier: MIT */
/* Announced plain data, checked by vector clocks, and memory that goes away. */
#ifndef WEFT_MODEL_PLAIN_H
#define WEFT_MODEL_PLAIN_H

static struct plain *plain_get(uintptr_t addr)
{
    size_t i = (size_t)(mix(addr, 1) % PLAIN_COUNT);
    for (size_t tries = 0;; i = (i + 1) % PLAIN_COUNT) {
        struct plain *p = &m.plains[i];
        if (p->execution != m.execution) {
            *p = (struct plain){.addr = addr, .execution = m.execution, .writer = -1};
        }
        if (p->addr == addr) {
            return p;
        }
        if (++tries == PLAIN_COUNT) {
            model_fail("more than %d announced plain variables", PLAIN_COUNT);
        }
    }
}

static void plain_check_write(const struct plain *p, const struct thread *t, const char *what)
{
    if (p->writer >= 0 && p->written_at > t->clock.at[p->writer]) {
        model_fail("data race: %s against a write by T%d", what, p->writer);
    }
}

static void plain_check_reads(const struct plain *p, const struct thread *t, const char *what)
{
    for (int i = 0; i < m.thread_count; i++) {
        if (p->read_at.at[i] > t->clock.at[i]) {
            model_fail("data race: %s against a read by T%d", what, i);
        }
    }
}

void model_plain_read(const volatile void *addr)
{
    retired_check((uintptr_t)addr, 1, "plain read");
    if (m.current < 0) {
        return;
    }
    struct thread *t = &m.threads[m.current];
    struct plain *p = plain_get((uintptr_t)addr);
    plain_check_write(p, t, "plain read");
    p->read_at.at[m.current] = ++t->clock.at[m.current];
}

void model_plain_write(const volatile void *addr)
{
    retired_check((uintptr_t)addr, 1, "plain write");
    if (m.current < 0) {
        return;
    }
    struct thread *t = &m.threads[m.current];
    struct plain *p = plain_get((uintptr_t)addr);
    plain_check_write(p, t, "plain write");
    plain_check_reads(p, t, "plain write");
    p->writer = m.current;
    p->written_at = ++t->clock.at[m.current];
}

/* Whether an atomic variable in the range is known to more than one thread. */
static bool range_shared(uintptr_t from, size_t bytes)
{
    for (size_t i = 0; i < LOC_COUNT; i++) {
        if (m.locs[i].execution == m.execution && m.locs[i].addr - from < bytes &&
            loc_shared(&m.locs[i])) {
            return true;
        }
    }
    return false;
}

/* A thread is about to end this memory: that is a use, and a write to the plain data in it. */
static void range_use(struct thread *t, int thread, uintptr_t from, size_t bytes)
{
    for (uint32_t k = 0; k < t->count; k++) {
        t->buffer[k].is_own_garbage |= t->buffer[k].loc->addr - from < bytes;
    }
    for (size_t i = 0; i < PLAIN_COUNT; i++) {
        const struct plain *p = &m.plains[i];
        if (p->execution == m.execution && p->addr - from < bytes) {
            plain_check_write(p, t, "free");
            plain_check_reads(p, t, "free");
        }
    }
    for (size_t i = 0; i < LOC_COUNT; i++) {
        if (m.locs[i].execution == m.execution && m.locs[i].addr - from < bytes) {
            loc_use(&m.locs[i], thread);
        }
    }
}

static void range_retire(uintptr_t from, size_t bytes)
{
    if (m.retired_count == RETIRED_MAX) {
        model_fail("more than %d retired ranges", RETIRED_MAX);
    }
    m.retired[m.retired_count++] = (struct range){from, from + bytes};
}

void model_revive(const volatile void *addr, size_t bytes)
{
    uintptr_t from = (uintptr_t)addr;
    for (uint32_t i = 0; i < m.retired_count; i++) {
        if (m.retired[i].from - from < bytes) {
            m.retired[i--] = m.retired[--m.retired_count];
        }
    }
}

#endif

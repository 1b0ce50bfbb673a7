/* SPDX-License-Identifier: MIT */
/* Memory of the modelled machine: locations, versions, clocks, allocation. */
#ifndef WEFT_MODEL_MEMORY_H
#define WEFT_MODEL_MEMORY_H

/* A caller's variable by its width; these types may alias any other. */
typedef uint8_t __attribute__((may_alias)) word8;
typedef uint16_t __attribute__((may_alias)) word16;
typedef uint32_t __attribute__((may_alias)) word32;
typedef uint64_t __attribute__((may_alias)) word64;

static uint64_t memory_read(uintptr_t addr, size_t bytes)
{
    switch (bytes) {
    case 1:
        return *(const volatile word8 *)addr;
    case 2:
        return *(const volatile word16 *)addr;
    case 4:
        return *(const volatile word32 *)addr;
    default:
        return *(const volatile word64 *)addr;
    }
}

static void memory_write(uintptr_t addr, size_t bytes, uint64_t value)
{
    switch (bytes) {
    case 1:
        *(volatile word8 *)addr = (uint8_t)value;
        break;
    case 2:
        *(volatile word16 *)addr = (uint16_t)value;
        break;
    case 4:
        *(volatile word32 *)addr = (uint32_t)value;
        break;
    default:
        *(volatile word64 *)addr = value;
        break;
    }
}

static uint64_t memory_truncate(uint64_t value, size_t bytes)
{
    return bytes == 8 ? value : value & ((UINT64_C(1) << (8 * bytes)) - 1);
}

static void retired_check(uintptr_t addr, size_t bytes, const char *what)
{
    for (uint32_t i = 0; i < m.retired_count; i++) {
        if (addr < m.retired[i].to && addr + bytes > m.retired[i].from) {
            model_fail("use after free: %s", what);
        }
    }
}

/* The location at an address; its per-execution part is fresh on the first use. */
static struct loc *loc_get(uintptr_t addr, size_t bytes)
{
    size_t i = (size_t)(mix(addr, 0) % LOC_COUNT);
    for (size_t tries = 0; m.locs[i].addr != addr && m.locs[i].addr != 0; tries++) {
        if (tries == LOC_COUNT) {
            model_fail("more than %d atomic variables", LOC_COUNT);
        }
        i = (i + 1) % LOC_COUNT;
    }
    struct loc *loc = &m.locs[i];
    loc->addr = addr;
    if (loc->execution != m.execution) {
        loc->execution = m.execution;
        loc->version = 0;
        loc->reserved_by = 0;
        loc->clock = (struct clock){{0}};
    }
    loc->bytes = bytes; /* another frame may have another variable there */
    return loc;
}

static bool loc_shared(const struct loc *loc)
{
    return (loc->users & (loc->users - 1)) != 0;
}

/* A thread uses the location. A second user makes its accesses steps: from the next start on. */
static void loc_use(struct loc *loc, int thread)
{
    bool was_shared = loc_shared(loc);
    loc->users = (uint8_t)(loc->users | 1u << thread);
    if (loc_shared(loc) != was_shared) {
        m.must_restart = true;
    }
}

static void loc_write(struct loc *loc, uint64_t value, uint64_t version)
{
    if (loc->version != 0) {
        m.memory_hash -= mix(loc->addr, loc->version);
    }
    loc->version = version;
    m.memory_hash += mix(loc->addr, version);
    memory_write(loc->addr, loc->bytes, value);
}

static void clock_join(struct clock *into, const struct clock *from)
{
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        if (into->at[i] < from->at[i]) {
            into->at[i] = from->at[i];
        }
    }
}

static bool is_acquire(enum model_order order)
{
    return order == MODEL_ACQUIRE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

static bool is_release(enum model_order order)
{
    return order == MODEL_RELEASE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

/* Each thread has an arena, so that its addresses do not depend on what others allocate. */
void *model_aligned_alloc(size_t alignment, size_t bytes)
{
    size_t *used = &m.arena_used[m.current + 1];
    size_t from = (*used + sizeof(size_t) + alignment - 1) / alignment * alignment;
    if (from + bytes > ARENA_BYTES) {
        model_fail("a thread allocates more than %d bytes", ARENA_BYTES);
    }
    unsigned char *p = model_arena[m.current + 1] + from;
    memcpy(p - sizeof(size_t), &bytes, sizeof(bytes));
    *used = from + bytes;
    return p;
}

void *model_malloc(size_t bytes)
{
    return model_aligned_alloc(16, bytes);
}

void *model_calloc(size_t count, size_t bytes)
{
    void *p = model_malloc(count * bytes);
    memset(p, 0, count * bytes);
    return p;
}

#endif

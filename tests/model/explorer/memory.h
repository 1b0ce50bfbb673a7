/* SPDX-License-Identifier: MIT */
/* Memory of the modelled machine: locations, versions, clocks, allocation. */
#ifndef WEFT_MODEL_MEMORY_H
#define WEFT_MODEL_MEMORY_H

/* A caller's variable by its width; these types may alias any other. */
typedef uint8_t __attribute__((may_alias)) mx_word8;
typedef uint16_t __attribute__((may_alias)) mx_word16;
typedef uint32_t __attribute__((may_alias)) mx_word32;
typedef uint64_t __attribute__((may_alias)) mx_word64;

static uint64_t mx_memory_read(uintptr_t addr, size_t bytes)
{
    switch (bytes) {
    case 1:
        return *(const volatile mx_word8 *)addr;
    case 2:
        return *(const volatile mx_word16 *)addr;
    case 4:
        return *(const volatile mx_word32 *)addr;
    default:
        return *(const volatile mx_word64 *)addr;
    }
}

static void mx_memory_write(uintptr_t addr, size_t bytes, uint64_t value)
{
    switch (bytes) {
    case 1:
        *(volatile mx_word8 *)addr = (uint8_t)value;
        break;
    case 2:
        *(volatile mx_word16 *)addr = (uint16_t)value;
        break;
    case 4:
        *(volatile mx_word32 *)addr = (uint32_t)value;
        break;
    default:
        *(volatile mx_word64 *)addr = value;
        break;
    }
}

static uint64_t mx_memory_truncate(uint64_t value, size_t bytes)
{
    return bytes == 8 ? value : value & ((UINT64_C(1) << (8 * bytes)) - 1);
}

static void mx_retired_check(uintptr_t addr, size_t bytes, const char *what)
{
    for (uint32_t i = 0; i < mx.retired_count; i++) {
        if (addr < mx.retired[i].to && addr + bytes > mx.retired[i].from) {
            model_fail("use after free: %s", what);
        }
    }
}

/* The location at an address; its per-execution part is fresh on the first use. */
static struct mx_loc *mx_loc_get(uintptr_t addr, size_t bytes)
{
    size_t i = (size_t)(mx_mix(addr, 0) % MX_LOC_COUNT);
    for (size_t tries = 0; mx.locs[i].addr != addr && mx.locs[i].addr != 0; tries++) {
        if (tries == MX_LOC_COUNT) {
            model_fail("more than %d atomic variables", MX_LOC_COUNT);
        }
        i = (i + 1) % MX_LOC_COUNT;
    }
    struct mx_loc *loc = &mx.locs[i];
    loc->addr = addr;
    if (loc->execution != mx.execution) {
        loc->execution = mx.execution;
        loc->version = 0;
        loc->reserved_by = 0;
        loc->clock = (struct mx_clock){{0}};
    }
    loc->bytes = bytes; /* another frame may have another variable there */
    return loc;
}

static bool mx_loc_shared(const struct mx_loc *loc)
{
    return (loc->users & (loc->users - 1)) != 0;
}

/* A thread uses the location. A second user makes its accesses steps: from the next start on. */
static void mx_loc_use(struct mx_loc *loc, int thread)
{
    bool was_shared = mx_loc_shared(loc);
    loc->users = (uint8_t)(loc->users | 1u << thread);
    if (mx_loc_shared(loc) != was_shared) {
        mx.must_restart = true;
    }
}

static void mx_loc_write(struct mx_loc *loc, uint64_t value, uint64_t version)
{
    if (loc->version != 0) {
        mx.memory_hash -= mx_mix(loc->addr, loc->version);
    }
    loc->version = version;
    mx.memory_hash += mx_mix(loc->addr, version);
    mx_memory_write(loc->addr, loc->bytes, value);
}

static void mx_clock_join(struct mx_clock *into, const struct mx_clock *from)
{
    for (int i = 0; i < MODEL_THREADS_MAX; i++) {
        if (into->at[i] < from->at[i]) {
            into->at[i] = from->at[i];
        }
    }
}

static bool mx_is_acquire(enum model_order order)
{
    return order == MODEL_ACQUIRE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

static bool mx_is_release(enum model_order order)
{
    return order == MODEL_RELEASE || order == MODEL_ACQ_REL || order == MODEL_SEQ_CST;
}

/* Each thread has an arena, so that its addresses do not depend on what others allocate. */
void *model_aligned_alloc(size_t alignment, size_t bytes)
{
    size_t *used = &mx.arena_used[mx.current + 1];
    size_t from = (*used + sizeof(size_t) + alignment - 1) / alignment * alignment;
    if (from + bytes > MX_ARENA_BYTES) {
        model_fail("a thread allocates more than %d bytes", MX_ARENA_BYTES);
    }
    unsigned char *p = model_arena[mx.current + 1] + from;
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

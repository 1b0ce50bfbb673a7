/* SPDX-License-Identifier: MIT */
/* Locals: sets, values and slots; see locals.h. */
#include "locals.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "program_call.h"
#include "runtime_object.h"

/* A set begins with room for so many, and doubles: most programs have one or two. */
#define SET_CAPACITY_MIN 4

struct weft_local {
    _Atomic(uint32_t) refs; /* the handle, and one for each entry */
    void (*destructor)(void *value);
    void *(*copy)(void *value);
};

/* Counts who has a value that has a destructor. */
struct local_box {
    _Atomic(uint32_t) refs;
};

struct local_entry {
    struct weft_local *local; /* a reference */
    void *value;              /* not NULL */
    struct local_box *box;    /* a reference; NULL: the value has no destructor */
};

struct local_set {
    _Atomic(uint32_t) refs;
    unsigned count;
    unsigned capacity;
    unsigned copies; /* entries whose local has a copy function */
    struct local_entry entry[];
};

struct weft_context {
    _Atomic(uint32_t) refs;
    pthread_mutex_t lock;
    struct local_set *set; /* lock */
};

/* ---- entries ---- */

static void local_put(struct weft_local *local)
{
    if (atomic_sub_acq_rel(&local->refs, 1) == 1) { /* ORD P1: the last use */
        free(local);
    }
}

/* An entry for a value, which becomes the entry's. False: no memory. */
static bool entry_make(struct local_entry *e, struct weft_local *local, void *value)
{
    struct local_box *box = NULL;
    if (local->destructor != NULL) {
        box = malloc(sizeof *box);
        if (box == NULL) {
            return false;
        }
        atomic_store_relaxed(&box->refs, 1); /* ORD none: not shared yet */
    }
    (void)atomic_add_relaxed(&local->refs, 1); /* ORD none: the caller has one */
    *e = (struct local_entry){local, value, box};
    return true;
}

static struct local_entry entry_share(const struct local_entry *e)
{
    (void)atomic_add_relaxed(&e->local->refs, 1); /* ORD none: the entry has one */
    if (e->box != NULL) {
        (void)atomic_add_relaxed(&e->box->refs, 1); /* ORD none: as above */
    }
    return *e;
}

static void entry_drop(const struct local_entry *e)
{
    if (e->box != NULL && atomic_sub_acq_rel(&e->box->refs, 1) == 1) { /* ORD P1: the last use */
        struct program_call call;
        program_call_begin(&call, NULL);
        e->local->destructor(e->value);
        program_call_end(&call);
        free(e->box);
    }
    local_put(e->local);
}

/* An entry for the child's value of one that has a copy function. False: no memory. */
static bool entry_copy(struct local_entry *out, const struct local_entry *e)
{
    struct program_call call;
    program_call_begin(&call, NULL);
    void *value = e->local->copy(e->value);
    program_call_end(&call);
    if (entry_make(out, e->local, value)) {
        return true;
    }
    if (value != NULL) { /* nobody has it yet: as a last holder would */
        program_call_begin(&call, NULL);
        e->local->destructor(value);
        program_call_end(&call);
    }
    return false;
}

/* ---- sets ---- */

static struct local_set *set_new(unsigned capacity)
{
    struct local_set *set = malloc(sizeof *set + capacity * sizeof set->entry[0]);
    if (set != NULL) {
        atomic_store_relaxed(&set->refs, 1); /* ORD none: not shared yet */
        set->count = 0;
        set->capacity = capacity;
        set->copies = 0;
    }
    return set;
}

void weft__locals_drop(struct local_set *set)
{
    if (set == NULL || atomic_sub_acq_rel(&set->refs, 1) != 1) { /* ORD P1: all our reads */
        return;
    }
    for (unsigned i = 0; i < set->count; i++) {
        entry_drop(&set->entry[i]);
    }
    free(set);
}

/* The caller's slot is the only reference. */
static bool set_is_own(struct local_set *set)
{
    return atomic_load_acquire(&set->refs) == 1; /* ORD P1: the reads of those before */
}

static unsigned set_find(const struct local_set *set, const struct weft_local *local)
{
    unsigned i = 0;
    while (i < set->count && set->entry[i].local != local) {
        i++;
    }
    return i;
}

static void set_append(struct local_set *set, const struct local_entry *e)
{
    WEFT_ASSERT(set->count < set->capacity);
    set->entry[set->count++] = *e;
    set->copies += e->local->copy != NULL;
}

/* A set of one's own with the same values; for_child: those are copied that have a function. */
static struct local_set *set_clone(const struct local_set *set, unsigned capacity, bool for_child)
{
    struct local_set *clone = set_new(capacity);
    for (unsigned i = 0; clone != NULL && set != NULL && i < set->count; i++) {
        const struct local_entry *e = &set->entry[i];
        struct local_entry entry;
        if (!for_child || e->local->copy == NULL) {
            entry = entry_share(e);
        } else if (!entry_copy(&entry, e)) {
            weft__locals_drop(clone);
            return NULL;
        }
        if (entry.value != NULL) {
            set_append(clone, &entry);
        } else {
            free(entry.box);
            local_put(entry.local);
        }
    }
    return clone;
}

/* What the owner of a slot has to let go of, once it is through with the slot. */
struct local_rest {
    struct local_set *set;
    struct local_entry entry; /* local: NULL for none */
};

static void rest_drop(const struct local_rest *rest)
{
    weft__locals_drop(rest->set);
    if (rest->entry.local != NULL) {
        entry_drop(&rest->entry);
    }
}

/* Make the set behind a slot writable, with room for so many more. False: no memory. */
static bool slot_own(struct local_set **slot, unsigned more, struct local_rest *rest)
{
    struct local_set *set = *slot;
    unsigned need = more + (set == NULL ? 0 : set->count);
    if (set != NULL && set_is_own(set) && need <= set->capacity) {
        return true;
    }
    unsigned capacity = SET_CAPACITY_MIN;
    while (capacity < need) {
        capacity *= 2;
    }
    struct local_set *own = set_clone(set, capacity, false);
    if (own == NULL) {
        return false;
    }
    rest->set = set;
    *slot = own;
    return true;
}

static int slot_unset(struct local_set **slot, struct weft_local *local, struct local_rest *rest)
{
    if (*slot == NULL || set_find(*slot, local) == (*slot)->count) {
        return 0;
    }
    if (!slot_own(slot, 0, rest)) {
        return -ENOMEM;
    }
    struct local_set *set = *slot;
    unsigned i = set_find(set, local);
    rest->entry = set->entry[i];
    set->entry[i] = set->entry[--set->count];
    set->copies -= local->copy != NULL;
    return 0;
}

static int slot_set(struct local_set **slot, struct weft_local *local, void *value,
                    struct local_rest *rest)
{
    if (value == NULL) {
        return slot_unset(slot, local, rest);
    }
    struct local_entry entry;
    if (!entry_make(&entry, local, value)) {
        return -ENOMEM;
    }
    bool is_new = *slot == NULL || set_find(*slot, local) == (*slot)->count;
    if (!slot_own(slot, is_new ? 1 : 0, rest)) {
        free(entry.box);
        local_put(local);
        return -ENOMEM;
    }
    struct local_set *set = *slot;
    if (is_new) {
        set_append(set, &entry);
    } else {
        unsigned i = set_find(set, local);
        rest->entry = set->entry[i];
        set->entry[i] = entry;
    }
    return 0;
}

/* ---- where the running code has its values ---- */

struct local_place {
    struct local_set **slot; /* NULL: nowhere */
    weft_context *context;   /* whose lock is held until place_leave; or NULL */
};

static struct local_place place_in(struct task_extra *extra)
{
    struct local_place place = {NULL, NULL};
    if (extra != NULL) {
        place.context = extra->context;
        place.slot = &extra->locals;
    }
    if (place.context != NULL) {
        pthread_mutex_lock(&place.context->lock);
        place.slot = &place.context->set;
    }
    return place;
}

static struct local_place place_enter(void)
{
    struct worker *w = weft__worker_current();
    if (w == NULL) {
        struct job *job = weft__job_current();
        return (struct local_place){job == NULL ? NULL : &job->locals, NULL};
    }
    if (w->in_loop) {
        return (struct local_place){w->callback_locals, NULL};
    }
    return place_in(extra_of(w->fiber->top));
}

static void place_leave(const struct local_place *place)
{
    if (place->context != NULL) {
        pthread_mutex_unlock(&place->context->lock);
    }
}

/* What weft__locals_capture does with a slot; leaves the place. */
static int place_capture(const struct local_place *place, struct local_set **out)
{
    struct local_set *set = place->slot == NULL ? NULL : *place->slot;
    if (set != NULL && set->count > 0) {
        (void)atomic_add_relaxed(&set->refs, 1); /* ORD none: the slot has one */
    } else {
        set = NULL;
    }
    place_leave(place);
    *out = set;
    if (set != NULL && set->copies > 0) {
        *out = set_clone(set, set->count, true);
        weft__locals_drop(set);
        return *out == NULL ? -ENOMEM : 0;
    }
    return 0;
}

int weft__locals_capture(struct local_set **set)
{
    struct local_place place = place_enter();
    return place_capture(&place, set);
}

int weft__locals_give(weft_task *t, struct local_set *set)
{
    if (set == NULL) {
        return 0;
    }
    struct task_extra *extra = weft__extra_make(t);
    if (extra == NULL) {
        return -ENOMEM;
    }
    extra->locals = set;
    return 0;
}

int weft__locals_give_context(weft_task *t, weft_context *context)
{
    struct task_extra *extra = weft__extra_make(t);
    if (extra == NULL) {
        return -ENOMEM;
    }
    extra->context = weft_context_get(context);
    return 0;
}

int weft__locals_inherit(weft_task *t)
{
    struct local_set *set;
    int err = weft__locals_capture(&set);
    if (err == 0) {
        err = weft__locals_give(t, set);
        if (err < 0) {
            weft__locals_drop(set);
        }
    }
    return err;
}

struct local_set *weft__locals_take(weft_task *t)
{
    struct task_extra *extra = extra_of(t);
    struct local_set *set = NULL;
    if (extra != NULL) {
        set = extra->locals;
        extra->locals = NULL;
    }
    return set;
}

int weft__locals_take_all(weft_task *t, struct local_set **set)
{
    struct task_extra *extra = extra_of(t);
    if (extra != NULL && extra->context != NULL) {
        struct local_place place = place_in(extra);
        return place_capture(&place, set);
    }
    *set = weft__locals_take(t);
    return 0;
}

void weft__locals_forget(struct task_extra *extra)
{
    weft__locals_drop(extra->locals);
    weft_context_put(extra->context);
}

/* ---- the public calls ---- */

int weft_local_create_with(weft_local_t *local, void (*destructor)(void *), void *(*copy)(void *))
{
    if (local == NULL) {
        return -EINVAL;
    }
    struct weft_local *made = malloc(sizeof *made);
    if (made == NULL) {
        return -ENOMEM;
    }
    atomic_store_relaxed(&made->refs, 1); /* ORD none: not shared yet */
    made->destructor = destructor;
    made->copy = copy;
    *local = made;
    return 0;
}

int weft_local_create(weft_local_t *local)
{
    return weft_local_create_with(local, NULL, NULL);
}

void weft_local_destroy(weft_local_t local)
{
    if (local != NULL) {
        local_put(local);
    }
}

int weft_local_set(weft_local_t local, void *value)
{
    struct worker *w = weft__worker_current();
    if (local == NULL) {
        return -EINVAL;
    }
    bool has_place = w == NULL ? weft__job_current() != NULL
                               : !w->in_loop || w->callback_locals != NULL;
    if (!has_place) {
        return -EPERM;
    }
    if (w != NULL && !w->in_loop && value != NULL && weft__extra_make(w->fiber->top) == NULL) {
        return -ENOMEM;
    }
    struct local_place place = place_enter();
    struct local_rest rest;
    memset(&rest, 0, sizeof rest);
    int err = place.slot == NULL ? 0 : slot_set(place.slot, local, value, &rest);
    place_leave(&place);
    rest_drop(&rest);
    return err;
}

static void *set_value(const struct local_set *set, const struct weft_local *local)
{
    unsigned i = set == NULL ? 0 : set_find(set, local);
    return set == NULL || i == set->count ? NULL : set->entry[i].value;
}

void *weft_local_get(weft_local_t local)
{
    struct local_place place = place_enter();
    void *value = place.slot == NULL ? NULL : set_value(*place.slot, local);
    place_leave(&place);
    return value;
}

weft_context *weft_context_create(void)
{
    weft_context *context = calloc(1, sizeof *context);
    if (context == NULL || weft__locals_capture(&context->set) < 0) {
        free(context);
        return NULL;
    }
    atomic_store_relaxed(&context->refs, 1); /* ORD none: not shared yet */
    pthread_mutex_init(&context->lock, NULL);
    return context;
}

void *weft_context_value(weft_context *context, weft_local_t local)
{
    pthread_mutex_lock(&context->lock);
    void *value = set_value(context->set, local);
    pthread_mutex_unlock(&context->lock);
    return value;
}

weft_context *weft_context_current(void)
{
    struct fiber *f = weft__fiber_current();
    struct task_extra *extra = f == NULL ? NULL : extra_of(f->top);
    return extra == NULL ? NULL : extra->context;
}

weft_context *weft_context_get(weft_context *context)
{
    if (context != NULL) {
        (void)atomic_add_relaxed(&context->refs, 1); /* ORD none: the caller has one */
    }
    return context;
}

void weft_context_put(weft_context *context)
{
    if (context != NULL && atomic_sub_acq_rel(&context->refs, 1) == 1) { /* ORD P1: the last */
        weft__locals_drop(context->set);
        pthread_mutex_destroy(&context->lock);
        free(context);
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * Dump: all tasks, and who waits for whom.
 *
 * The tasks are collected first, with references, so that the runtime need not be kept from closing
 * while they are printed. Then each is looked at (view.h) and printed at once; what stays of it is
 * who waits for it. These edges are sorted by who waits, and the trees are walks from the tasks
 * that nobody waits for. A task is unfolded once, so what is printed is not more than the edges;
 * what no tree has reached is on a circle or behind one.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/debug.h>
#include <weft/runtime.h>
#include <weft/task.h>

#include "runtime_object.h"
#include "view.h"

#define DUMP_FRAMES 64   /* of a task: more are left out */
#define DUMP_AWAITERS 16 /* got without asking again for room */
#define DUMP_INDENT 40   /* levels of a tree that are indented; below, a number says the level */

struct edge {
    size_t waiter; /* indices of tasks */
    size_t awaited;
    bool is_lock; /* the awaited one has the lock that the waiter waits for */
};

enum node_state {
    NODE_NEW,
    NODE_OPEN, /* on the path from the root */
    NODE_SHOWN,
};

struct node {
    size_t first_edge;
    size_t edge_count;
    size_t waiter; /* one of those that wait for it; SIZE_MAX: nobody does */
    size_t mark;   /* the search for a circle that came by */
    size_t next;   /* edge to follow, while it is open */
    enum node_state state;
};

struct dump {
    FILE *out;
    weft_task **tasks; /* sorted by address */
    size_t count;
    struct node *nodes;
    size_t *path;
    struct edge *edges;
    size_t edge_count;
    size_t edge_room;
    bool has_failed; /* no memory for an edge */
};

static int task_order(const void *a, const void *b)
{
    weft_task *const *one = a;
    weft_task *const *other = b;
    uintptr_t left = (uintptr_t)*one;
    uintptr_t right = (uintptr_t)*other;
    return (left > right) - (left < right);
}

static int edge_order(const void *a, const void *b)
{
    const struct edge *left = a;
    const struct edge *right = b;
    if (left->waiter != right->waiter) {
        return left->waiter < right->waiter ? -1 : 1;
    }
    return (left->awaited > right->awaited) - (left->awaited < right->awaited);
}

/* The index of a task, or SIZE_MAX. The pointer is only compared. */
static size_t dump_index(const struct dump *d, const weft_task *t)
{
    weft_task *key = (weft_task *)(uintptr_t)t;
    weft_task **at = bsearch(&key, d->tasks, d->count, sizeof *d->tasks, task_order);
    return at == NULL ? SIZE_MAX : (size_t)(at - d->tasks);
}

static void dump_edge(struct dump *d, size_t waiter, size_t awaited, bool is_lock)
{
    if (waiter == SIZE_MAX || awaited == SIZE_MAX) {
        return; /* it began after the dump did, or is another runtime's */
    }
    if (d->edge_count == d->edge_room) {
        size_t room = d->edge_room == 0 ? 64 : 2 * d->edge_room;
        struct edge *edges = realloc(d->edges, room * sizeof *edges);
        if (edges == NULL) {
            d->has_failed = true;
            return;
        }
        d->edges = edges;
        d->edge_room = room;
    }
    d->edges[d->edge_count++] = (struct edge){waiter, awaited, is_lock};
}

/* --- one task --------------------------------------------------------------------------------- */

static void print_frame(FILE *out, void *pc)
{
    Dl_info info;
    /* A return address: the call is before it, maybe the last of its function. */
    if (dladdr((char *)pc - 1, &info) == 0 || info.dli_fname == NULL) {
        fprintf(out, "    at %p\n", pc);
        return;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    const char *file = slash == NULL ? info.dli_fname : slash + 1;
    size_t in_file = (size_t)((char *)pc - (char *)info.dli_fbase);
    if (info.dli_sname == NULL) {
        fprintf(out, "    at %s+%#zx\n", file, in_file);
    } else {
        fprintf(out, "    at %s+%#zx (%s+%#zx)\n", info.dli_sname,
                (size_t)((char *)pc - (char *)info.dli_saddr), file, in_file);
    }
}

static void print_awaiters(struct dump *d, size_t i, weft_task **waiters, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        char name[192];
        (void)weft__view_name(waiters[k], name, sizeof name);
        fprintf(d->out, "    awaited by %s\n", name);
        dump_edge(d, dump_index(d, waiters[k]), i, false);
        weft_put(waiters[k]);
    }
}

/* Print who awaits a task, and keep that. */
static void dump_awaiters(struct dump *d, size_t i)
{
    weft_task *own[DUMP_AWAITERS];
    weft_task **waiters = own;
    size_t room = DUMP_AWAITERS;
    size_t count = weft_awaiters(d->tasks[i], own, room);
    while (count > room && waiters != NULL) {
        for (size_t k = 0; k < room; k++) {
            weft_put(waiters[k]);
        }
        if (waiters != own) {
            free(waiters);
        }
        room = 2 * count;
        waiters = malloc(room * sizeof *waiters);
        count = waiters == NULL ? 0 : weft_awaiters(d->tasks[i], waiters, room);
    }
    d->has_failed = d->has_failed || waiters == NULL;
    print_awaiters(d, i, waiters, count);
    if (waiters != own) {
        free(waiters);
    }
}

static void dump_task(struct dump *d, size_t i)
{
    weft_task *t = d->tasks[i];
    void *frames[DUMP_FRAMES];
    char line[512];
    struct task_view v = {.frames = frames, .room = DUMP_FRAMES};
    weft__view(t, &v);
    size_t holder = v.lock_holder == NULL ? SIZE_MAX : dump_index(d, v.lock_holder);
    (void)weft__view_format(t, &v, holder == SIZE_MAX ? NULL : d->tasks[holder], line,
                            sizeof line);
    fprintf(d->out, "%s\n", line);
    dump_edge(d, i, holder, true);
    dump_awaiters(d, i);
    for (size_t k = 0; k < v.depth; k++) {
        print_frame(d->out, frames[k]);
    }
    weft__view_end(&v);
}

/* --- who waits for whom ----------------------------------------------------------------------- */

static void print_node(const struct dump *d, size_t i, size_t level, bool is_lock)
{
    char name[192];
    const struct node *n = &d->nodes[i];
    (void)weft__view_name(d->tasks[i], name, sizeof name);
    fprintf(d->out, "%*s", (int)(2 * (level < DUMP_INDENT ? level : DUMP_INDENT)), "");
    if (level > DUMP_INDENT) {
        fprintf(d->out, "(%zu) ", level);
    }
    fprintf(d->out, "%s%s%s\n", name, is_lock ? ", which has the lock" : "",
            n->state == NODE_OPEN                         ? ", and so on in a circle"
            : n->state == NODE_SHOWN && n->edge_count > 0 ? ", as above"
                                                          : "");
}

static void print_tree(struct dump *d, size_t root)
{
    size_t level = 0;
    print_node(d, root, 0, false);
    d->path[0] = root;
    d->nodes[root].state = NODE_OPEN;
    for (;;) {
        struct node *n = &d->nodes[d->path[level]];
        if (n->next == n->edge_count) {
            n->state = NODE_SHOWN;
            if (level-- == 0) {
                return;
            }
            continue;
        }
        const struct edge *e = &d->edges[n->first_edge + n->next++];
        print_node(d, e->awaited, level + 1, e->is_lock);
        if (d->nodes[e->awaited].state == NODE_NEW) {
            d->nodes[e->awaited].state = NODE_OPEN;
            d->path[++level] = e->awaited;
        }
    }
}

/* From a task that no tree has reached: one on the circle that it is on or behind. */
static size_t find_circle(struct dump *d, size_t i)
{
    size_t mark = i + 1;
    while (d->nodes[i].mark != mark) {
        d->nodes[i].mark = mark;
        i = d->nodes[i].waiter;
    }
    return i;
}

static void dump_trees(struct dump *d)
{
    if (d->edge_count == 0) {
        return;
    }
    qsort(d->edges, d->edge_count, sizeof *d->edges, edge_order);
    for (size_t i = 0; i < d->count; i++) {
        d->nodes[i] = (struct node){.waiter = SIZE_MAX};
    }
    for (size_t k = 0; k < d->edge_count; k++) {
        const struct edge *e = &d->edges[k];
        struct node *n = &d->nodes[e->waiter];
        n->first_edge = n->edge_count == 0 ? k : n->first_edge;
        n->edge_count++;
        d->nodes[e->awaited].waiter = e->waiter;
    }
    fprintf(d->out, "who waits for whom:\n");
    for (size_t i = 0; i < d->count; i++) {
        if (d->nodes[i].waiter == SIZE_MAX && d->nodes[i].edge_count > 0) {
            print_tree(d, i);
        }
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->nodes[i].state == NODE_NEW && d->nodes[i].edge_count > 0) {
            fprintf(d->out, "in a circle:\n");
            print_tree(d, find_circle(d, i));
        }
    }
}

/* --- all -------------------------------------------------------------------------------------- */

/* All tasks of rt, with references. */
static int dump_collect(struct dump *d, weft_runtime *rt)
{
    size_t room = 0;
    size_t count = weft_all_tasks(rt, NULL, 0);
    while (count > room) {
        for (size_t i = 0; i < room; i++) {
            weft_put(d->tasks[i]);
        }
        free(d->tasks);
        room = count + count / 4 + 16;
        d->tasks = malloc(room * sizeof *d->tasks);
        if (d->tasks == NULL) {
            return -ENOMEM;
        }
        count = weft_all_tasks(rt, d->tasks, room);
    }
    d->count = count;
    if (count > 0) {
        qsort(d->tasks, count, sizeof *d->tasks, task_order);
    }
    return 0;
}

static void dump_free(struct dump *d)
{
    for (size_t i = 0; i < d->count; i++) {
        weft_put(d->tasks[i]);
    }
    free(d->tasks);
    free(d->nodes);
    free(d->path);
    free(d->edges);
}

ssize_t weft_dump_tasks(weft_runtime *rt, FILE *out)
{
    struct dump d = {.out = out};
    if (rt == NULL || out == NULL) {
        return -EINVAL;
    }
    int err = weft__runtime_enter(rt, RUNTIME_CLOSED);
    if (err < 0) {
        return err;
    }
    weft__runtime_exit(rt);
    err = dump_collect(&d, rt);
    if (err < 0) {
        return err;
    }
    d.nodes = malloc((d.count + 1) * sizeof *d.nodes);
    d.path = malloc((d.count + 1) * sizeof *d.path);
    if (d.nodes == NULL || d.path == NULL) {
        dump_free(&d);
        return -ENOMEM;
    }
    for (size_t i = 0; i < d.count; i++) {
        dump_task(&d, i);
    }
    dump_trees(&d);
    if (d.has_failed) {
        fprintf(out, "(no memory to show all of it)\n");
    }
    ssize_t count = (ssize_t)d.count;
    dump_free(&d);
    return count;
}

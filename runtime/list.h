/* SPDX-License-Identifier: MIT */
/* Doubly linked intrusive list, circular, for one owner at a time. */
#ifndef WEFT_LIST_H
#define WEFT_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push_back(struct list *l, struct list *node)
{
    node->next = l;
    node->prev = l->prev;
    l->prev->next = node;
    l->prev = node;
}

/* Take a node out and leave it as an empty list of its own: a second removal does nothing. */
static inline void list_remove(struct list *node)
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    list_init(node);
}

/* The first node, taken out; NULL when the list is empty. */
static inline struct list *list_pop_front(struct list *l)
{
    struct list *node = l->next;
    if (node == l) {
        return NULL;
    }
    list_remove(node);
    return node;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Addresses; see address.h. */
#include "address.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/resolve.h>

int weft__address_port(const struct sockaddr *a)
{
    switch (a->sa_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)(const void *)a)->sin6_port);
    default:
        return 0;
    }
}

void weft__address_set_port(struct sockaddr *a, int port)
{
    if (a->sa_family == AF_INET) {
        ((struct sockaddr_in *)(void *)a)->sin_port = htons((uint16_t)port);
    } else if (a->sa_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)a)->sin6_port = htons((uint16_t)port);
    }
}

int weft__address_unix(struct address *a, const char *path)
{
    size_t n = strlen(path);
    if (n == 0) {
        return -EINVAL;
    }
    memset(a, 0, sizeof *a);
    if (n >= sizeof a->un.sun_path) {
        return -ENAMETOOLONG;
    }
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path, n);
    a->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    if (*path == '@') { /* its name has no end but that of the address */
        a->un.sun_path[0] = '\0';
        a->bytes--;
    }
    return 0;
}

/* Add what was found. 0 or -ENOMEM. */
static int list_add(struct address_list *list, const struct addrinfo *found)
{
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        if (i->ai_addrlen > sizeof(struct sockaddr_in6)) {
            continue;
        }
        struct address *all = realloc(list->all, (list->count + 1) * sizeof *all);
        if (all == NULL) {
            return -ENOMEM;
        }
        list->all = all;
        struct address *a = &all[list->count++];
        memset(a, 0, sizeof *a);
        memcpy(&a->any, i->ai_addr, i->ai_addrlen);
        a->bytes = i->ai_addrlen;
    }
    return 0;
}

int weft__address_find(struct address_list *list, const char *host, const char *service,
                       int family, bool is_passive)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    hints.ai_flags = is_passive ? AI_PASSIVE : 0;
    int err = weft_resolve(host, service != NULL ? service : "0", &hints, &found);
    if (err == 0) {
        err = list_add(list, found);
        weft_resolve_free(found);
    }
    return err;
}

void weft__address_interleave(struct address_list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        sa_family_t before = list->all[i - 1].any.sa_family;
        size_t next = i;
        while (next < list->count && list->all[next].any.sa_family == before) {
            next++;
        }
        if (next == list->count) {
            return; /* the rest is of one family */
        }
        struct address moved = list->all[next];
        memmove(&list->all[i + 1], &list->all[i], (next - i) * sizeof moved);
        list->all[i] = moved;
    }
}

void weft__address_list_fini(struct address_list *list)
{
    free(list->all);
    *list = (struct address_list){NULL, 0};
}

bool weft__address_has_twice(const struct address_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (list->all[i].bytes == list->all[j].bytes &&
                memcmp(&list->all[i].any, &list->all[j].any, list->all[i].bytes) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* SPDX-License-Identifier: MIT */
/* Connecting to one of several addresses. */
#ifndef WEFT_CONNECT_OBJECT_H
#define WEFT_CONNECT_OBJECT_H

#include <weft/connect.h>

#include "address.h"

/* weft_open_connection without the stream: the descriptor, which is the caller's, or -errno.
 * Context: task     Blocks: task */
int weft__connect(const char *host, const char *service, const struct weft_connect_options *o);

/*
 * Connect to one of several addresses, staggered, in their order.
 * local: addresses to connect from, one of which has to be of the family; empty: any
 * delay_ns: as of weft_staggered_race
 * Context: task     Blocks: task
 * Returns the descriptor, which is the caller's, or the error of the first address, -ENODATA when
 * there is none, -ECANCELED, -ETIMEDOUT, -ENOMEM.
 */
int weft__connect_any(const struct address_list *list, const struct address_list *local,
                      int64_t delay_ns);

#endif

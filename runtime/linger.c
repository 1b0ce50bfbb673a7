/* SPDX-License-Identifier: MIT */
/* Linger; see linger.h. */
#include "linger.h"

#include "runtime_object.h"

bool weft__linger_is_closing(void)
{
    return runtime_is_closing(weft__worker_current()->rt);
}

int64_t weft__linger_ns(void)
{
    int64_t half_ns = weft__worker_current()->rt->options.close_grace_ns / 2;
    return half_ns < LINGER_MAX_NS ? half_ns : LINGER_MAX_NS;
}

/* SPDX-License-Identifier: MIT */
/* The cold part of sanitize.h. */
#include "sanitize.h"

#include <pthread.h>

#include "check.h"

#ifdef WEFT_TSAN
char weft__sanitize_kernel;
#endif

void weft__sanitize_native_stack(const void **low, size_t *bytes)
{
    pthread_attr_t attr;
    void *address;
    int err = pthread_getattr_np(pthread_self(), &attr);
    WEFT_ASSERT(err == 0);
    err = pthread_attr_getstack(&attr, &address, bytes);
    WEFT_ASSERT(err == 0);
    pthread_attr_destroy(&attr);
    *low = address;
}

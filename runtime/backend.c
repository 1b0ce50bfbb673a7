/* SPDX-License-Identifier: MIT */
/*
 * Backend: which poller drives a runtime. Where the program leaves it open and io_uring is refused
 * (a container's seccomp profile, kernel.io_uring_disabled, no locked memory, an old kernel), epoll
 * takes over, and one line says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/metrics.h>

#include "runtime_object.h"

static _Atomic(uint32_t) was_told;

/* Whether that a worker got no ring is the kernel's answer to io_uring. Without a descriptor there
 * would be no epoll either; and -EINVAL is the environment. */
static bool is_refusal(int err)
{
    return err != -EMFILE && err != -ENFILE && err != -EINVAL;
}

static void tell_once(const char *why)
{
    /* ORD none: only who is first. */
    if (atomic_exchange_acq_rel(&was_told, 1) == 0) {
        fprintf(stderr, "weft: %s; going on with epoll, which takes more system calls, and a "
                "thread for each call on a file (WEFT_BACKEND=epoll asks for it silently)\n", why);
    }
}

int weft_runtime_create(weft_runtime **out, const struct weft_options *options)
{
    if (out == NULL) {
        return -EINVAL;
    }
    enum weft_backend backend = options == NULL ? WEFT_BACKEND_AUTO : options->backend;
    int err = weft__options_backend(&backend);
    if (err < 0) {
        return err;
    }
    char why[sizeof (*out)->backend_why] = "";
    struct runtime_seams seams = {.poller = &weft__poller_uring};
    if (backend == WEFT_BACKEND_EPOLL) {
        seams.poller = &weft__poller_epoll;
    } else if (backend == WEFT_BACKEND_AUTO) {
        seams.refusal = why;
        seams.refusal_bytes = sizeof why;
    }
    err = weft__runtime_create(out, options, &seams);
    if (why[0] == '\0') {
        return err;
    }
    if (!is_refusal(err)) {
        fprintf(stderr, "weft: %s\n", why);
        return err;
    }
    seams = (struct runtime_seams){.poller = &weft__poller_epoll};
    err = weft__runtime_create(out, options, &seams);
    if (err == 0) {
        memcpy((*out)->backend_why, why, sizeof why);
        tell_once(why);
    }
    return err;
}

enum weft_backend weft_runtime_backend(const weft_runtime *rt, const char **why)
{
    if (why != NULL) {
        *why = rt->backend_why;
    }
    return rt->seams.poller == &weft__poller_epoll ? WEFT_BACKEND_EPOLL : WEFT_BACKEND_URING;
}

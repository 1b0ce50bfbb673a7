/* SPDX-License-Identifier: MIT */
/* Connecting by name; the contract is in weft/connect.h. */
#include "connect.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/race.h>
#include <weft/scope.h>
#include <weft/stream_layer.h>
#include <weft/task.h>

#include "park.h"
#include "stream.h"

/* One contender of the race. */
struct attempt {
    const struct address *to;
    const struct address_list *local;
};

/* Apart: errno is the thread's. */
static WEFT_NOINLINE int bind_to(int fd, const struct address *a)
{
    int on = 1;
    /* The port is chosen when it is known where to: one can be had in many connections. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, &a->any, a->bytes) < 0 ? -errno : 0;
}

/* Bind to the first local address that is of the right family and can be bound to. */
static int bind_local(int fd, int family, const struct address_list *local)
{
    int err = local->count == 0 ? 0 : -EADDRNOTAVAIL;
    for (size_t i = 0; i < local->count; i++) {
        if (local->all[i].any.sa_family == family) {
            err = bind_to(fd, &local->all[i]);
            if (err == 0) {
                break;
            }
        }
    }
    return err;
}

/* A descriptor that is connected, or -errno. */
static int connect_one(const struct address *to, const struct address_list *local)
{
    int fd = weft_socket(to->any.sa_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return fd;
    }
    int err = bind_local(fd, to->any.sa_family, local);
    if (err == 0) {
        err = weft_connect(fd, &to->any, to->bytes);
    }
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    if (to->any.sa_family != AF_UNIX) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return fd;
}

static void *attempt_run(void *arg)
{
    const struct attempt *a = arg;
    int fd = connect_one(a->to, a->local);
    return fd < 0 ? weft_fail(fd) : (void *)(intptr_t)(fd + 1); /* no null pointer */
}

static void attempt_drop(void *result)
{
    (void)close((int)(intptr_t)result - 1); /* nothing is pending on it */
}

int weft__connect_any(const struct address_list *list, const struct address_list *local,
                      int64_t delay_ns)
{
    if (list->count == 1) {
        return connect_one(&list->all[0], local);
    }
    struct attempt *attempts = calloc(list->count, sizeof *attempts);
    void **args = calloc(list->count, sizeof *args);
    int err = attempts == NULL || args == NULL ? -ENOMEM : 0;
    if (err == 0) {
        void *winner = NULL;
        for (size_t i = 0; i < list->count; i++) {
            attempts[i] = (struct attempt){&list->all[i], local};
            args[i] = &attempts[i];
        }
        struct weft_race race = {
            .count = list->count,
            .fn = attempt_run,
            .args = args,
            .delay_ns = delay_ns,
            .drop = attempt_drop,
        };
        err = weft_staggered_race(&race, &winner);
        err = err < 0 ? err : (int)(intptr_t)winner - 1;
    }
    free(attempts);
    free(args);
    return err;
}

static int connect_unix(const char *path)
{
    struct address a;
    int err = weft__address_unix(&a, path);
    return err < 0 ? err : connect_one(&a, &(struct address_list){NULL, 0});
}

/* A descriptor that is connected, or -errno. */
static int connect_host(const char *host, const char *service,
                        const struct weft_connect_options *o)
{
    struct address_list local = {NULL, 0};
    struct address_list list = {NULL, 0};
    int fd = 0;
    if (o->local_host != NULL) {
        fd = weft__address_find(&local, o->local_host, o->local_service, o->family, false);
    }
    if (fd == 0) {
        fd = weft__address_find(&list, host, service, o->family, false);
    }
    if (fd == 0) {
        weft__address_interleave(&list);
        fd = weft__connect_any(&list, &local,
                               o->delay_ns != 0 ? o->delay_ns : WEFT_CONNECT_DELAY_DEFAULT);
    }
    weft__address_list_fini(&local);
    weft__address_list_fini(&list);
    return fd;
}

static int connect_check(const char *host, const char *service,
                         const struct weft_connect_options *o)
{
    for (unsigned i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) {
        if (o->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    if (host == NULL || o->delay_ns < 0 || o->for_ns < 0 ||
        (o->family != 0 && o->family != AF_INET && o->family != AF_INET6) ||
        (o->local_service != NULL && o->local_host == NULL)) {
        return -EINVAL;
    }
    bool is_unix = strncmp(host, "unix:", 5) == 0;
    if (is_unix != (service == NULL) ||
        (is_unix && (o->local_host != NULL || o->family != 0 || o->delay_ns != 0))) {
        return -EINVAL;
    }
    if (o->tls_host != NULL && o->tls == NULL) {
        return -EINVAL;
    }
    return weft__stream_check(&o->stream);
}

int weft__connect(const char *host, const char *service, const struct weft_connect_options *o)
{
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    int fd = connect_check(host, service, o);
    if (fd < 0) {
        return fd;
    }
    WEFT_TIMEOUT(o->for_ns != 0 ? o->for_ns : WEFT_FOREVER) {
        fd = service == NULL ? connect_unix(host + 5) : connect_host(host, service, o);
    }
    return fd;
}

/* Make a stream of a descriptor, and have it upgraded if that is wanted. 0 or an error; the
 * descriptor is taken care of. */
static int connect_stream(int fd, const char *host, const struct weft_connect_options *o,
                          weft_stream **stream)
{
    struct weft_stream_upgrade *tls = (struct weft_stream_upgrade *)(void *)o->tls;
    weft_stream *s = NULL;
    int err = weft_stream_open(fd, &o->stream, &s);
    if (err < 0) {
        (void)weft_close(fd);
        return err;
    }
    if (tls != NULL) {
        err = tls->start(tls, s, false, o->tls_host != NULL ? o->tls_host : host);
    }
    if (err < 0) {
        (void)weft_stream_close(s);
        return err;
    }
    *stream = s;
    return 0;
}

int weft_open_connection(const char *host, const char *service,
                         const struct weft_connect_options *options, weft_stream **stream)
{
    static const struct weft_connect_options none;
    const struct weft_connect_options *o = options != NULL ? options : &none;
    int err = 0;
    WEFT_TIMEOUT(o->for_ns != 0 ? o->for_ns : WEFT_FOREVER) {
        int fd = weft__connect(host, service, o);
        err = fd < 0 ? fd : connect_stream(fd, service != NULL ? host : NULL, o, stream);
    }
    return err;
}

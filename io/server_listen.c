/* SPDX-License-Identifier: MIT */
/*
 * Server: its listeners, from what the options say.
 *
 * All addresses of a list have the same port; where that is to be a free one, the first gets it and
 * the others follow, all over again with another if one of them is taken there.
 *
 * The file of a Unix socket is replaced when nobody listens at it: who connects is refused. At the
 * end it is removed if it is still the one that was made.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft/io.h>

#include "address.h"
#include "check.h"
#include "server.h"

/* Tries to find a port that is free on all addresses. */
#define PORT_TRIES 16

/* The first of the descriptors that systemd passes on. */
#define LISTEN_FDS_FIRST 3

/* Apart, as a name may have been waited for, and errno is the thread's. */
static WEFT_NOINLINE int last_error(void)
{
    return -errno;
}

/* Room for one more listener; NULL: no memory. */
static struct server_listener *listener_add(struct weft_server *s)
{
    size_t bytes = (s->listener_count + 1) * sizeof *s->listeners;
    struct server_listener *all = realloc(s->listeners, bytes);
    if (all == NULL) {
        return NULL;
    }
    s->listeners = all;
    struct server_listener *l = &all[s->listener_count++];
    *l = (struct server_listener){.fd = -1};
    return l;
}

static int listener_add_fd(struct weft_server *s, int fd)
{
    struct server_listener *l = listener_add(s);
    if (l == NULL) {
        (void)weft_close(fd);
        return -ENOMEM;
    }
    l->fd = fd;
    return 0;
}

void weft__server_listener_close(struct server_listener *l)
{
    struct stat st;
    if (l->is_memory) {
        weft_memory_listener_close(l->server->options.memory);
    }
    if (l->path != NULL) {
        if (stat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode) {
            (void)unlink(l->path);
        }
        free(l->path);
        l->path = NULL;
    }
    if (l->fd >= 0) {
        (void)weft_close(l->fd);
        l->fd = -1;
    }
}

static void listeners_close(struct weft_server *s, size_t from)
{
    while (s->listener_count > from) {
        struct server_listener *l = &s->listeners[--s->listener_count];
        l->is_memory = false; /* the caller's, after all */
        weft__server_listener_close(l);
    }
}

static int backlog_of(const struct weft_server *s)
{
    return s->options.backlog != 0 ? s->options.backlog : WEFT_BACKLOG_DEFAULT;
}

/* --- sockets with addresses --- */

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &bytes) < 0) {
        return 0;
    }
    return weft__address_port((struct sockaddr *)&address);
}

static int set_option(int fd, int level, int name)
{
    int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on) < 0 ? last_error() : 0;
}

/* Listen at one address. The descriptor, or -errno. */
static int listen_at(const struct weft_server *s, const struct sockaddr *address, socklen_t bytes)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return last_error();
    }
    int err = 0;
    if (address->sa_family != AF_UNIX) {
        err = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    }
    if (err == 0 && s->options.reuse_port) {
        err = set_option(fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (err == 0 && address->sa_family == AF_INET6) {
        err = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY); /* IPv4 has a socket of its own */
    }
    if (err == 0 && address->sa_family != AF_UNIX) {
        err = set_option(fd, IPPROTO_TCP, TCP_NODELAY); /* connections inherit it */
    }
    if (err == 0 && (bind(fd, address, bytes) < 0 || listen(fd, backlog_of(s)) < 0)) {
        err = last_error();
    }
    if (err < 0) {
        (void)weft_close(fd);
    }
    return err < 0 ? err : fd;
}

/* Whether an address that cannot be used may be left out, if another can: a machine without IPv6
 * has names for it all the same. */
static bool is_missing(int err)
{
    return err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT;
}

/* Listen at all addresses of a list, at one port. 0, or an error, and none is left open. */
static int listen_list(struct weft_server *s, struct address_list *list)
{
    size_t from = s->listener_count;
    int err = 0;
    int missing = 0;
    for (size_t i = 0; i < list->count && err == 0; i++) {
        struct address *a = &list->all[i];
        bool is_free = weft__address_port(&a->any) == 0;
        if (is_free && s->port != 0) {
            weft__address_set_port(&a->any, s->port);
        }
        int fd = listen_at(s, &a->any, a->bytes);
        if (is_free) {
            weft__address_set_port(&a->any, 0); /* for another try */
        }
        if (is_missing(fd)) {
            missing = fd;
        } else if (fd < 0) {
            err = fd;
        } else {
            s->port = s->port == 0 ? port_of(fd) : s->port;
            err = listener_add_fd(s, fd);
        }
    }
    if (err == 0 && missing < 0 && s->listener_count == from) {
        err = missing;
    }
    if (err < 0) {
        listeners_close(s, from);
    }
    return err;
}

static int listen_addresses(struct weft_server *s, struct address_list *list)
{
    bool is_free = s->port == 0;
    int err = -EADDRINUSE;
    for (int i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++) {
        err = listen_list(s, list);
        if (err < 0 && is_free) {
            s->port = 0;
        }
        if (!is_free || list->count < 2) {
            break;
        }
    }
    return err;
}

/* --- Unix sockets --- */

/* Make way for a socket at a path. 0; -EADDRINUSE: somebody listens there; -EEXIST: it is no
 * socket. */
static int path_clear(const struct sockaddr_un *address, socklen_t bytes)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0) {
        return 0;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return -EEXIST;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return last_error();
    }
    bool is_refused = connect(fd, (const struct sockaddr *)address, bytes) < 0 &&
                      (errno == ECONNREFUSED || errno == ENOENT);
    (void)weft_close(fd);
    if (!is_refused) {
        return -EADDRINUSE;
    }
    return unlink(address->sun_path) < 0 && errno != ENOENT ? last_error() : 0;
}

/* Note which file a listener has made, to remove it. */
static int path_note(const struct weft_server *s, struct server_listener *l, const char *path)
{
    struct stat st;
    if (s->options.path_mode != 0 && chmod(path, s->options.path_mode) < 0) {
        return last_error();
    }
    if (s->options.keep_path || lstat(path, &st) < 0) {
        return 0;
    }
    l->path = strdup(path);
    l->device = st.st_dev;
    l->inode = st.st_ino;
    return l->path == NULL ? -ENOMEM : 0;
}

static int listen_unix(struct weft_server *s, const char *path)
{
    struct address a;
    int err = weft__address_unix(&a, path);
    bool has_file = *path != '@';
    if (err == 0 && has_file) {
        err = path_clear(&a.un, a.bytes);
    }
    int fd = err < 0 ? err : listen_at(s, &a.any, a.bytes);
    err = fd < 0 ? fd : listener_add_fd(s, fd);
    if (err == 0 && has_file) {
        err = path_note(s, &s->listeners[s->listener_count - 1], path);
        if (err < 0) {
            (void)unlink(path);
        }
    }
    return err;
}

/* --- descriptors that listen already --- */

static int listen_adopted(struct weft_server *s, int fd)
{
    int listens = 0;
    int type = 0;
    socklen_t bytes = sizeof listens;
    for (size_t i = 0; i < s->listener_count; i++) {
        if (s->listeners[i].fd == fd) {
            return -EINVAL; /* and closed once */
        }
    }
    int err = getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) < 0 ? last_error() : 0;
    bytes = sizeof type;
    if (err == 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0) {
        err = last_error();
    }
    if (err == 0 && (listens == 0 || type != SOCK_STREAM)) {
        err = -EINVAL;
    }
    if (err < 0) {
        (void)weft_close(fd);
        return err == -ENOTSOCK ? -EINVAL : err;
    }
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    err = listener_add_fd(s, fd);
    if (err == 0) {
        s->listeners[s->listener_count - 1].is_shared = true;
    }
    s->port = s->port == 0 && err == 0 ? port_of(fd) : s->port;
    return err;
}

/* A number of the environment: digits and nothing else. -EINVAL: it is none. */
static int environment_number(const char *text)
{
    char *end;
    if (*text < '0' || *text > '9') {
        return -EINVAL;
    }
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    return *end != '\0' || errno != 0 || n > INT_MAX - LISTEN_FDS_FIRST ? -EINVAL : (int)n;
}

/* How many descriptors systemd has passed on to this process, or -EINVAL. They are taken once. */
static int systemd_count(void)
{
    const char *pid = secure_getenv("LISTEN_PID");
    const char *count = secure_getenv("LISTEN_FDS");
    int n = 0;
    if (pid != NULL && count != NULL) {
        int whose = environment_number(pid);
        n = whose < 0 ? whose : whose == getpid() ? environment_number(count) : 0;
    }
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    return n;
}

/* They follow each other: behind the first that is not there is none. */
static int listen_systemd(struct weft_server *s)
{
    int count = systemd_count();
    int err = count < 0 ? count : 0;
    for (int i = 0; i < count && err == 0; i++) {
        err = listen_adopted(s, LISTEN_FDS_FIRST + i);
        while (err < 0 && err != -EBADF && ++i < count &&
               weft_close(LISTEN_FDS_FIRST + i) != -EBADF) {
        }
    }
    return err;
}

void weft__server_passed_close(const struct weft_server_options *o, size_t from)
{
    for (size_t i = from; o->fds != NULL && i < o->fd_count; i++) {
        (void)weft_close(o->fds[i]);
    }
}

/* All that were passed are the server's, also when one of them is refused. */
static int listen_passed(struct weft_server *s)
{
    int err = 0;
    for (size_t i = 0; i < s->options.fd_count && err == 0; i++) {
        err = listen_adopted(s, s->options.fds[i]);
        if (err < 0) {
            weft__server_passed_close(&s->options, i + 1);
        }
    }
    return err == 0 && s->options.listen_fds ? listen_systemd(s) : err;
}

/* --- all of them --- */

/* One entry of the list of hosts. */
static int listen_host(struct weft_server *s, const char *host, struct address_list *list)
{
    if (strncmp(host, "unix:", 5) == 0) {
        return listen_unix(s, host + 5);
    }
    return weft__address_find(list, host, s->options.service, AF_UNSPEC, true);
}

static int listen_hosts(struct weft_server *s)
{
    struct address_list list = {.count = 0};
    char *hosts = strdup(s->options.host);
    int err = hosts == NULL ? -ENOMEM : 0;
    char *rest = NULL;
    for (char *at = hosts; err == 0 && (at = strtok_r(at, ",", &rest)) != NULL; at = NULL) {
        err = listen_host(s, at + strspn(at, " "), &list);
    }
    if (err == 0 && weft__address_has_twice(&list)) {
        err = -EINVAL;
    }
    if (err == 0 && list.count > 0) {
        err = listen_addresses(s, &list);
    }
    weft__address_list_fini(&list);
    free(hosts);
    return err;
}

/* All addresses of both families. */
static int listen_everywhere(struct weft_server *s)
{
    struct address_list list = {.count = 0};
    int err = weft__address_find(&list, NULL, s->options.service, AF_UNSPEC, true);
    if (err == 0) {
        err = listen_addresses(s, &list);
    }
    weft__address_list_fini(&list);
    return err;
}

int weft__server_listen(struct weft_server *s)
{
    int err = listen_passed(s);
    if (err == 0 && s->options.memory != NULL) {
        struct server_listener *l = listener_add(s);
        err = l == NULL ? -ENOMEM : 0;
        if (l != NULL) {
            l->is_memory = true;
        }
    }
    if (err == 0 && s->options.host != NULL) {
        err = listen_hosts(s);
    } else if (err == 0 && s->listener_count == 0) {
        err = listen_everywhere(s);
    }
    if (err == 0 && s->listener_count == 0) {
        err = -EINVAL; /* an empty list */
    }
    for (size_t i = 0; i < s->listener_count; i++) {
        s->listeners[i].server = s;
    }
    if (err < 0) {
        listeners_close(s, 0);
        free(s->listeners);
        s->listeners = NULL;
    }
    return err;
}

/* SPDX-License-Identifier: MIT */
/*
 * What the command line tools share: numbers and addresses given as arguments, options that several
 * have, signals as a descriptor, the descriptor limit.
 *
 *     case 'c':
 *         o->connections = (unsigned)cli_number(state, "--connections", arg, 1, 1000000);
 *
 * A bad argument ends the program through argp_error: one line that says which option, what was
 * given and what would have been right, then where help is, and exit status 64.
 */
#ifndef WEFT_CLI_H
#define WEFT_CLI_H

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <weft/runtime.h>

/* An address as socket calls want it. */
struct cli_address {
    struct sockaddr_storage storage;
    socklen_t bytes;
};

/* Room for "[IPv6 address]:port", and for "unix:/path". */
#define CLI_ADDRESS_TEXT (sizeof(struct sockaddr_un) + 8)

/* What an error number means, without the buffer that makes strerror unsafe among threads. */
static inline const char *cli_error_text(int err)
{
    const char *text = strerrordesc_np(err < 0 ? -err : err);
    return text != NULL ? text : "unknown error";
}

/* A whole number between least and most. */
static inline long cli_number(struct argp_state *state, const char *option, const char *arg,
                              long least, long most)
{
    char *end;
    errno = 0;
    long n = strtol(arg, &end, 10);
    if (errno != 0 || end == arg || *end != '\0' || n < least || n > most) {
        argp_error(state, "%s takes a whole number from %ld to %ld, not '%s'", option, least, most,
                   arg);
    }
    return n;
}

/* A time in seconds, fractions allowed, as nanoseconds. */
static inline int64_t cli_seconds(struct argp_state *state, const char *option, const char *arg,
                                  double least, double most)
{
    char *end;
    double s = strtod(arg, &end);
    if (end == arg || *end != '\0' || !(s >= least && s <= most)) {
        argp_error(state, "%s takes seconds from %g to %g, not '%s'", option, least, most, arg);
    }
    return (int64_t)(s * 1e9);
}

/* --workers N */
static inline unsigned cli_workers(struct argp_state *state, const char *arg)
{
    return (unsigned)cli_number(state, "--workers", arg, 1, WEFT_WORKERS_MAX);
}

/* --spin MICROSECONDS, as nanoseconds */
static inline int64_t cli_spin_ns(struct argp_state *state, const char *arg)
{
    return cli_number(state, "--spin", arg, 0, 1000000) * WEFT_US;
}

/* --tls, in a build that has it, or not. */
static inline void cli_require_tls(struct argp_state *state, bool has_tls)
{
    if (!has_tls) {
        argp_error(state, "--tls: this build has no TLS; install OpenSSL 3 with headers"
                   " (Debian: libssl-dev), then configure and build anew");
    }
}

/* An argument that belongs to no option. */
static inline void cli_refuse(struct argp_state *state, const char *arg)
{
    argp_error(state, "'%s' is not understood", arg);
}

/*
 * Route signals to a descriptor. To be called before a runtime is made: threads inherit the mask,
 * so no thread takes them the old way.
 * Returns the descriptor, which does not block, or -errno.
 */
static inline int cli_signals_open(const int *signals, size_t count)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) {
        sigaddset(&set, signals[i]);
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        return -errno;
    }
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/*
 * Look an address up; port may be NULL for none.
 * Returns 0, or getaddrinfo's error, for gai_strerror.
 */
static inline int cli_resolve(const char *host, const char *port, int flags,
                              struct cli_address *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found;
    int err = getaddrinfo(host, port, &hints, &found);
    if (err != 0) {
        return err;
    }
    memset(address, 0, sizeof *address);
    memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
    address->bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

/* The address of a Unix socket: a path, or "@name" for one without a file. */
static inline void cli_unix_address(struct argp_state *state, const char *arg,
                                    struct cli_address *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t n = strlen(arg);
    size_t most = sizeof un->sun_path - 1;
    if (n == 0 || n > most || (arg[0] == '@' && n == 1)) {
        argp_error(state, "--unix takes a path of 1 to %zu bytes, or @name, not '%s'", most, arg);
        return;
    }
    memset(address, 0, sizeof *address);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, arg, n);
    bool is_file = arg[0] != '@';
    if (!is_file) {
        un->sun_path[0] = '\0';
    }
    address->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + is_file);
}

/* As cli_address_text, for a Unix socket. */
static inline void cli_unix_text(const struct cli_address *address, char *text)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    int n = (int)(address->bytes - offsetof(struct sockaddr_un, sun_path));
    if (n > 0 && un->sun_path[0] == '\0') {
        snprintf(text, CLI_ADDRESS_TEXT, "unix:@%.*s", n - 1, un->sun_path + 1);
    } else {
        snprintf(text, CLI_ADDRESS_TEXT, "unix:%.*s", n, un->sun_path);
    }
}

/* An address as people write it: 127.0.0.1:7007, [::1]:7007, unix:/run/echo. */
static inline void cli_address_text(const struct cli_address *address,
                                    char text[static CLI_ADDRESS_TEXT])
{
    char host[INET6_ADDRSTRLEN];
    char port[8];
    if (address->storage.ss_family == AF_UNIX) {
        cli_unix_text(address, text);
        return;
    }
    int err = getnameinfo((const struct sockaddr *)&address->storage, address->bytes, host,
                          sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    if (err != 0) {
        snprintf(text, CLI_ADDRESS_TEXT, "?");
        return;
    }
    bool is_v6 = address->storage.ss_family == AF_INET6;
    snprintf(text, CLI_ADDRESS_TEXT, is_v6 ? "[%s]:%s" : "%s:%s", host, port);
}

/*
 * Raise the soft limit of descriptors to the hard one, which every program may do.
 * before: gets the soft limit as it was
 * Returns the limit that holds now.
 */
static inline unsigned long cli_raise_descriptor_limit(unsigned long *before)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        *before = 0;
        return 0;
    }
    *before = limit.rlim_cur;
    struct rlimit raised = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        limit = raised;
    }
    return limit.rlim_cur;
}

/* The way to a higher limit, one line each, written to `out`. */
static inline void cli_say_how_to_raise(FILE *out)
{
    unsigned long most = 0;
    FILE *f = fopen("/proc/sys/fs/nr_open", "re");
    if (f != NULL) {
        if (fscanf(f, "%lu", &most) != 1) {
            most = 0;
        }
        fclose(f);
    }
    fprintf(out, "  for more, raise the hard limit before the start: `ulimit -n 100000` in a root\n"
                 "  shell, LimitNOFILE=100000 in a systemd unit, or 'nofile' in\n"
                 "  /etc/security/limits.conf");
    if (most > 0) {
        fprintf(out, " (fs.nr_open allows %lu at most)", most);
    }
    fprintf(out, "\n");
}

#endif

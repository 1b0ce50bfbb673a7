/* SPDX-License-Identifier: MIT */
/*
 * Names; the contract is in weft/resolve.h.
 *
 * The C library's own functions on threads: they alone know all that a system is configured for.
 * getaddrinfo_a(3) does the same with threads that cannot be bounded or told from others, and a
 * resolver that only speaks DNS would answer differently from every other program.
 *
 * A look-up owns what it uses (runtime/detached.h). The caller takes the outcome out; what is left
 * in it is freed with it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/resolve.h>

#include "detached.h"
#include "op.h"

static const struct {
    int eai;
    int error;
} meanings[] = {
    {EAI_NONAME, -ENOENT},
    {EAI_NODATA, -ENODATA},
    {EAI_ADDRFAMILY, -EADDRNOTAVAIL},
    {EAI_AGAIN, -EAGAIN},
    {EAI_FAIL, -EREMOTEIO},
    {EAI_SERVICE, -EPROTONOSUPPORT},
    {EAI_FAMILY, -EAFNOSUPPORT},
    {EAI_SOCKTYPE, -ESOCKTNOSUPPORT},
    {EAI_BADFLAGS, -EINVAL},
    {EAI_MEMORY, -ENOMEM},
    {EAI_OVERFLOW, -EOVERFLOW},
};

#define MEANINGS (sizeof meanings / sizeof meanings[0])

/* Of an answer of the library; to be called at once, since EAI_SYSTEM leaves it to errno. */
static int meaning_of(int eai)
{
    if (eai == 0) {
        return 0;
    }
    if (eai == EAI_SYSTEM) {
        return errno != 0 ? -errno : -EIO;
    }
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].eai == eai) {
            return meanings[i].error;
        }
    }
    return -EIO;
}

const char *weft_resolve_text(int error)
{
    for (size_t i = 0; i < MEANINGS; i++) {
        if (meanings[i].error == error) {
            return gai_strerror(meanings[i].eai);
        }
    }
    const char *text = error == INT_MIN ? NULL : strerrordesc_np(error < 0 ? -error : error);
    return text != NULL ? text : "unknown error";
}

/* Where a call that does not wait may be made: in a task that was not cancelled. */
static int call_allowed(void)
{
    struct fiber *f = weft__fiber_current();
    return f == NULL ? -EPERM : op_spent(weft__interrupted(f));
}

/* ---- addresses of a name ---- */

struct forward {
    struct detached call; /* first */
    struct addrinfo hints;
    bool has_hints;
    int error;
    struct addrinfo *found;
    const char *host; /* NULL, or in text */
    const char *service;
    char text[];
};

static void forward_drop(struct detached *self)
{
    struct forward *f = (struct forward *)(void *)self;
    weft_resolve_free(f->found);
    free(f);
}

/* On a thread. */
static void *forward_run(void *arg)
{
    struct forward *f = arg;
    const struct addrinfo *hints = f->has_hints ? &f->hints : NULL;
    errno = 0;
    f->error = meaning_of(getaddrinfo(f->host, f->service, hints, &f->found));
    f->found = f->error == 0 ? f->found : NULL;
    return NULL;
}

static struct forward *forward_create(const char *host, const char *service,
                                      const struct addrinfo *hints)
{
    size_t host_bytes = host != NULL ? strlen(host) + 1 : 0;
    size_t service_bytes = service != NULL ? strlen(service) + 1 : 0;
    struct forward *f = calloc(1, sizeof *f + host_bytes + service_bytes);
    if (f == NULL) {
        return NULL;
    }
    f->call.job.fn = forward_run;
    f->call.job.arg = f;
    f->call.job.name = "weft_resolve";
    f->call.drop = forward_drop;
    if (hints != NULL) {
        f->has_hints = true;
        f->hints = *hints;
    }
    if (host != NULL) {
        f->host = memcpy(f->text, host, host_bytes);
    }
    if (service != NULL) {
        f->service = memcpy(f->text + host_bytes, service, service_bytes);
    }
    return f;
}

static bool is_number(const char *text)
{
    const char *at = text;
    while (isdigit((unsigned char)*at)) {
        at++;
    }
    return at != text && *at == '\0';
}

/* Whether a host may be an address in figures: 127.1, ::1, fe80::1%eth0. */
static bool may_be_address(const char *host)
{
    return isdigit((unsigned char)host[0]) || strchr(host, ':') != NULL;
}

/*
 * What needs no look-up, at once. Returns 0, -EAGAIN when it does need one, or another error.
 * Apart: errno is the thread's.
 */
static WEFT_NOINLINE int resolve_numeric(const char *host, const char *service,
                                         const struct addrinfo *hints, struct addrinfo **result)
{
    struct addrinfo numeric = {.ai_family = AF_UNSPEC};
    if (hints != NULL) {
        numeric = *hints;
    }
    bool may_look_up = host != NULL && (numeric.ai_flags & AI_NUMERICHOST) == 0;
    if ((service != NULL && !is_number(service)) || (may_look_up && !may_be_address(host))) {
        return -EAGAIN;
    }
    numeric.ai_flags |= AI_NUMERICHOST;
    errno = 0;
    int eai = getaddrinfo(host, service, &numeric, result);
    if (eai == 0) {
        return 0;
    }
    *result = NULL;
    int err = meaning_of(eai);
    return may_look_up && eai == EAI_NONAME ? -EAGAIN : err;
}

int weft_resolve(const char *host, const char *service, const struct addrinfo *hints,
                 struct addrinfo **result)
{
    *result = NULL;
    int err = call_allowed();
    if (err < 0) {
        return err;
    }
    err = resolve_numeric(host, service, hints, result);
    if (err != -EAGAIN) {
        return op_spent(err);
    }
    struct forward *f = forward_create(host, service, hints);
    err = f == NULL ? -ENOMEM : weft__run_detached(&f->call);
    if (err < 0) {
        return op_spent(err);
    }
    err = f->error;
    *result = f->found;
    f->found = NULL;
    forward_drop(&f->call);
    return err;
}

void weft_resolve_free(struct addrinfo *list)
{
    if (list != NULL) {
        freeaddrinfo(list);
    }
}

/* ---- the name of an address ---- */

struct reverse {
    struct detached call; /* first */
    struct sockaddr_storage address;
    socklen_t bytes;
    int flags;
    int error;
    socklen_t host_bytes; /* 0: not wanted */
    socklen_t service_bytes;
    char host[NI_MAXHOST];
    char service[NI_MAXSERV];
};

static void reverse_drop(struct detached *self)
{
    free(self);
}

static void *reverse_run(void *arg)
{
    struct reverse *r = arg;
    errno = 0;
    r->error = meaning_of(getnameinfo((const struct sockaddr *)(const void *)&r->address, r->bytes,
                                      r->host_bytes > 0 ? r->host : NULL, r->host_bytes,
                                      r->service_bytes > 0 ? r->service : NULL, r->service_bytes,
                                      r->flags));
    return NULL;
}

static socklen_t smaller(size_t bytes, size_t room)
{
    return (socklen_t)(bytes < room ? bytes : room);
}

int weft_resolve_name(const struct sockaddr *address, socklen_t bytes, char *host,
                      size_t host_bytes, char *service, size_t service_bytes, int flags)
{
    int err = call_allowed();
    if (err < 0) {
        return err;
    }
    struct reverse *r = bytes > sizeof r->address ? NULL : calloc(1, sizeof *r);
    if (r == NULL) {
        return op_spent(bytes > sizeof r->address ? -EAFNOSUPPORT : -ENOMEM);
    }
    r->call.job.fn = reverse_run;
    r->call.job.arg = r;
    r->call.job.name = "weft_resolve_name";
    r->call.drop = reverse_drop;
    memcpy(&r->address, address, bytes);
    r->bytes = bytes;
    r->flags = flags;
    r->host_bytes = host == NULL ? 0 : smaller(host_bytes, sizeof r->host);
    r->service_bytes = service == NULL ? 0 : smaller(service_bytes, sizeof r->service);
    bool is_numeric = (r->host_bytes == 0 || (flags & NI_NUMERICHOST) != 0) &&
                      (r->service_bytes == 0 || (flags & NI_NUMERICSERV) != 0);
    if (is_numeric) {
        (void)reverse_run(r);
        weft__spend();
    } else {
        err = weft__run_detached(&r->call);
        if (err < 0) {
            return op_spent(err);
        }
    }
    err = r->error;
    if (err == 0 && r->host_bytes > 0) {
        memcpy(host, r->host, strlen(r->host) + 1);
    }
    if (err == 0 && r->service_bytes > 0) {
        memcpy(service, r->service, strlen(r->service) + 1);
    }
    free(r);
    return err;
}

/* SPDX-License-Identifier: MIT */
/* Interest; see interest.h. */
#include "interest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attempt.h"
#include "check.h"
#include "op.h"

/* From one look to the next, if there are any that are trusted. */
#define TRUST_NS (10 * WEFT_MS)

/* Looks that pass over one that is not ready. With more of them a connection that is quiet for
 * longer costs more than the epoll_ctl it is spared when it is quiet for less. */
#define LOOKS_MAX 2

/* Up to so many of a word that are old are not worth coming back for. */
#define LOOK_FEW 3

/* Events in a row that nobody waits for, until the descriptor is taken off. */
#define UNCLAIMED_MAX 8

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI, "the same bits");

int weft__interests_init(struct interests *t, struct registrations *shared)
{
    t->trusted = 0;
    t->look_ns = WEFT_FOREVER;
    t->chunks = 0;
    t->chunk = calloc(INTEREST_CHUNKS, sizeof t->chunk[0]);
    if (t->chunk == NULL) {
        return -ENOMEM;
    }
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (t->epoll_fd < 0) {
        int err = -errno;
        free(t->chunk);
        return err;
    }
    t->shared = shared;
    t->instance = weft__registrations_join(shared, t->epoll_fd);
    return 0;
}

void weft__interests_fini(struct interests *t)
{
    close(t->epoll_fd);
    for (size_t i = 0; i < t->chunks; i++) {
        free(t->chunk[i]);
    }
    free(t->chunk);
}

/* ---- trust ---- */

static struct interest_chunk *chunk_of(const struct interests *t, int fd)
{
    return t->chunk[(unsigned)fd / INTEREST_CHUNK];
}

static unsigned word_of(int fd)
{
    return (unsigned)fd % INTEREST_CHUNK / INTEREST_WORD;
}

static uint64_t bit_of(int fd)
{
    return (uint64_t)1 << ((unsigned)fd % INTEREST_WORD);
}

static void trust(struct interests *t, struct interest *in, int64_t now_ns)
{
    struct interest_chunk *chunk = chunk_of(t, in->fd);
    unsigned word = word_of(in->fd);
    if (((chunk->young[word] | chunk->old[word]) & bit_of(in->fd)) == 0) {
        chunk->young[word] |= bit_of(in->fd);
        in->looks = 0;
        t->look_ns = t->trusted == 0 ? now_ns + TRUST_NS : t->look_ns;
        t->trusted++;
    }
}

static void trust_end(struct interests *t, int fd)
{
    struct interest_chunk *chunk = chunk_of(t, fd);
    unsigned word = word_of(fd);
    if (((chunk->young[word] | chunk->old[word]) & bit_of(fd)) != 0) {
        chunk->young[word] &= ~bit_of(fd);
        chunk->old[word] &= ~bit_of(fd);
        t->trusted--;
    }
}

/* ---- */

static void interest_reset(struct interests *t, struct interest *in)
{
    in->events = 0;
    in->drained = 0;
    in->has_ended = false;
    in->unclaimed = 0;
    in->kind = KIND_UNKNOWN;
    trust_end(t, in->fd);
}

void weft__interest_doubt(struct interests *t, struct interest *in)
{
    if (list_empty(&in->ops)) {
        interest_reset(t, in);
    }
}

/* NULL: no memory. */
static struct interest_chunk *chunk_create(void)
{
    struct interest_chunk *chunk = aligned_alloc(WEFT_CACHE_LINE, sizeof *chunk);
    if (chunk != NULL) {
        memset(chunk, 0, sizeof *chunk);
    }
    return chunk;
}

struct interest *weft__interest_get(struct interests *t, int fd)
{
    struct registration *r = weft__registration_of(t->shared, fd);
    if (r == NULL) {
        return NULL;
    }
    uint32_t files = atomic_load_relaxed(&r->files); /* ORD none: registration.h */
    struct interest_chunk **chunk = &t->chunk[(unsigned)fd / INTEREST_CHUNK];
    if (WEFT_UNLIKELY(*chunk == NULL)) {
        *chunk = chunk_create();
        if (*chunk == NULL) {
            return NULL;
        }
        size_t n = (unsigned)fd / INTEREST_CHUNK + 1;
        t->chunks = n > t->chunks ? n : t->chunks;
    }
    struct interest *in = &(*chunk)->all[(unsigned)fd % INTEREST_CHUNK];
    if (WEFT_UNLIKELY(!in->is_used)) {
        list_init(&in->ops);
        in->is_used = true;
        in->fd = fd;
        in->files = files;
    }
    if (WEFT_UNLIKELY(in->files != files)) {
        in->files = files;
        interest_reset(t, in); /* the kernel has done its part in close(2) */
    }
    return in;
}

/* Apart: errno is the thread's. */
static WEFT_NOINLINE int interest_control(struct interests *t, int what, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u64 = (uint64_t)(unsigned)fd};
    return epoll_ctl(t->epoll_fd, what, fd, &e) < 0 ? -errno : 0;
}

/* Register it for events, whatever the kernel knows of it. */
static int interest_register(struct interests *t, struct interest *in, uint32_t events)
{
    int err = -ENOENT;
    if (in->events != 0) {
        err = interest_control(t, EPOLL_CTL_MOD, in->fd, events);
        if (err == -ENOENT) {
            interest_reset(t, in); /* it was another file's */
        }
    }
    if (err == -ENOENT) {
        err = interest_control(t, EPOLL_CTL_ADD, in->fd, events);
        if (err == 0) {
            weft__registration_note(weft__registration_of(t->shared, in->fd), t->instance);
        }
    }
    if (err == -EEXIST) {
        err = interest_control(t, EPOLL_CTL_MOD, in->fd, events);
    }
    in->events = err == 0 ? events : in->events;
    return err;
}

/* What is asked for, for events that somebody waits for. */
static uint32_t registered_for(uint32_t events)
{
    return events | (uint32_t)EPOLLET | ((events & POLLIN) != 0 ? (uint32_t)EPOLLRDHUP : 0);
}

int weft__interest_watch(struct interests *t, struct interest *in, uint32_t events,
                         int64_t now_ns)
{
    uint32_t wanted = registered_for(events);
    in->unclaimed = 0;
    if (WEFT_LIKELY((wanted & ~in->events) == 0)) {
        trust(t, in, now_ns);
        return 0;
    }
    return interest_register(t, in, in->events | wanted);
}

/* By number: somebody may be closing it, which is of no matter here, but TSan takes epoll_ctl for
 * a use of the file. Apart, as interest_control. */
static WEFT_NOINLINE void interest_take_off(struct interests *t, int fd)
{
    struct epoll_event unused = {.events = 0};
    (void)syscall(SYS_epoll_ctl, t->epoll_fd, EPOLL_CTL_DEL, fd, &unused);
}

bool weft__interest_note(struct interests *t, struct interest *in, uint32_t events)
{
    bool has_ended = (events & (uint32_t)(EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0;
    trust_end(t, in->fd);
    in->drained &= has_ended ? 0 : ~events;
    in->has_ended = in->has_ended || has_ended;
    if (!list_empty(&in->ops)) {
        in->unclaimed = 0;
        return true;
    }
    if (++in->unclaimed >= UNCLAIMED_MAX) {
        interest_take_off(t, in->fd);
        interest_reset(t, in);
    }
    return false;
}

/* ---- looks ---- */

int64_t weft__interests_check_at(const struct interests *t)
{
    return t->trusted == 0 ? WEFT_FOREVER : t->look_ns;
}

/* What those that wait are to be registered for. */
static uint32_t interest_wanted(const struct interest *in)
{
    uint32_t wanted = 0;
    for (const struct list *l = in->ops.next; l != &in->ops; l = l->next) {
        const struct op *op = WEFT_CONTAINER(l, const struct op, link);
        wanted |= registered_for(op->wait != NULL ? attempt_events(op->request) : op->events);
    }
    return wanted;
}

/* Whether somebody waits for one of the events that poll(2) has told of. It was asked for all that
 * is registered, which may be more: to find out for each would be to go through ops that no cache
 * holds. */
static bool is_wanted(const struct interest *in, short events)
{
    uint32_t met = (uint32_t)(unsigned short)events;
    return (met & (interest_wanted(in) | POLLERR | POLLHUP | POLLNVAL)) != 0;
}

/* Ask for the registration of one that was trusted, and somebody waits for. Only what is waited for
 * is asked for: what else there is, as a rule room to send, would be told at once, and the wait
 * trusted again. */
static void check_one(struct interests *t, struct interest *in, int64_t now_ns, struct list *again)
{
    trust_end(t, in->fd);
    uint32_t wanted = interest_wanted(in);
    int err = interest_register(t, in, wanted);
    if (err == -ENOMEM || err == -ENOSPC) {
        in->events = in->events != 0 ? in->events : wanted; /* if it was another file's */
        trust(t, in, now_ns); /* ask again */
    } else if (err < 0) {
        interest_reset(t, in);
        for (struct list *l; (l = list_pop_front(&in->ops)) != NULL;) {
            list_push_back(again, l);
        }
    }
}

/* Look at those of a word that were old; the others are old from now on. */
static void check_word(struct interests *t, struct interest_chunk *chunk, unsigned word,
                       int64_t now_ns, struct list *again)
{
    struct pollfd asked[INTEREST_WORD];
    unsigned count = 0;
    uint64_t old = chunk->old[word];
    bool are_few = __builtin_popcountll(old) <= LOOK_FEW;
    chunk->old[word] |= chunk->young[word];
    chunk->young[word] = 0;
    for (; old != 0; old &= old - 1) {
        struct interest *in = &chunk->all[word * INTEREST_WORD + (unsigned)__builtin_ctzll(old)];
        if (list_empty(&in->ops)) {
            trust_end(t, in->fd);
        } else if (are_few || in->looks == LOOKS_MAX) {
            check_one(t, in, now_ns, again);
        } else {
            in->looks++;
            asked[count++] = (struct pollfd){.fd = in->fd, .events = (short)in->events};
        }
    }
    bool is_known = count > 0 && weft__poll_now(asked, count) >= 0;
    for (unsigned i = 0; i < count; i++) {
        struct interest *in = interest_find(t, asked[i].fd);
        if (!is_known || (asked[i].revents != 0 && is_wanted(in, asked[i].revents))) {
            check_one(t, in, now_ns, again);
        }
    }
}

void weft__interests_check(struct interests *t, int64_t now_ns, bool are_all_told,
                           struct list *again)
{
    int64_t due_ns = weft__interests_check_at(t);
    if (now_ns < due_ns || (!are_all_told && now_ns - due_ns < TRUST_NS)) {
        return;
    }
    t->look_ns = now_ns + TRUST_NS;
    for (size_t i = 0; i < t->chunks; i++) {
        for (unsigned word = 0; t->chunk[i] != NULL && word < INTEREST_WORDS; word++) {
            if ((t->chunk[i]->young[word] | t->chunk[i]->old[word]) != 0) {
                check_word(t, t->chunk[i], word, now_ns, again);
            }
        }
    }
}

/* SPDX-License-Identifier: MIT */
#include "injection.h"
#include "atomic.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Of linux/io_uring.h of 6.10: a NOP ends with what its length says. */
#define NOP_INJECT_RESULT 1u

#define TAG_MARK ((uint64_t)1) /* of what is no operation, see io/poller_uring.c */

static struct {
    atomic_int kind;
    atomic_int error;
    atomic_int opcode;
    atomic_uint first;
    atomic_uint last; /* 0: none */
    atomic_uint calls;
    atomic_uint failed;
    atomic_long blocks;
    atomic_long mapped;
} inject = {.opcode = -1};

/* The ring of the calling thread; what was looked at of its queue. */
static _Thread_local struct io_uring *own_ring;
static _Thread_local unsigned own_looked;
static _Thread_local atomic_bool own_is_looking;

void inject_arm(enum inject_kind kind, unsigned n, int error, unsigned times)
{
    atomic_store_seq_cst(&inject.kind, INJECT_NOTHING);
    atomic_store_seq_cst(&inject.error, error);
    atomic_store_seq_cst(&inject.first, n);
    atomic_store_seq_cst(&inject.last, times < UINT_MAX - n ? n + times - 1 : UINT_MAX);
    atomic_store_seq_cst(&inject.calls, 0);
    atomic_store_seq_cst(&inject.failed, 0);
    atomic_store_seq_cst(&inject.kind, (int)kind);
}

unsigned inject_disarm(void)
{
    atomic_store_seq_cst(&inject.kind, INJECT_NOTHING);
    return atomic_load_seq_cst(&inject.failed);
}

enum inject_kind inject_pause(void)
{
    return (enum inject_kind)atomic_exchange_seq_cst(&inject.kind, INJECT_NOTHING);
}

void inject_resume(enum inject_kind kind)
{
    atomic_store_seq_cst(&inject.kind, (int)kind);
}

void inject_opcode(int opcode)
{
    atomic_store_seq_cst(&inject.opcode, opcode);
}

long inject_blocks(void)
{
    return atomic_load_seq_cst(&inject.blocks);
}

long inject_mapped(void)
{
    return atomic_load_seq_cst(&inject.mapped);
}

/* Count a call. Returns whether it is to fail. */
static bool is_due(enum inject_kind kind)
{
    if (atomic_load_seq_cst(&inject.kind) != (int)kind) {
        return false;
    }
    unsigned n = atomic_add_seq_cst(&inject.calls, 1) + 1;
    bool fails = n >= atomic_load_seq_cst(&inject.first) && n <= atomic_load_seq_cst(&inject.last);
    atomic_add_seq_cst(&inject.failed, fails);
    return fails;
}

static bool is_short(void)
{
    return atomic_load_seq_cst(&inject.error) == 0;
}

/* The same for a call that tells by errno. */
bool inject_fails(enum inject_kind kind)
{
    bool is_failing = is_due(kind) && !is_short();
    if (is_failing) {
        errno = atomic_load_seq_cst(&inject.error);
    }
    return is_failing;
}

/* For those that return the error. */
static int error_of(enum inject_kind kind)
{
    return is_due(kind) ? atomic_load_seq_cst(&inject.error) : 0;
}

/* A function that fails by `failed`, with errno set. */
#define WRAP(name, kind, type, failed, params, args) \
    type __real_##name params; \
    type __wrap_##name params; \
    type __wrap_##name params \
    { \
        return inject_fails(kind) ? (failed) : __real_##name args; \
    }

/* A function that returns the error, times sign. */
#define WRAP_RETURNS(name, kind, sign, params, args) \
    int __real_##name params; \
    int __wrap_##name params; \
    int __wrap_##name params \
    { \
        int error = error_of(kind); \
        return error != 0 ? (sign) * error : __real_##name args; \
    }

/* --- memory ----------------------------------------------------------------------------------- */

static void *counted(void *block)
{
    if (block != NULL) {
        atomic_add_seq_cst(&inject.blocks, 1);
    }
    return block;
}

#define WRAP_ALLOCATES(name, type, params, args) \
    type *__real_##name params; \
    type *__wrap_##name params; \
    type *__wrap_##name params \
    { \
        return inject_fails(INJECT_MEMORY) ? NULL : counted(__real_##name args); \
    }

WRAP_ALLOCATES(malloc, void, (size_t n), (n))
WRAP_ALLOCATES(calloc, void, (size_t n, size_t each), (n, each))
WRAP_ALLOCATES(aligned_alloc, void, (size_t align, size_t n), (align, n))
WRAP_ALLOCATES(strdup, char, (const char *text), (text))
WRAP_ALLOCATES(strndup, char, (const char *text, size_t n), (text, n))

void *__real_realloc(void *block, size_t n);
void *__wrap_realloc(void *block, size_t n);
void *__wrap_realloc(void *block, size_t n)
{
    if (inject_fails(INJECT_MEMORY)) {
        return NULL;
    }
    void *moved = __real_realloc(block, n);
    return block == NULL ? counted(moved) : moved;
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    if (block != NULL) {
        atomic_sub_seq_cst(&inject.blocks, 1);
    }
    __real_free(block);
}

/* What getline is inside, or where it is not. */
#define WRAP_READS_LINE(name, params, args) \
    ssize_t __real_##name params; \
    ssize_t __wrap_##name params; \
    ssize_t __wrap_##name params \
    { \
        bool was_empty = *line == NULL; \
        if (was_empty && inject_fails(INJECT_MEMORY)) { \
            return -1; \
        } \
        ssize_t n = __real_##name args; \
        (void)(was_empty ? counted(*line) : NULL); \
        return n; \
    }

WRAP_READS_LINE(getline, (char **line, size_t *bytes, FILE *file), (line, bytes, file))
WRAP_READS_LINE(__getdelim, (char **line, size_t *bytes, int end, FILE *file),
                (line, bytes, end, file))

void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    bool fails = inject_fails(INJECT_MAP);
    void *p = fails ? MAP_FAILED : __real_mmap(at, n, protection, flags, fd, offset);
    if (p != MAP_FAILED && (flags & MAP_FIXED) == 0) {
        atomic_add_seq_cst(&inject.mapped, (long)n);
    }
    return p;
}

int __real_munmap(void *at, size_t n);
int __wrap_munmap(void *at, size_t n);
int __wrap_munmap(void *at, size_t n)
{
    atomic_sub_seq_cst(&inject.mapped, (long)n);
    return __real_munmap(at, n);
}

WRAP(mprotect, INJECT_ADVICE, int, -1, (void *at, size_t n, int p), (at, n, p))
WRAP(madvise, INJECT_ADVICE, int, -1, (void *at, size_t n, int advice), (at, n, advice))

/* --- threads, signals, timers ----------------------------------------------------------------- */

WRAP_RETURNS(pthread_create, INJECT_THREAD, 1,
             (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
             (thread, attr, fn, arg))
WRAP_RETURNS(pthread_attr_init, INJECT_MEMORY, 1, (pthread_attr_t * attr), (attr))
WRAP(timer_create, INJECT_TIMER, int, -1, (clockid_t clock, struct sigevent *e, timer_t *timer),
     (clock, e, timer))
WRAP(timer_settime, INJECT_TIMER, int, -1,
     (timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old),
     (timer, flags, new, old))
WRAP(sigaction, INJECT_SIGNAL, int, -1,
     (int signo, const struct sigaction *new, struct sigaction *old), (signo, new, old))

int __real_sigaltstack(const stack_t *new, stack_t *old);
int __wrap_sigaltstack(const stack_t *new, stack_t *old);
int __wrap_sigaltstack(const stack_t *new, stack_t *old)
{
    bool sets = new != NULL && (new->ss_flags & SS_DISABLE) == 0; /* the rest does not fail */
    return sets && inject_fails(INJECT_ADVICE) ? -1 : __real_sigaltstack(new, old);
}

WRAP(sched_getaffinity, INJECT_KERNEL, int, -1, (pid_t pid, size_t n, cpu_set_t *set),
     (pid, n, set))
WRAP(sched_setaffinity, INJECT_KERNEL, int, -1, (pid_t pid, size_t n, const cpu_set_t *set),
     (pid, n, set))

/* --- descriptors ------------------------------------------------------------------------------ */

WRAP(pipe2, INJECT_DESCRIPTOR, int, -1, (int fds[2], int flags), (fds, flags))
WRAP(socket, INJECT_DESCRIPTOR, int, -1, (int domain, int type, int protocol),
     (domain, type, protocol))
WRAP(socketpair, INJECT_DESCRIPTOR, int, -1, (int domain, int type, int protocol, int fds[2]),
     (domain, type, protocol, fds))
WRAP(eventfd, INJECT_DESCRIPTOR, int, -1, (unsigned count, int flags), (count, flags))
WRAP(epoll_create1, INJECT_DESCRIPTOR, int, -1, (int flags), (flags))
WRAP(memfd_create, INJECT_DESCRIPTOR, int, -1, (const char *name, unsigned flags), (name, flags))
WRAP(fopen, INJECT_DESCRIPTOR, FILE *, NULL, (const char *path, const char *mode), (path, mode))
WRAP(opendir, INJECT_DESCRIPTOR, DIR *, NULL, (const char *path), (path))
WRAP(accept4, INJECT_ACCEPT, int, -1, (int fd, struct sockaddr *a, socklen_t *n, int flags),
     (fd, a, n, flags))
WRAP(connect, INJECT_CONNECT, int, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(bind, INJECT_CONTROL, int, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(listen, INJECT_CONTROL, int, -1, (int fd, int backlog), (fd, backlog))
WRAP(getsockname, INJECT_CONTROL, int, -1, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(getpeername, INJECT_CONTROL, int, -1, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP(setsockopt, INJECT_CONTROL, int, -1,
     (int fd, int level, int name, const void *value, socklen_t n), (fd, level, name, value, n))
WRAP(getsockopt, INJECT_CONTROL, int, -1, (int fd, int level, int name, void *value, socklen_t *n),
     (fd, level, name, value, n))
WRAP(epoll_ctl, INJECT_CONTROL, int, -1, (int epoll, int what, int fd, struct epoll_event *e),
     (epoll, what, fd, e))
WRAP(ftruncate, INJECT_CONTROL, int, -1, (int fd, off_t n), (fd, n))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    return inject_fails(INJECT_DESCRIPTOR) ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long arg = va_arg(list, long);
    va_end(list);
    bool duplicates = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
    bool is_failing = inject_fails(duplicates ? INJECT_DESCRIPTOR : INJECT_CONTROL);
    return is_failing ? -1 : __real_fcntl(fd, command, arg);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    (void)__real_getsockopt(fd, SOL_SOCKET, name, &value, &bytes);
    return value;
}

/* Datagrams are not cut; and a short read of a TCP socket tells that there is no more (but for
 * urgent data, of which the socket tells). */
static bool may_be_less(int fd, enum inject_kind kind)
{
    return option_of(fd, SO_TYPE) == SOCK_STREAM &&
           (kind == INJECT_SEND || option_of(fd, SO_DOMAIN) == AF_UNIX);
}

/* A connection that is told to be over is, for both directions. */
static int moves_not(int fd)
{
    int error = atomic_load_seq_cst(&inject.error);
    if (error == EPIPE || error == ECONNRESET) {
        (void)shutdown(fd, SHUT_RDWR);
    }
    errno = error;
    return -1;
}

/* A message of which one byte is to move. */
static void shorten(const struct msghdr *m, struct msghdr *less, struct iovec *one)
{
    *less = *m;
    while (less->msg_iovlen > 1 && less->msg_iov->iov_len == 0) {
        less->msg_iov++;
        less->msg_iovlen--;
    }
    *one = (struct iovec){less->msg_iov->iov_base, less->msg_iov->iov_len != 0};
    less->msg_iov = one;
    less->msg_iovlen = 1;
}

#define WRAP_MOVES(name, kind, type) \
    ssize_t __real_##name(int fd, type buf, size_t n, int flags); \
    ssize_t __wrap_##name(int fd, type buf, size_t n, int flags); \
    ssize_t __wrap_##name(int fd, type buf, size_t n, int flags) \
    { \
        bool is_failing = is_due(kind); \
        if (is_failing && !is_short()) { \
            return moves_not(fd); \
        } \
        return __real_##name(fd, buf, is_failing && n > 1 && may_be_less(fd, kind) ? 1 : n, \
                             flags); \
    }

#define WRAP_MOVES_MESSAGE(name, kind, type) \
    ssize_t __real_##name(int fd, type *m, int flags); \
    ssize_t __wrap_##name(int fd, type *m, int flags); \
    ssize_t __wrap_##name(int fd, type *m, int flags) \
    { \
        struct msghdr less; \
        struct iovec one; \
        bool is_failing = is_due(kind); \
        if (is_failing && !is_short()) { \
            return moves_not(fd); \
        } \
        if (!is_failing || m->msg_iovlen == 0 || !may_be_less(fd, kind)) { \
            return __real_##name(fd, m, flags); \
        } \
        shorten(m, &less, &one); \
        return __real_##name(fd, &less, flags); \
    }

WRAP_MOVES(send, INJECT_SEND, const void *)
WRAP_MOVES(recv, INJECT_RECEIVE, void *)
WRAP_MOVES_MESSAGE(sendmsg, INJECT_SEND, const struct msghdr)
WRAP_MOVES_MESSAGE(recvmsg, INJECT_RECEIVE, struct msghdr)
WRAP(sendmmsg, INJECT_SEND, int, -1, (int fd, struct mmsghdr *all, unsigned n, int flags),
     (fd, all, n, flags))
WRAP(recvmmsg, INJECT_RECEIVE, int, -1,
     (int fd, struct mmsghdr *all, unsigned n, int flags, struct timespec *limit),
     (fd, all, n, flags, limit))

/* Bytes of one vector, at most one when the call is to be short; not of a file, whose end a short
 * call would tell of. */
#define WRAP_VECTOR(name, kind) \
    ssize_t __real_##name(int fd, const struct iovec *iov, int n, off_t at, int flags); \
    ssize_t __wrap_##name(int fd, const struct iovec *iov, int n, off_t at, int flags); \
    ssize_t __wrap_##name(int fd, const struct iovec *iov, int n, off_t at, int flags) \
    { \
        struct stat status; \
        if (!is_due(kind)) { \
            return __real_##name(fd, iov, n, at, flags); \
        } \
        if (!is_short()) { \
            errno = atomic_load_seq_cst(&inject.error); \
            return -1; \
        } \
        struct iovec one = {n > 0 ? iov->iov_base : NULL, n > 0 && iov->iov_len > 0}; \
        bool is_whole = one.iov_len == 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)); \
        return __real_##name(fd, is_whole ? iov : &one, is_whole ? n : 1, at, flags); \
    }

WRAP_VECTOR(preadv2, INJECT_RECEIVE)
WRAP_VECTOR(pwritev2, INJECT_WRITE)

/* Variable arguments are passed as others are; what the caller has not given is not looked at. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_recvfrom) {
        return __wrap_recv((int)a, (void *)b, (size_t)c, (int)d);
    }
    if (number == SYS_sendto) {
        return __wrap_send((int)a, (const void *)b, (size_t)c, (int)d);
    }
    return inject_fails(inject_kind_of_syscall(number, a))
               ? -1
               : __real_syscall(number, a, b, c, d, e, f);
}

/* --- programs and names ----------------------------------------------------------------------- */

WRAP_RETURNS(posix_spawnp, INJECT_SPAWN, 1,
             (pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions,
              const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
             (pid, file, actions, attr, argv, env))
WRAP_RETURNS(posix_spawn_file_actions_init, INJECT_SPAWN, 1, (posix_spawn_file_actions_t * a), (a))
WRAP_RETURNS(posix_spawn_file_actions_adddup2, INJECT_SPAWN, 1,
             (posix_spawn_file_actions_t * a, int fd, int to), (a, fd, to))
WRAP_RETURNS(posix_spawn_file_actions_addclosefrom_np, INJECT_SPAWN, 1,
             (posix_spawn_file_actions_t * a, int fd), (a, fd))
WRAP_RETURNS(posix_spawnattr_init, INJECT_SPAWN, 1, (posix_spawnattr_t * a), (a))
WRAP_RETURNS(getaddrinfo, INJECT_RESOLVE, 1,
             (const char *host, const char *service, const struct addrinfo *hints,
              struct addrinfo **list),
             (host, service, hints, list))
WRAP_RETURNS(getnameinfo, INJECT_RESOLVE, 1,
             (const struct sockaddr *a, socklen_t n, char *host, socklen_t host_n, char *service,
              socklen_t service_n, int flags),
             (a, n, host, host_n, service, service_n, flags))

/* --- rings ------------------------------------------------------------------------------------ */

int __real_io_uring_queue_init_params(unsigned n, struct io_uring *ring, struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned n, struct io_uring *ring, struct io_uring_params *p);
int __wrap_io_uring_queue_init_params(unsigned n, struct io_uring *ring, struct io_uring_params *p)
{
    int error = error_of(INJECT_RING);
    if (error != 0) {
        return -error;
    }
    own_ring = ring;
    own_looked = 0;
    return __real_io_uring_queue_init_params(n, ring, p);
}

void __real_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
    own_ring = ring == own_ring ? NULL : own_ring;
    __real_io_uring_queue_exit(ring);
}

WRAP_RETURNS(io_uring_register_ring_fd, INJECT_REGISTER, -1, (struct io_uring * r), (r))
WRAP_RETURNS(io_uring_ring_dontfork, INJECT_REGISTER, -1, (struct io_uring * r), (r))
WRAP_RETURNS(io_uring_register_iowq_max_workers, INJECT_REGISTER, -1,
             (struct io_uring * r, unsigned *values), (r, values))
WRAP_RETURNS(io_uring_register_iowq_aff, INJECT_REGISTER, -1,
             (struct io_uring * r, size_t n, const cpu_set_t *set), (r, n, set))
WRAP_RETURNS(io_uring_register_probe, INJECT_REGISTER, -1,
             (struct io_uring * r, struct io_uring_probe *p, unsigned n), (r, p, n))
WRAP_RETURNS(io_uring_register, INJECT_REGISTER, -1,
             (unsigned fd, unsigned call, const void *arg, unsigned n), (fd, call, arg, n))
WRAP_RETURNS(io_uring_register_buf_ring, INJECT_REGISTER, -1,
             (struct io_uring * r, struct io_uring_buf_reg *reg, unsigned flags), (r, reg, flags))
WRAP_RETURNS(io_uring_unregister_buf_ring, INJECT_REGISTER, -1, (struct io_uring * r, int group),
             (r, group))

/* Ask for less; only of what may be given less. Not of a file: a ring that has written less there
 * for another reason leaves the position where it was (io/short_write.h). */
static void sqe_shorten(struct io_uring_sqe *sqe)
{
    struct stat status;
    if (fstat(sqe->fd, &status) == 0 && S_ISREG(status.st_mode)) {
        return;
    }
    switch (sqe->opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_RECV:
    case IORING_OP_SEND:
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
    case IORING_OP_SPLICE:
        sqe->len = sqe->len > 1 ? 1 : sqe->len;
        break;
    default:
        break;
    }
}

static void sqe_look(struct io_uring_sqe *sqe)
{
    int opcode = atomic_load_seq_cst(&inject.opcode);
    bool is_cancel = sqe->opcode == IORING_OP_ASYNC_CANCEL;
    if (sqe->opcode == IORING_OP_NOP || (!is_cancel && opcode >= 0 && opcode != sqe->opcode) ||
        !is_due(is_cancel ? INJECT_CANCEL : INJECT_OPERATION)) {
        return;
    }
    if (is_short()) {
        sqe_shorten(sqe);
        return;
    }
    uint64_t data = sqe->user_data;
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = IORING_OP_NOP;
    sqe->fd = -1;
    sqe->rw_flags = NOP_INJECT_RESULT;
    sqe->len = (unsigned)-atomic_load_seq_cst(&inject.error);
    sqe->user_data = data;
}

/* What is about to be submitted. */
static void queue_look(void)
{
    struct io_uring_sq *sq = &own_ring->sq;
    atomic_store_seq_cst(&own_is_looking, true);
    unsigned head = atomic_load_seq_cst((atomic_uint *)sq->khead);
    unsigned tail = atomic_load_seq_cst((atomic_uint *)sq->ktail);
    for (unsigned at = (int)(own_looked - head) > 0 ? own_looked : head; at != tail; at++) {
        sqe_look(&sq->sqes[at & *sq->kring_mask]);
        own_looked = at + 1;
    }
    atomic_store_seq_cst(&own_is_looking, false);
}

int __real_io_uring_enter2(unsigned fd, unsigned n, unsigned least, unsigned flags, sigset_t *arg,
                           size_t bytes);
int __wrap_io_uring_enter2(unsigned fd, unsigned n, unsigned least, unsigned flags, sigset_t *arg,
                           size_t bytes);
int __wrap_io_uring_enter2(unsigned fd, unsigned n, unsigned least, unsigned flags, sigset_t *arg,
                           size_t bytes)
{
    if (atomic_load_seq_cst(&own_is_looking)) {
        return 0; /* a handler: what it has interrupted is half written, and about to enter */
    }
    if (is_due(INJECT_ENTER)) {
        if (!is_short()) {
            return -atomic_load_seq_cst(&inject.error);
        }
        return __real_io_uring_enter2(fd, n != 0, 0, flags & ~IORING_ENTER_EXT_ARG, NULL, 0);
    }
    int kind = atomic_load_seq_cst(&inject.kind);
    if (own_ring != NULL && (kind == INJECT_OPERATION || kind == INJECT_CANCEL)) {
        queue_look();
    }
    return __real_io_uring_enter2(fd, n, least, flags, arg, bytes);
}

/* The other backend's way in, which a signal may cut short and nothing else; but one call there is
 * not everywhere. */
#define WRAP_WAITS(name, has_substitute, params, args) \
    int __real_##name params; \
    int __wrap_##name params; \
    int __wrap_##name params \
    { \
        if (is_due(INJECT_ENTER)) { \
            bool is_missing = (has_substitute) && atomic_load_seq_cst(&inject.error) == ENOSYS; \
            errno = is_missing ? ENOSYS : EINTR; \
            return -1; \
        } \
        return __real_##name args; \
    }

WRAP_WAITS(epoll_wait, false, (int epoll, struct epoll_event *events, int n, int limit_ms),
           (epoll, events, n, limit_ms))
WRAP_WAITS(epoll_pwait2, true,
           (int epoll, struct epoll_event *events, int n, const struct timespec *limit,
            const sigset_t *mask),
           (epoll, events, n, limit, mask))

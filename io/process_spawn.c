/* SPDX-License-Identifier: MIT */
/*
 * Starting a program.
 *
 * posix_spawn makes the child without a copy of the memory, and holds the caller until the program
 * is loaded, or cannot be: which it returns. That takes some hundred microseconds, and longer where
 * the program's file is slow to come; so it is done on a thread of the blocking pool.
 *
 * All descriptors of our own are close-on-exec from the beginning, so a child that another thread
 * starts at the same moment, by whatever means, gets none of them. In the child a descriptor is put
 * in its place by dup2. A source whose number is itself the place of another is first moved out of
 * the way, above all places: then no order of the moves is wrong, and a swap needs no thought. What
 * stands between and above the places is closed.
 *
 * The process descriptor is opened after the child has begun. A slot for it is kept before: where
 * there is none, nothing is begun. If another thread takes it in between, the child, which is not
 * waited for, so that its number is still its own, is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/blocking.h>
#include <weft/task.h>

#include "fork.h"
#include "process.h"

/* Places in the child: more are refused by their numbers. */
#define PLACES_MAX (WEFT_PROCESS_FD_MAX + 1)

extern char **environ;

struct place {
    int source;
    int target;
    bool is_moved; /* source is a duplicate of ours, out of the way */
};

struct spawn {
    const struct weft_process_options *options;
    sigset_t mask;
    int parents[3]; /* our ends of the pipes; -1: none */
    int childs[3];  /* what we have opened for the child; -1: none */
    struct place *places;
    size_t place_count;
    int target_max;
    pid_t pid;
    int pidfd;
};

static void close_if_open(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static int place_add(struct spawn *s, int source, int target)
{
    if (target < 0 || target > WEFT_PROCESS_FD_MAX) {
        return -EINVAL;
    }
    for (size_t i = 0; i < s->place_count; i++) {
        if (s->places[i].target == target) {
            return -EINVAL;
        }
    }
    if (fcntl(source, F_GETFD) < 0) {
        return -EBADF;
    }
    s->places[s->place_count++] = (struct place){.source = source, .target = target};
    s->target_max = target > s->target_max ? target : s->target_max;
    return 0;
}

/* Our end and the child's of a pipe. */
static int pipe_make(struct spawn *s, int i)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -errno;
    }
    s->childs[i] = fds[i == 0 ? 0 : 1];
    s->parents[i] = fds[i == 0 ? 1 : 0];
    return place_add(s, s->childs[i], i);
}

/* A number that was closed may be anybody's since, also ours; and what is close-on-exec was not
 * meant for children. In either case it is closed in the child. */
static bool is_inherited(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

/* What one of the first three is to be. */
static int stdio_make(struct spawn *s, int i, enum weft_process_stdio kind, int fd)
{
    switch (kind) {
    case WEFT_PROCESS_INHERIT:
        return is_inherited(i) ? place_add(s, i, i) : 0;
    case WEFT_PROCESS_PIPE:
        return pipe_make(s, i);
    case WEFT_PROCESS_NULL:
        s->childs[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return s->childs[i] < 0 ? -errno : place_add(s, s->childs[i], i);
    case WEFT_PROCESS_FD:
        return place_add(s, fd, i);
    case WEFT_PROCESS_STDOUT:
        for (size_t at = 0; i == 2 && at < s->place_count; at++) {
            if (s->places[at].target == 1) {
                return place_add(s, s->places[at].source, 2);
            }
        }
        return i == 2 ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

/* Sources that stand in a place of another's go above all places. */
static int places_clear(struct spawn *s)
{
    for (size_t i = 0; i < s->place_count; i++) {
        struct place *p = &s->places[i];
        if (p->source != p->target && p->source <= s->target_max) {
            int moved = fcntl(p->source, F_DUPFD_CLOEXEC, s->target_max + 1);
            if (moved < 0) {
                return -errno;
            }
            p->source = moved;
            p->is_moved = true;
        }
    }
    return 0;
}

static int places_make(struct spawn *s)
{
    const struct weft_process_options *o = s->options;
    s->target_max = 2;
    int err = stdio_make(s, 0, o->in, o->in_fd);
    err = err < 0 ? err : stdio_make(s, 1, o->out, o->out_fd);
    err = err < 0 ? err : stdio_make(s, 2, o->err, o->err_fd);
    for (size_t i = 0; i < o->fd_count && err == 0; i++) {
        err = o->fds[i].as < 3 ? -EINVAL : place_add(s, o->fds[i].fd, o->fds[i].as);
    }
    return err < 0 ? err : places_clear(s);
}

static bool is_target(const struct spawn *s, int fd)
{
    for (size_t i = 0; i < s->place_count; i++) {
        if (s->places[i].target == fd) {
            return true;
        }
    }
    return false;
}

/* What the child does with its descriptors and its directory. Returns an errno value. */
static int actions_fill(const struct spawn *s, posix_spawn_file_actions_t *actions)
{
    int error = 0;
    if (s->options->directory != NULL) {
        error = posix_spawn_file_actions_addchdir_np(actions, s->options->directory);
    }
    for (size_t i = 0; i < s->place_count && error == 0; i++) {
        /* Of one that stays where it is, this takes away that it is close-on-exec. */
        error = posix_spawn_file_actions_adddup2(actions, s->places[i].source,
                                                 s->places[i].target);
    }
    int last = s->options->keep_fds ? 2 : s->target_max;
    for (int fd = 0; fd <= last && error == 0; fd++) {
        error = is_target(s, fd) ? 0 : posix_spawn_file_actions_addclose(actions, fd);
    }
    if (error == 0 && !s->options->keep_fds) {
        error = posix_spawn_file_actions_addclosefrom_np(actions, s->target_max + 1);
    }
    return error;
}

/* Returns an errno value. */
static int attributes_fill(const struct spawn *s, posix_spawnattr_t *attributes)
{
    int flags = POSIX_SPAWN_SETSIGMASK;
    flags |= s->options->new_session ? POSIX_SPAWN_SETSID : 0;
    flags |= s->options->new_group ? POSIX_SPAWN_SETPGROUP : 0;
    int error = posix_spawnattr_setsigmask(attributes, &s->mask);
    error = error != 0 ? error : posix_spawnattr_setpgroup(attributes, 0);
    return error != 0 ? error : posix_spawnattr_setflags(attributes, (short)flags);
}

/* 0 or -errno; then there is no child. */
static int child_begin(struct spawn *s)
{
    const struct weft_process_options *o = s->options;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return -error;
    }
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = actions_fill(s, &actions);
        error = error != 0 ? error : attributes_fill(s, &attributes);
        if (error == 0) {
            error = posix_spawnp(&s->pid, o->program != NULL ? o->program : o->argv[0], &actions,
                                 &attributes, o->argv,
                                 o->environment != NULL ? o->environment : environ);
        }
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

/* Begin the child and open its descriptor. */
static int child_make(struct spawn *s)
{
    int slot = eventfd(0, EFD_CLOEXEC);
    if (slot < 0) {
        return -errno;
    }
    int err = child_begin(s);
    close(slot);
    if (err < 0) {
        return err;
    }
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (s->pidfd < 0) {
        err = -errno;
        (void)kill(s->pid, SIGKILL);
        while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
            /* it is gone in a moment */
        }
        /* Nobody but us can have waited for it, unless the program ignores SIGCHLD. */
        return err == -ESRCH || err == -EINVAL ? -ECHILD : err;
    }
    return 0;
}

static void *spawn_job(void *arg)
{
    struct spawn *s = arg;
    weft__process_reap_left();
    int err = places_make(s);
    if (err == 0) {
        err = child_make(s);
    }
    for (size_t i = 0; i < s->place_count; i++) {
        if (s->places[i].is_moved) {
            close(s->places[i].source);
        }
    }
    for (int i = 0; i < 3; i++) {
        close_if_open(&s->childs[i]);
        if (err < 0) {
            close_if_open(&s->parents[i]);
        }
    }
    return err < 0 ? weft_fail(err) : NULL;
}

/* Make p the handle of a child that runs. On an error it is killed, and waited for, and p is
 * gone. */
static int spawn_finish(struct spawn *s, weft_process *p)
{
    int err = 0;
    for (int i = 0; i < 3 && err == 0; i++) {
        if (s->parents[i] >= 0) {
            err = weft_stream_open(s->parents[i], NULL, &p->stream[i]);
            s->parents[i] = err == 0 ? -1 : s->parents[i];
        }
    }
    if (err == 0) {
        atomic_store_relaxed(&p->refs, 1); /* ORD none: not shared yet */
        p->pid = s->pid;
        p->pidfd = s->pidfd;
        pthread_mutex_init(&p->lock, NULL);
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        close_if_open(&s->parents[i]);
        if (p->stream[i] != NULL) {
            (void)weft_stream_close(p->stream[i]);
        }
    }
    (void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
    p->orphan.pidfd = s->pidfd;
    p->orphan.pid = s->pid;
    weft__process_orphan(&p->orphan);
    return err;
}

static int options_check(const struct weft_process_options *o)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < sizeof o->reserved / sizeof o->reserved[0]; i++) {
        reserved |= o->reserved[i];
    }
    bool is_bad = o->argv == NULL || o->argv[0] == NULL || reserved != 0 ||
                  o->fd_count > PLACES_MAX - 3 || (o->fd_count > 0 && o->fds == NULL);
    return is_bad ? -EINVAL : 0;
}

int weft_process_spawn(const struct weft_process_options *options, weft_process **p)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    if (options == NULL || p == NULL || options_check(options) < 0) {
        return -EINVAL;
    }
    struct spawn s = {
        .options = options,
        .parents = {-1, -1, -1},
        .childs = {-1, -1, -1},
        .pidfd = -1,
    };
    weft__fork_program_mask(&s.mask);
    weft_process *made = calloc(1, sizeof *made); /* before there is a child to be left alone */
    s.places = calloc(options->fd_count + 3, sizeof *s.places);
    int err = made == NULL || s.places == NULL ? -ENOMEM : weft_run_blocking(spawn_job, &s, NULL);
    free(s.places);
    if (err < 0) {
        free(made);
        return err;
    }
    err = spawn_finish(&s, made);
    if (err == 0) {
        *p = made;
    }
    return err;
}

int weft_process_shell(const char *command, const struct weft_process_options *options,
                       weft_process **p)
{
    struct weft_process_options o = {0};
    if (options != NULL) {
        o = *options;
    }
    if (command == NULL || o.program != NULL || o.argv != NULL) {
        return weft_self() == NULL ? -EPERM : -EINVAL;
    }
    char *argv[] = {
        (char[]){"sh"}, (char[]){"-c"}, (char[]){"--"}, /* a command may begin with a '-' */
        (char *)(uintptr_t)command, NULL,
    };
    o.program = "/bin/sh";
    o.argv = argv;
    return weft_process_spawn(&o, p);
}

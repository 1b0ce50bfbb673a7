/* SPDX-License-Identifier: MIT */
/*
 * Children that were left alone: nobody has a handle of them, and when they end somebody has to ask
 * for their status, or they stay as zombies as long as this process lives. No runtime can: it may
 * be closed before they end. A handler of SIGCHLD would be the whole process's business. So a
 * thread waits for them, by one epoll instance, which others add to while it waits; it is started
 * with the first and ends with the last.
 *
 * Where no thread or descriptor can be had for that, they wait in a list until the next program is
 * started or the next child is left alone.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "process.h"

/* What is taken from the instance at a time; there may be more. */
#define ORPHAN_EVENTS 16

static pthread_once_t watch_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t orphan_lock = PTHREAD_MUTEX_INITIALIZER;
/* under the lock */
static int epoll_fd = -1;     /* while the thread is there */
static unsigned count;        /* descriptors in it */
static struct orphan *left;   /* those that are waited for by nobody */

static void fork_begin(void)
{
    pthread_mutex_lock(&orphan_lock);
}

static void fork_end(void)
{
    pthread_mutex_unlock(&orphan_lock);
}

/* They are the parent's children, and none of ours. */
static void fork_in_child(void)
{
    if (epoll_fd >= 0) {
        close(epoll_fd);
        epoll_fd = -1;
    }
    count = 0;
    left = NULL;
    pthread_mutex_unlock(&orphan_lock);
}

static void watch_forks(void)
{
    (void)pthread_atfork(fork_begin, fork_end, fork_in_child);
}

/* One that has ended is gone. Returns whether it was. */
static bool orphan_end(int pidfd, pid_t pid)
{
    int status;
    if (weft__process_reap(pidfd, pid, &status) == -EINPROGRESS) {
        return false;
    }
    close(pidfd);
    return true;
}

/* What the instance says of a child: both its numbers. */
static uint64_t event_of(int pidfd, pid_t pid)
{
    return (uint64_t)(uint32_t)pid << 32 | (uint32_t)pidfd;
}

static void *orphan_main(void *arg)
{
    int epoll = (int)(intptr_t)arg;
    bool is_over = false;
    pthread_setname_np(pthread_self(), "weft-reaper");
    while (!is_over) {
        struct epoll_event events[ORPHAN_EVENTS];
        int n = epoll_wait(epoll, events, ORPHAN_EVENTS, -1);
        pthread_mutex_lock(&orphan_lock);
        for (int i = 0; i < n; i++) {
            int pidfd = (int)(uint32_t)events[i].data.u64;
            pid_t pid = (pid_t)(events[i].data.u64 >> 32);
            /* Taken out before it is closed: a forked child may have it open still. */
            (void)epoll_ctl(epoll, EPOLL_CTL_DEL, pidfd, NULL);
            if (orphan_end(pidfd, pid)) {
                count--;
            } else {
                (void)epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &events[i]);
            }
        }
        is_over = count == 0;
        if (is_over) {
            close(epoll);
            epoll_fd = -1;
        }
        pthread_mutex_unlock(&orphan_lock);
    }
    return NULL;
}

/* Lock held. Returns whether it runs. */
static bool thread_start(int epoll)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int err = pthread_create(&thread, &attributes, orphan_main, (void *)(intptr_t)epoll);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err == 0;
}

/* Have the thread wait for it. Lock held. Returns whether it does. */
static bool orphan_watch(int pidfd, pid_t pid)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = event_of(pidfd, pid)};
    bool is_first = epoll_fd < 0;
    int epoll = is_first ? epoll_create1(EPOLL_CLOEXEC) : epoll_fd;
    if (epoll < 0) {
        return false;
    }
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event) != 0 ||
        (is_first && !thread_start(epoll))) {
        if (is_first) {
            close(epoll);
        }
        return false;
    }
    epoll_fd = epoll;
    count++;
    return true;
}

/* Lock held. */
static void left_look(void)
{
    struct orphan **link = &left;
    while (*link != NULL) {
        struct orphan *o = *link;
        if (orphan_end(o->pidfd, o->pid) || orphan_watch(o->pidfd, o->pid)) {
            *link = o->next;
            free(o);
        } else {
            link = &o->next;
        }
    }
}

void weft__process_orphan(struct orphan *o)
{
    pthread_once(&watch_once, watch_forks);
    pthread_mutex_lock(&orphan_lock);
    left_look();
    if (orphan_end(o->pidfd, o->pid) || orphan_watch(o->pidfd, o->pid)) {
        free(o);
    } else {
        o->next = left;
        left = o;
    }
    pthread_mutex_unlock(&orphan_lock);
}

void weft__process_reap_left(void)
{
    pthread_mutex_lock(&orphan_lock);
    left_look();
    pthread_mutex_unlock(&orphan_lock);
}

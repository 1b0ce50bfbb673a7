/* SPDX-License-Identifier: MIT */
/* A worker of a process pool: the names of its jobs, and its loop; see process_job.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/process_pool.h>

#include "process_job.h"

/* Statuses of a worker that cannot go on; seen in the message of the job that it was at. */
#define EXIT_NO_MEMORY 3
#define EXIT_NO_POOL 4

struct named_job {
    struct named_job *next;
    const char *name;
    weft_process_fn fn;
};

struct weft_process_reply {
    char *data;
    size_t bytes;
    size_t room;
};

/* Written by the main thread before there are others. */
static struct named_job *jobs;
static bool is_main_called;

bool weft__process_may_pool(void)
{
    return is_main_called;
}

static weft_process_fn job_find(const char *name)
{
    for (const struct named_job *j = jobs; j != NULL; j = j->next) {
        if (strcmp(j->name, name) == 0) {
            return j->fn;
        }
    }
    return NULL;
}

int weft_process_register(const char *name, weft_process_fn fn)
{
    size_t bytes = name == NULL ? 0 : strlen(name);
    if (bytes == 0 || bytes > WEFT_PROCESS_NAME_MAX || fn == NULL) {
        return -EINVAL;
    }
    if (job_find(name) != NULL) {
        return -EEXIST;
    }
    struct named_job *j = malloc(sizeof *j);
    if (j == NULL) {
        return -ENOMEM;
    }
    *j = (struct named_job){.next = jobs, .name = name, .fn = fn};
    jobs = j;
    return 0;
}

int weft_process_reply_add(struct weft_process_reply *reply, const void *data, size_t n)
{
    if (n > SIZE_MAX / 2 - reply->bytes) {
        return -ENOMEM;
    }
    size_t needed = reply->bytes + n;
    if (needed > reply->room) {
        size_t room = needed + needed / 2 + 64;
        char *longer = realloc(reply->data, room);
        if (longer == NULL) {
            return -ENOMEM;
        }
        reply->data = longer;
        reply->room = room;
    }
    if (n > 0) {
        memcpy(reply->data + reply->bytes, data, n);
    }
    reply->bytes = needed;
    return 0;
}

/* The pool is gone, or will not have us: nobody is left to be told. */
__attribute__((noreturn)) static void worker_end(int status)
{
    exit(status);
}

/* Read n bytes. Returns false at the end of the input, which is where requests end. */
static bool worker_read(void *buf, size_t n)
{
    char *at = buf;
    while (n > 0) {
        ssize_t got = read(JOB_WORKER_FD, at, n);
        if (got == 0) {
            return false;
        }
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            worker_end(EXIT_NO_POOL);
        }
        at += got;
        n -= (size_t)got;
    }
    return true;
}

static void worker_write(const void *buf, size_t n)
{
    const char *at = buf;
    while (n > 0) {
        ssize_t sent = send(JOB_WORKER_FD, at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            worker_end(EXIT_NO_POOL);
        }
        at += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
}

static int worker_do(const char *name, const void *in, size_t in_bytes,
                     struct weft_process_reply *reply)
{
    weft_process_fn fn = job_find(name);
    if (fn == NULL) {
        static const char text[] = "no job is registered by that name in the worker";
        (void)weft_process_reply_add(reply, text, sizeof text - 1);
        return -ENOENT;
    }
    int err = fn(in, in_bytes, reply);
    return err < 0 && err > -4096 ? err : err < 0 ? -EINVAL : 0;
}

/* One request and its reply. False: there are no more. */
static bool worker_turn(void)
{
    struct job_request request;
    if (!worker_read(&request, sizeof request)) {
        return false;
    }
    char name[WEFT_PROCESS_NAME_MAX + 1];
    if (request.name_bytes >= sizeof name || request.in_bytes >= SIZE_MAX) {
        worker_end(EXIT_NO_POOL);
    }
    char *in = malloc(request.in_bytes + 1);
    if (in == NULL) {
        worker_end(EXIT_NO_MEMORY);
    }
    if (!worker_read(name, request.name_bytes) || !worker_read(in, request.in_bytes)) {
        worker_end(EXIT_NO_POOL);
    }
    name[request.name_bytes] = '\0';
    struct weft_process_reply reply = {0};
    int err = worker_do(name, in, request.in_bytes, &reply);
    free(in);
    struct job_reply head = {.error = err, .bytes = reply.bytes};
    worker_write(&head, sizeof head);
    worker_write(reply.data, reply.bytes);
    free(reply.data);
    return true;
}

/* A child that a job forks. */
static void leave_pool(void)
{
    close(JOB_WORKER_FD);
}

void weft_process_main(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], JOB_WORKER_ARGUMENT) != 0) {
        is_main_called = true;
        return;
    }
    /* What a job starts or forks is not to keep the pool waiting for our end. */
    if (fcntl(JOB_WORKER_FD, F_SETFD, FD_CLOEXEC) != 0 ||
        pthread_atfork(NULL, NULL, leave_pool) != 0) {
        worker_end(EXIT_NO_POOL);
    }
    while (worker_turn()) {
        /* the next one */
    }
    worker_end(0);
}

/* SPDX-License-Identifier: MIT */
/*
 * A chat server: what one says all hear, in the same order.
 *
 *     chat_server 6667                                  in other shells:
 *     listening on port 6667                            nc 127.0.0.1 6667
 *
 * The first line of a client is its name. Two tasks serve it: one reads what it says, and puts that
 * in everybody's queue; the other writes what is in its own queue. A queue has room for QUEUE_MAX
 * messages. Who takes them too slowly to keep it from being full is dropped: the others do not wait
 * for anybody, and nobody's messages fill the memory. So that a queue tells who is slow, and not
 * who has not had its turn yet, a client says no more than a line a millisecond.
 */
#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <weft/weft.h>

#define NAME_MAX_BYTES 32
#define LINE_MAX_BYTES 1000
#define QUEUE_MAX 200
#define SOCKET_BYTES (32 * 1024) /* that the kernel keeps for a client, behind all that */
#define CLIENTS_MAX 1000
#define PACE_NS WEFT_MS              /* between two lines of one client */
#define NAME_NS (30 * WEFT_SECOND)   /* to say it */
#define GOODBYE_NS (2 * WEFT_SECOND) /* to take what was said before one left */

/* A line is no longer than this; no more than this waits in a stream, behind the queue. */
static const struct weft_stream_options stream_options = {
    .limit = LINE_MAX_BYTES,
    .high_water = (size_t)16 * 1024,
};

/* Text for several clients; the last of them frees it. */
struct message {
    atomic_uint holders;
    size_t bytes;
    char text[];
};

struct client {
    LIST_ENTRY(client) others;
    weft_stream *stream;
    weft_queue *queue; /* of messages */
    bool is_slow;      /* and dropped for that */
    char name[NAME_MAX_BYTES + 1];
};

struct room {
    struct weft_mutex lock;
    LIST_HEAD(, client) clients;
};

static void message_put(struct message *m)
{
    /* acquire, release: what others did with it comes before the last one frees it */
    if (atomic_fetch_sub_explicit(&m->holders, 1, memory_order_acq_rel) == 1) {
        free(m);
    }
}

/* --- the room --- */

/* Nobody has it for long, so that a cancel need not cut this short. */
static void room_lock(struct room *room)
{
    if (weft_mutex_lock_shielded(&room->lock) < 0) {
        abort();
    }
}

/* Put a message in every queue, as printf makes it. */
__attribute__((format(printf, 2, 3))) static void room_say(struct room *room, const char *format,
                                                           ...)
{
    enum { BYTES_MAX = NAME_MAX_BYTES + LINE_MAX_BYTES + 32 };

    struct message *m = malloc(sizeof *m + BYTES_MAX);
    struct client *c;
    va_list arguments;
    if (m == NULL) {
        return;
    }
    va_start(arguments, format);
    int n = vsnprintf(m->text, BYTES_MAX, format, arguments);
    va_end(arguments);
    m->bytes = n < BYTES_MAX ? (size_t)n : BYTES_MAX - 1;
    atomic_init(&m->holders, 1);
    room_lock(room);
    LIST_FOREACH (c, &room->clients, others) {
        /* relaxed: the caller holds it, so nobody can free it meanwhile */
        atomic_fetch_add_explicit(&m->holders, 1, memory_order_relaxed);
        if (weft_queue_try_put(c->queue, m) < 0) { /* it is full */
            message_put(m);
            c->is_slow = true;
            weft_stream_abort(c->stream); /* both its tasks notice */
        }
    }
    weft_mutex_unlock(&room->lock);
    message_put(m);
}

static void room_enter(struct room *room, struct client *c)
{
    room_lock(room);
    LIST_INSERT_HEAD(&room->clients, c, others);
    weft_mutex_unlock(&room->lock);
    room_say(room, "* %s has come\n", c->name);
}

static void room_leave(struct room *room, struct client *c)
{
    room_lock(room);
    LIST_REMOVE(c, others);
    weft_mutex_unlock(&room->lock);
    if (weft_scope_error() == 0) { /* else all leave, since the server ends */
        room_say(room, c->is_slow ? "* %s was too slow\n" : "* %s has left\n", c->name);
    }
}

/* --- clients --- */

/* The task that writes to a client, until its queue is shut down, and empty. */
static void *write_messages(void *arg)
{
    struct client *c = arg;
    void *message;
    while (weft_queue_get(c->queue, &message) == 0) {
        struct message *m = message;
        (void)weft_stream_write(c->stream, m->text, m->bytes); /* if it fails, so does reading */
        message_put(m);
    }
    return NULL;
}

/* Copy a line without its end, or what could do harm to a terminal. Returns its length. */
static size_t clean_line(char *to, size_t most, const struct weft_view *line)
{
    size_t n = line->bytes;
    while (n > 0 && isspace((unsigned char)line->data[n - 1])) {
        n--;
    }
    n = n < most ? n : most;
    for (size_t i = 0; i < n; i++) {
        to[i] = (char)(iscntrl((unsigned char)line->data[i]) ? ' ' : line->data[i]);
    }
    to[n] = '\0';
    return n;
}

/* Read the line that is a client's name. False: there is none. */
static bool read_name(struct client *c)
{
    struct weft_view line;
    ssize_t n = 0;
    (void)weft_stream_write(c->stream, "* your name?\n", 13);
    WEFT_TIMEOUT(NAME_NS) {
        n = weft_stream_read_line(c->stream, &line);
    }
    return n > 0 && clean_line(c->name, NAME_MAX_BYTES, &line) > 0;
}

static void serve_client(weft_stream *s, void *arg)
{
    struct room *room = arg;
    struct client c = {.stream = s};
    struct weft_view line;
    char text[LINE_MAX_BYTES + 1];
    int bytes = SOCKET_BYTES;
    (void)setsockopt(weft_stream_fd(s), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (!read_name(&c)) {
        return;
    }
    c.queue = weft_queue_create(WEFT_FIFO, QUEUE_MAX);
    weft_task *writer = weft_spawn(write_messages, &c);
    if (c.queue != NULL && writer != NULL) {
        room_enter(room, &c);
        while (weft_stream_read_line(s, &line) > 0) {
            if (clean_line(text, LINE_MAX_BYTES, &line) > 0) {
                room_say(room, "%s: %s\n", c.name, text);
                (void)weft_sleep(PACE_NS);
            }
        }
        room_leave(room, &c); /* from now on nothing is put in its queue */
    }
    (void)weft_queue_shutdown(c.queue, false);
    WEFT_SHIELD { /* also from the end of the server */
        WEFT_TIMEOUT(GOODBYE_NS) {
            (void)weft_join(writer, NULL);
            (void)weft_stream_shutdown_write(s);
            while (weft_stream_read(s, text, sizeof text) > 0) {
                /* closed with input that nobody has read, TCP would drop what was written */
            }
        }
    }
    (void)weft_queue_destroy(c.queue);
}

/* --- the server --- */

static void end(int signo, void *event)
{
    (void)signo;
    weft_event_set(event);
}

static void *serve(void *port)
{
    static struct weft_event is_over = WEFT_EVENT_INIT;
    struct room room = {.lock = WEFT_MUTEX_INIT};
    struct weft_server_options options = {
        .host = "127.0.0.1",
        .service = port,
        .connections_max = CLIENTS_MAX,
        .stream = stream_options,
    };
    weft_server *server;
    int err = weft_serve(&options, serve_client, &room, &server);
    if (err < 0) {
        return weft_fail(err);
    }
    (void)weft_on_signal(SIGTERM, end, &is_over);
    (void)weft_on_signal(SIGINT, end, &is_over);
    printf("listening on port %d\n", weft_server_port(server));
    (void)fflush(stdout);
    err = weft_event_wait(&is_over);
    weft_server_stop(server);
    room_say(&room, "* the server ends\n");
    (void)weft_server_close(server, 0); /* the clients' tasks say good-bye by themselves */
    return err < 0 ? weft_fail(err) : NULL;
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        fprintf(stderr, "usage: chat_server [PORT]\n");
        return 2;
    }
    int err = weft_run(serve, argc == 2 ? argv[1] : NULL, NULL);
    if (err < 0) {
        fprintf(stderr, "chat_server: %s\n", strerror(-err));
    }
    return err < 0;
}

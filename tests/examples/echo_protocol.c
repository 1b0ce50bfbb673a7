/* SPDX-License-Identifier: MIT */
/*
 * A TCP echo server and its client, both as protocols: functions that are called when something has
 * happened. The server closes each connection after its first answer, and the client tells that by
 * a future. What the two say is printed one side after the other.
 */
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

/* What one side has said so far. */
struct side {
    char text[256];
    weft_future *lost; /* the client's: the connection is over */
};

static void say(struct side *side, const char *what, const void *data, size_t n)
{
    size_t used = strlen(side->text);
    snprintf(side->text + used, sizeof side->text - used, "%s%.*s\n", what, (int)n,
             (const char *)data);
}

static int server_made(weft_transport *t, void *arg)
{
    (void)t;
    say(arg, "Connection made", "", 0);
    return 0;
}

static int server_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    say(arg, "Data received: ", data, n);
    say(arg, "Send: ", data, n);
    int err = weft_transport_write(t, data, n);
    say(arg, "Close the client socket", "", 0);
    weft_transport_close(t);
    return err;
}

static int client_made(weft_transport *t, void *arg)
{
    static const char message[] = "Hello World!";
    say(arg, "Data sent: ", message, strlen(message));
    return weft_transport_write(t, message, strlen(message));
}

static int client_data(weft_transport *t, const void *data, size_t n, void *arg)
{
    (void)t;
    say(arg, "Data received: ", data, n);
    return 0;
}

static void client_lost(weft_transport *t, int error, void *arg)
{
    struct side *side = arg;
    (void)t;
    say(side, "The server closed the connection", "", 0);
    if (error < 0) {
        weft_future_set_error(side->lost, error);
    } else {
        weft_future_set_result(side->lost, NULL);
    }
}

static const struct weft_protocol server_protocol = {
    .connection_made = server_made,
    .data_received = server_data,
};

static const struct weft_protocol client_protocol = {
    .connection_made = client_made,
    .data_received = client_data,
    .connection_lost = client_lost,
};

static void *talk(void *arg)
{
    struct side server = {.text = ""};
    struct side client = {.text = "", .lost = weft_future_create()};
    struct weft_server_options options = {.host = "127.0.0.1"};
    weft_server *serving;
    char service[8];
    (void)arg;

    int err = weft_serve_protocol(&options, &server_protocol, &server, &serving);
    if (err < 0) {
        return weft_fail(err);
    }
    snprintf(service, sizeof service, "%d", weft_server_port(serving));
    err = weft_connect_protocol("127.0.0.1", service, NULL, &client_protocol, &client, NULL);
    if (err == 0) {
        err = weft_await(client.lost, NULL);
    }
    weft_put(client.lost);
    weft_server_close(serving, WEFT_SECOND);
    printf("server:\n%sclient:\n%s", server.text, client.text);
    return err < 0 ? weft_fail(err) : NULL;
}

int main(void)
{
    return weft_run(talk, NULL, NULL) < 0;
}

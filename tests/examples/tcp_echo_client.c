/* SPDX-License-Identifier: MIT */
/*
 * A TCP echo client by callbacks: it says hello, and waits until the server has closed.
 *
 *     tcp_echo_client 8888
 *
 * The task that has connected learns of the end by a future that the last callback sets.
 */
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

static int connection_made(weft_transport *t, void *arg)
{
    static const char message[] = "Hello World!";
    int err = weft_transport_write(t, message, strlen(message));
    printf("Data sent: '%s'\n", message);
    (void)arg;
    return err;
}

static int data_received(weft_transport *t, const void *data, size_t n, void *arg)
{
    printf("Data received: '%.*s'\n", (int)n, (const char *)data);
    (void)t;
    (void)arg;
    return 0;
}

static void connection_lost(weft_transport *t, int error, void *on_lost)
{
    (void)t;
    if (error < 0) {
        weft_future_set_error(on_lost, error);
    } else {
        printf("The server closed the connection\n");
        weft_future_set_result(on_lost, NULL);
    }
}

static const struct weft_protocol client = {
    .connection_made = connection_made,
    .data_received = data_received,
    .connection_lost = connection_lost,
};

static void *talk(void *port)
{
    weft_future *on_lost = weft_future_create();
    int err = weft_connect_protocol("127.0.0.1", port, NULL, &client, on_lost, NULL);
    if (err == 0) {
        err = weft_await(on_lost, NULL);
    }
    weft_put(on_lost);
    return err < 0 ? weft_fail(err) : NULL;
}

int main(int argc, char **argv)
{
    int err = weft_run(talk, argc > 1 ? argv[1] : "8888", NULL);
    if (err < 0) {
        fprintf(stderr, "tcp_echo_client: %s\n", strerror(-err));
    }
    return err < 0;
}

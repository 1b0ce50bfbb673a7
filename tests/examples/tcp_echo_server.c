/* SPDX-License-Identifier: MIT */
/*
 * A TCP echo server by callbacks: it sends what it gets back, and closes the connection.
 *
 *     tcp_echo_server 8888
 *
 * Callbacks of one connection come one after the other, on whichever worker has time.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <weft/weft.h>

static int connection_made(weft_transport *t, void *arg)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    socklen_t bytes = sizeof peer;
    char host[INET_ADDRSTRLEN] = "";
    int err = weft_transport_peer(t, (struct sockaddr *)&peer, &bytes);
    (void)inet_ntop(AF_INET, &peer.sin_addr, host, sizeof host);
    printf("Connection from ('%s', %d)\n", host, ntohs(peer.sin_port));
    (void)arg;
    return err;
}

static int data_received(weft_transport *t, const void *data, size_t n, void *arg)
{
    printf("Data received: '%.*s'\n", (int)n, (const char *)data);
    printf("Send: '%.*s'\n", (int)n, (const char *)data);
    int err = weft_transport_write(t, data, n);
    printf("Close the client socket\n");
    weft_transport_close(t); /* when all that was written is sent */
    (void)arg;
    return err;
}

static const struct weft_protocol echo = {
    .connection_made = connection_made,
    .data_received = data_received,
};

static void end(int signo, void *event)
{
    (void)signo;
    weft_event_set(event);
}

static void *serve(void *port)
{
    static struct weft_event is_over = WEFT_EVENT_INIT;
    struct weft_server_options options = {.host = "127.0.0.1", .service = port};
    weft_server *server;
    int err = weft_serve_protocol(&options, &echo, NULL, &server);
    if (err < 0) {
        return weft_fail(err);
    }
    (void)weft_on_signal(SIGTERM, end, &is_over);
    (void)weft_on_signal(SIGINT, end, &is_over);
    fprintf(stderr, "listening on port %d\n", weft_server_port(server));
    err = weft_event_wait(&is_over);
    (void)weft_server_close(server, WEFT_SECOND);
    return err < 0 ? weft_fail(err) : NULL;
}

int main(int argc, char **argv)
{
    int err = weft_run(serve, argc > 1 ? argv[1] : "8888", NULL);
    if (err < 0) {
        fprintf(stderr, "tcp_echo_server: %s\n", strerror(-err));
    }
    return err < 0;
}

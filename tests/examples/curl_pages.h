/* SPDX-License-Identifier: MIT */
/*
 * For the examples that load pages by libcurl, which blocks: a server of pages, on threads of its
 * own, and one page.
 */
#ifndef WEFT_CURL_PAGES_H
#define WEFT_CURL_PAGES_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

enum { PAGES = 5, PAGE_BYTES = 49866, PAUSE_MS = 200 };

static int listener;
static unsigned port;

/* What the network stands for: a page takes its time, and has a size. */
static inline void *serve_one(void *arg)
{
    static char page[PAGE_BYTES];
    char request[1024];
    int fd = (int)(intptr_t)arg;
    struct timespec pause = {0, PAUSE_MS * 1000000L};
    (void)!read(fd, request, sizeof request);
    (void)nanosleep(&pause, NULL);
    (void)dprintf(fd, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", PAGE_BYTES);
    for (ssize_t n = 0, done = 0; done < PAGE_BYTES && n >= 0; done += n) {
        n = send(fd, page, (size_t)(PAGE_BYTES - done), MSG_NOSIGNAL);
    }
    (void)close(fd);
    return NULL;
}

static inline void *serve(void *arg)
{
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0 || pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) != 0) {
            return arg;
        }
        (void)pthread_detach(thread);
    }
}

static inline void start_server(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    pthread_t thread;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, bytes) < 0 || listen(listener, PAGES) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
        pthread_create(&thread, NULL, serve, NULL) != 0) {
        perror("server");
        exit(1);
    }
    port = ntohs(address.sin_port);
}

/* libcurl hands over a part of the page. */
static inline size_t count_bytes(char *part, size_t size, size_t n, void *total)
{
    (void)part;
    *(size_t *)total += size * n;
    return size * n;
}

/* Blocks until a page is there; *bytes (a size_t): how many it had. */
static inline void *get_page(void *bytes)
{
    char url[64];
    CURL *curl = curl_easy_init();
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, bytes);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        (void)fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
    }
    return NULL;
}

#endif

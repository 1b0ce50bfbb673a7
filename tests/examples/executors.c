/* SPDX-License-Identifier: MIT */
/*
 * What is not written for tasks, elsewhere: a call that blocks, on a thread of the runtime's pool
 * or of one's own; a computation that takes long, in another process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

/* 128 bits: the sum below does not fit in 64. */
typedef unsigned uint128 __attribute__((mode(TI)));

enum { BYTES = 100 };

/* On a thread: blocks for as long as it takes. Returns how many bytes it has read. */
static void *read_some(void *buf)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return weft_fail(-errno);
    }
    ssize_t n = read(fd, buf, BYTES);
    close(fd);
    return (void *)(intptr_t)n;
}

/* In a worker process: 0 * 0 + 1 * 1 + ... */
static int sum_squares(const void *in, size_t in_bytes, struct weft_process_reply *reply)
{
    uint64_t below;
    uint128 sum = 0;
    if (in_bytes != sizeof below) {
        return -EINVAL;
    }
    memcpy(&below, in, sizeof below);
    for (uint64_t i = 0; i < below; i++) {
        sum += (uint128)i * i;
    }
    return weft_process_reply_add(reply, &sum, sizeof sum);
}

/* Decimal digits, for which printf has no letter. */
static const char *text_of(uint128 n, char text[40])
{
    char *at = text + 39;
    *at = '\0';
    do {
        *--at = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n > 0);
    return at;
}

/* On a pool of one's own. */
static int read_in_pool(char *buf, void **n)
{
    weft_pool *pool;
    int err = weft_pool_create(NULL, &pool);
    if (err < 0) {
        return err;
    }
    err = weft_join(weft_submit_blocking(pool, read_some, buf), n);
    (void)weft_pool_close(pool);
    return err;
}

static int sum_in_process(uint128 *sum)
{
    const uint64_t below = 10000000;
    const void *data;
    size_t bytes;
    weft_process_pool *pool;
    int err = weft_process_pool_create(NULL, &pool);
    if (err < 0) {
        return err;
    }
    weft_future *f = weft_submit_process(pool, "sum_squares", &below, sizeof below);
    err = weft_await(f, NULL);
    if (err == 0 && weft_process_result(f, &data, &bytes) == 0 && bytes == sizeof *sum) {
        memcpy(sum, data, bytes);
    }
    weft_put(f);
    (void)weft_process_pool_close(pool);
    return err;
}

static void *run(void *arg)
{
    char buf[BYTES];
    char text[40];
    void *n = NULL;
    uint128 sum = 0;
    (void)arg;
    int err = weft_run_blocking(read_some, buf, &n);
    if (err == 0) {
        printf("default thread pool: %d bytes\n", (int)(intptr_t)n);
        err = read_in_pool(buf, &n);
    }
    if (err == 0) {
        printf("custom thread pool: %d bytes\n", (int)(intptr_t)n);
        err = sum_in_process(&sum);
    }
    if (err == 0) {
        printf("custom process pool %s\n", text_of(sum, text));
    }
    return err < 0 ? weft_fail(err) : NULL;
}

int main(int argc, char **argv)
{
    (void)weft_process_register("sum_squares", sum_squares);
    weft_process_main(argc, argv); /* does not return in a worker process */
    return weft_run(run, NULL, NULL) < 0;
}

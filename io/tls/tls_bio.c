/* SPDX-License-Identifier: MIT */
/* What OpenSSL reads from and writes to: memory of the stream's; see tls_stream.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "tls_stream.h"

/* The least that is allocated; an answer, or a short message. */
#define OUT_BYTES_MIN ((size_t)1024)

/* A record of 16 KiB at most gets so many bytes more at most, by RFC 8446 and 5246. */
#define RECORD_BYTES ((size_t)16 * 1024)
#define RECORD_EXTRA ((size_t)512)

static int bio_read(BIO *b, char *buf, size_t n, size_t *got)
{
    struct tls_stream *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    n = n < t->in.bytes ? n : t->in.bytes;
    if (n == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    memcpy(buf, t->in.data, n);
    t->in.data += n;
    t->in.bytes -= n;
    *got = n;
    return 1;
}

static int out_reserve(struct tls_stream *t, size_t n)
{
    if (n <= t->out_capacity - t->out_bytes) {
        return 0;
    }
    size_t capacity = t->out_capacity * 2 > OUT_BYTES_MIN ? t->out_capacity * 2 : OUT_BYTES_MIN;
    capacity = capacity < t->out_bytes + n ? t->out_bytes + n : capacity;
    char *out = realloc(t->out, capacity);
    if (out == NULL) {
        return -ENOMEM;
    }
    t->out = out;
    t->out_capacity = capacity;
    return 0;
}

static int bio_write(BIO *b, const char *buf, size_t n, size_t *put)
{
    struct tls_stream *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (out_reserve(t, n) < 0) {
        return 0;
    }
    memcpy(t->out + t->out_bytes, buf, n);
    t->out_bytes += n;
    *put = n;
    return 1;
}

static long bio_control(BIO *b, int command, long number, void *pointer)
{
    (void)b;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method_make(void)
{
    static int index; /* under the caller's lock; there are not many */
    index = index > 0 ? index : BIO_get_new_index();
    BIO_METHOD *m = index > 0 ? BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "weft stream") : NULL;
    if (m != NULL && BIO_meth_set_read_ex(m, bio_read) == 1 &&
        BIO_meth_set_write_ex(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_control) == 1) {
        return m;
    }
    BIO_meth_free(m);
    return NULL;
}

/* The method, made by the first who has the memory; NULL. */
static const BIO_METHOD *bio_method(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static BIO_METHOD *method;
    pthread_mutex_lock(&lock);
    method = method != NULL ? method : bio_method_make();
    BIO_METHOD *found = method;
    pthread_mutex_unlock(&lock);
    return found;
}

int weft__tls_bio_attach(struct tls_stream *t)
{
    const BIO_METHOD *method = bio_method();
    BIO *b = method != NULL ? BIO_new(method) : NULL;
    if (b == NULL) {
        return -ENOMEM;
    }
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    return 0;
}

int weft__tls_out_reserve(struct tls_stream *t, size_t n)
{
    return out_reserve(t, n + (n / RECORD_BYTES + 2) * RECORD_EXTRA);
}

void weft__tls_out_hand_over(struct tls_stream *t)
{
    int err = t->out_bytes > 0 ? weft_stream_put(t->below, t->out, t->out_bytes) : 0;
    if (err != -ENOMEM) { /* after any other error nothing can be sent, and who sends will see it */
        free(t->out);
        t->out = NULL;
        t->out_bytes = 0;
        t->out_capacity = 0;
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * TLS context: what a configuration says at one time, ready for handshakes.
 *
 * A configuration has one context, which a reload replaces; it and every connection have a
 * reference. But for its sessions and its count it does not change once it is made.
 *
 *   config->lock guards which context the configuration has
 *   context->lock guards the sessions
 * Both are held for a few instructions, by tasks and by plain threads; no task waits with one.
 */
#ifndef WEFT_TLS_CONTEXT_H
#define WEFT_TLS_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include <openssl/ssl.h>

#include <weft/stream_layer.h>
#include <weft/tls.h>

/* Sessions that a client keeps, for so many servers; the one that was kept longest makes room. */
#define TLS_SESSION_MAX 64

struct tls_certificate {
    X509 *own;
    STACK_OF(X509) *chain;
    EVP_PKEY *key;
};

struct tls_session {
    char *host;
    SSL_SESSION *session;
};

struct tls_context {
    atomic_uint references;
    SSL_CTX *ssl;
    struct weft_tls_options options; /* the numbers and functions; no pointer to data is used */
    struct tls_certificate *certificates;
    size_t certificate_count;
    unsigned char *protocols; /* as they are sent: each with its length before it */
    size_t protocol_bytes;

    pthread_mutex_t lock;
    struct tls_session sessions[TLS_SESSION_MAX];
    size_t session_next; /* where the next one goes */
};

struct weft_tls_config {
    struct weft_stream_upgrade upgrade; /* first */
    pthread_mutex_t lock;
    struct tls_context *context;
};

/* Make a context. 0, with a reference, or as weft_tls_config_create. */
int weft__tls_context_create(const struct weft_tls_options *options, struct tls_context **context);
struct tls_context *weft__tls_context_get(struct tls_context *c);
void weft__tls_context_put(struct tls_context *c);

/* The context that a configuration has, with a reference. */
struct tls_context *weft__tls_config_context(weft_tls_config *config);

/* Load what a certificate says. 0 or as weft_tls_config_create; is to be dropped in each case. */
int weft__tls_certificate_load(struct tls_certificate *c, const struct weft_tls_certificate *from);
void weft__tls_certificate_drop(struct tls_certificate *c);

/* Trust whom the options say. 0 or as weft_tls_config_create. */
int weft__tls_trust_load(SSL_CTX *ssl, const struct weft_tls_options *options);

/* Add the certificates of a text to those that are trusted. 0, -EBADMSG, -ENOMEM. */
int weft__tls_trust_pem(SSL_CTX *ssl, const char *pem);

/* Have connections of a context show the right certificate. */
void weft__tls_choose_setup(struct tls_context *c);

/* Have a client keep its sessions. */
void weft__tls_session_setup(struct tls_context *c);

/* Give a connection the session that was had with a host, if any; it is had only once. */
void weft__tls_session_use(struct tls_context *c, SSL *ssl, const char *host);

/* Forget all. Nobody uses the context any more. */
void weft__tls_session_drop(struct tls_context *c);

/* What OpenSSL has noted on this thread becomes an error and, if wanted, a reason in words. */
int weft__tls_error(SSL *ssl, char *reason, size_t bytes);

/* Why something could not be loaded: -ENOMEM, if OpenSSL has noted that on this thread, or had not
 * even memory to note why; else as the caller takes it for. Nothing is noted any more. */
int weft__tls_error_or(int err);

/* The reason that was kept for the calling task, or "". */
const char *weft__tls_error_last(void);

/* Keep the reason for the calling task. */
void weft__tls_error_note(const char *reason);

#endif

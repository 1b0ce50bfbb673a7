/* SPDX-License-Identifier: MIT */
/*
 * Sessions that a client may resume: one for each host that it was verified against. One is used
 * once, as TLS 1.3 wants it: who sees two connections must not know by it that they are of the
 * same client. The server gives new ones.
 */
#include <stdlib.h>
#include <string.h>

#include "tls_context.h"

static void session_clear(struct tls_session *s)
{
    SSL_SESSION_free(s->session);
    free(s->host);
    *s = (struct tls_session){NULL, NULL};
}

/* Caller holds the lock. NULL: none. */
static struct tls_session *session_of(struct tls_context *c, const char *host)
{
    for (size_t i = 0; i < TLS_SESSION_MAX; i++) {
        if (c->sessions[i].host != NULL && strcmp(c->sessions[i].host, host) == 0) {
            return &c->sessions[i];
        }
    }
    return NULL;
}

/* OpenSSL has a new session. 1: it is kept; 0: OpenSSL frees it. */
static int session_keep(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = SSL_get_app_data(ssl); /* whom it was verified against */
    char *host = name != NULL ? strdup(name) : NULL;
    if (host == NULL || SSL_SESSION_is_resumable(session) != 1) {
        free(host);
        return 0;
    }
    pthread_mutex_lock(&c->lock);
    struct tls_session *s = session_of(c, host);
    if (s == NULL) {
        s = &c->sessions[c->session_next];
        c->session_next = (c->session_next + 1) % TLS_SESSION_MAX;
    }
    struct tls_session old = *s;
    *s = (struct tls_session){host, session};
    pthread_mutex_unlock(&c->lock);
    session_clear(&old);
    return 1;
}

void weft__tls_session_setup(struct tls_context *c)
{
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ssl, session_keep);
}

void weft__tls_session_use(struct tls_context *c, SSL *ssl, const char *host)
{
    struct tls_session found = {NULL, NULL};
    pthread_mutex_lock(&c->lock);
    struct tls_session *s = session_of(c, host);
    if (s != NULL) {
        found = *s;
        *s = (struct tls_session){NULL, NULL};
    }
    pthread_mutex_unlock(&c->lock);
    if (found.session != NULL) {
        (void)SSL_set_session(ssl, found.session); /* or else it is a whole handshake */
    }
    session_clear(&found);
}

void weft__tls_session_drop(struct tls_context *c)
{
    for (size_t i = 0; i < TLS_SESSION_MAX; i++) {
        session_clear(&c->sessions[i]);
    }
}

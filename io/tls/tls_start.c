/* SPDX-License-Identifier: MIT */
/*
 * Starting TLS: a layer is put under the stream, then the two sides shake hands, which is the
 * calling task's alone. What it meets after the layer is there ends the connection: the peer is
 * told where there is something to tell, and cut off where time is over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <weft/scope.h>
#include <weft/task.h>

#include "tls_stream.h"

static bool is_number(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Whom a client talks to: what it asks for, and what the certificate has to be for. */
static int client_setup(struct tls_stream *t, const char *host)
{
    bool is_verifying = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE;
    SSL_set_connect_state(t->ssl);
    if (host == NULL) {
        return is_verifying ? -EINVAL : 0;
    }
    size_t n = strlen(host);
    t->host = strndup(host, n > 1 && host[n - 1] == '.' ? n - 1 : n);
    if (t->host == NULL) {
        return -ENOMEM;
    }
    int is_set = 1;
    ERR_clear_error();
    if (is_number(t->host)) {
        is_set = !is_verifying ||
                 X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), t->host) == 1;
    } else {
        SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_set = SSL_set_tlsext_host_name(t->ssl, t->host) == 1 &&
                 (!is_verifying || SSL_set1_host(t->ssl, t->host) == 1);
    }
    if (!is_set) {
        return weft__tls_error_or(-EINVAL);
    }
    if (!t->context->options.no_resumption) {
        SSL_set_app_data(t->ssl, t->host);
        weft__tls_session_use(t->context, t->ssl, t->host);
    }
    return 0;
}

/* Make what is needed for a handshake. 0 or an error; is to be freed in each case. */
static int stream_setup(struct tls_stream *t, weft_tls_config *config, const char *host)
{
    t->context = weft__tls_config_context(config);
    t->ssl = SSL_new(t->context->ssl);
    if (t->ssl == NULL || weft__tls_bio_attach(t) < 0) {
        return -ENOMEM;
    }
    if (t->context->options.is_server) {
        SSL_set_accept_state(t->ssl);
        return 0;
    }
    return client_setup(t, host);
}

/* Take the next step with what there is, waiting for it if that was not enough before. 0: done,
 * TLS_WANTS_INPUT, or an error. */
static int shake_once(struct tls_stream *t, bool may_wait)
{
    struct weft_view view;
    ssize_t held = weft_stream_peek(t->below, may_wait ? 1 : 0, &view);
    if (held < 0) {
        return (int)held;
    }
    if (held == 0 && may_wait) {
        t->is_over = true;
        return weft__tls_break(t, -ECONNRESET, "the connection ended during the handshake");
    }
    t->in = view;
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    int err = result == 1 ? 0 : weft__tls_outcome(t, result);
    if (result != 1 && err == 0) {
        err = weft__tls_break(t, -ECONNRESET, "the peer has ended the handshake");
    }
    size_t taken = view.bytes - t->in.bytes;
    t->in = (struct weft_view){NULL, 0};
    weft__tls_out_hand_over(t);
    weft_stream_skip(t->below, taken);
    bool is_stuck = t->out_bytes > 0 && (err == 0 || err == TLS_WANTS_INPUT);
    return is_stuck ? weft__tls_break(t, -ENOMEM, "no memory to send the handshake") : err;
}

static int shake(struct tls_stream *t)
{
    int err = shake_once(t, false);
    while (err == TLS_WANTS_INPUT) {
        err = shake_once(t, true);
    }
    if (err == 0) {
        err = weft_stream_drain(t->below);
    }
    return err;
}

/* Keep what was agreed on, for any thread to see. */
static int note_agreed(struct tls_stream *t)
{
    const unsigned char *protocol;
    unsigned bytes;
    SSL_get0_alpn_selected(t->ssl, &protocol, &bytes);
    if (bytes > 0 && (t->protocol = calloc(1, bytes + 1)) != NULL) {
        memcpy(t->protocol, protocol, bytes);
    }
    const char *host = t->context->options.is_server
                           ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name)
                           : NULL;
    if (host != NULL) {
        t->host = strdup(host);
    }
    t->has_more = SSL_has_pending(t->ssl) == 1;
    bool is_short = (bytes > 0 && t->protocol == NULL) || (host != NULL && t->host == NULL);
    return is_short ? -ENOMEM : 0;
}

/* A handshake came to nothing: who wants to know is told. */
static void refused(struct tls_stream *t, int err)
{
    const struct weft_tls_options *o = &t->context->options;
    const char *reason = t->error < 0        ? t->reason
                         : err == -ETIMEDOUT ? "the handshake took too long"
                         : err == -ECANCELED ? "the handshake was cancelled"
                                             : "the connection failed";
    (void)weft__tls_break(t, err, reason);
    t->has_more = true; /* the error, for who reads */
    weft__tls_error_note(t->reason);
    if (o->on_refused != NULL) {
        o->on_refused(err, t->reason, o->on_refused_arg);
    }
}

int weft_tls_start(weft_stream *s, weft_tls_config *config, const char *host)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    struct tls_stream *t = calloc(1, sizeof *t);
    int err = t == NULL ? -ENOMEM : stream_setup(t, config, host);
    ERR_clear_error();
    if (err == 0) {
        err = weft_stream_layer_push(s, &weft__tls_ops, t, &t->below);
    }
    if (err < 0) {
        if (t != NULL) {
            weft__tls_stream_free(t);
        }
        return err;
    }
    int64_t limit_ns = t->context->options.handshake_ns;
    WEFT_TIMEOUT(limit_ns != 0 ? limit_ns : WEFT_TLS_HANDSHAKE_DEFAULT) {
        err = shake(t);
    }
    if (err == 0) {
        err = note_agreed(t);
    }
    if (err < 0) {
        bool is_told = t->error < 0;
        refused(t, err);
        if (!is_told) {
            weft_stream_abort(s);
        }
    }
    return err;
}

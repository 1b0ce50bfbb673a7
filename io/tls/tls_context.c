/* SPDX-License-Identifier: MIT */
/* TLS context: from options to what OpenSSL needs; see tls_context.h. */
#include "tls_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

/* What a protocol's name may have, by RFC 7301. */
#define PROTOCOL_BYTES_MAX 255

static int options_check(const struct weft_tls_options *o)
{
    for (unsigned i = 0; i < sizeof o->reserved / sizeof *o->reserved; i++) {
        if (o->reserved[i] != 0) {
            return -EINVAL;
        }
    }
    bool is_odd = o->handshake_ns < 0 || o->close_ns < 0 ||
                  (unsigned)o->verify > WEFT_TLS_VERIFY_REQUIRED ||
                  (unsigned)o->version_min > WEFT_TLS_VERSION_1_3 ||
                  (o->certificate_count > 0 && o->certificates == NULL) ||
                  (o->protocol_count > 0 && o->protocols == NULL) ||
                  (o->is_server ? o->certificate_count == 0
                                : o->choose != NULL || o->verify == WEFT_TLS_VERIFY_OPTIONAL);
    for (size_t i = 0; !is_odd && i < o->protocol_count; i++) {
        size_t n = o->protocols[i] != NULL ? strlen(o->protocols[i]) : 0;
        is_odd = n == 0 || n > PROTOCOL_BYTES_MAX;
    }
    return is_odd ? -EINVAL : 0;
}

static int load_certificates(struct tls_context *c, const struct weft_tls_options *o)
{
    if (o->certificate_count == 0) {
        return 0;
    }
    c->certificates = calloc(o->certificate_count, sizeof *c->certificates);
    if (c->certificates == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < o->certificate_count; i++) {
        c->certificate_count = i + 1;
        int err = weft__tls_certificate_load(&c->certificates[i], &o->certificates[i]);
        if (err < 0) {
            return err;
        }
    }
    weft__tls_choose_setup(c);
    return 0;
}

static int load_protocols(struct tls_context *c, const struct weft_tls_options *o)
{
    size_t bytes = 0;
    for (size_t i = 0; i < o->protocol_count; i++) {
        bytes += 1 + strlen(o->protocols[i]);
    }
    if (bytes == 0) {
        return 0;
    }
    c->protocols = malloc(bytes);
    if (c->protocols == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < o->protocol_count; i++) {
        size_t n = strlen(o->protocols[i]);
        c->protocols[c->protocol_bytes++] = (unsigned char)n;
        memcpy(c->protocols + c->protocol_bytes, o->protocols[i], n);
        c->protocol_bytes += n;
    }
    if (!o->is_server &&
        SSL_CTX_set_alpn_protos(c->ssl, c->protocols, (unsigned)c->protocol_bytes) != 0) {
        return -ENOMEM;
    }
    return 0;
}

/* The first of the server's that the client has, too. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *bytes,
                           const unsigned char *offered, unsigned offered_bytes, void *arg)
{
    const struct tls_context *c = arg;
    unsigned char *found;
    (void)ssl;
    int how = SSL_select_next_proto(&found, bytes, c->protocols, (unsigned)c->protocol_bytes,
                                    offered, offered_bytes);
    *out = found;
    return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int verify_mode(const struct weft_tls_options *o)
{
    switch (o->verify) {
    case WEFT_TLS_VERIFY_NONE:
        return SSL_VERIFY_NONE;
    case WEFT_TLS_VERIFY_OPTIONAL:
        return SSL_VERIFY_PEER;
    case WEFT_TLS_VERIFY_REQUIRED:
        return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    default:
        return o->is_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    }
}

static void context_setup(struct tls_context *c, const struct weft_tls_options *o)
{
    static const unsigned char name[] = "weft";
    SSL_CTX_set_app_data(c->ssl, c);
    SSL_CTX_set_min_proto_version(
        c->ssl, o->version_min == WEFT_TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(c->ssl, verify_mode(o), NULL);
    (void)SSL_CTX_set_session_id_context(c->ssl, name, sizeof name - 1);
    if (o->is_server && c->protocol_bytes > 0) {
        SSL_CTX_set_alpn_select_cb(c->ssl, choose_protocol, c);
    }
    if (o->no_resumption) {
        SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
        (void)SSL_CTX_set_num_tickets(c->ssl, 0);
    } else if (!o->is_server) {
        weft__tls_session_setup(c);
    }
}

int weft__tls_context_create(const struct weft_tls_options *options, struct tls_context **context)
{
    static const struct weft_tls_options none;
    const struct weft_tls_options *o = options != NULL ? options : &none;
    int err = options_check(o);
    if (err < 0) {
        return err;
    }
    struct tls_context *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return -ENOMEM;
    }
    atomic_init(&c->references, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->options = *o;
    c->ssl = SSL_CTX_new(o->is_server ? TLS_server_method() : TLS_client_method());
    err = c->ssl == NULL ? -ENOMEM : load_certificates(c, o);
    bool is_verifying = verify_mode(o) != SSL_VERIFY_NONE;
    if (err == 0 && (is_verifying || o->ca_file != NULL || o->ca_folder != NULL ||
                     o->ca_pem != NULL)) {
        err = weft__tls_trust_load(c->ssl, o);
    }
    if (err == 0) {
        err = load_protocols(c, o);
    }
    ERR_clear_error();
    if (err < 0) {
        weft__tls_context_put(c);
        return err;
    }
    context_setup(c, o);
    *context = c;
    return 0;
}

struct tls_context *weft__tls_context_get(struct tls_context *c)
{
    /* Who takes one has one. */
    (void)atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void weft__tls_context_put(struct tls_context *c)
{
    /* What all have done with it -> the last of them, who frees it. */
    if (atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    weft__tls_session_drop(c);
    SSL_CTX_free(c->ssl);
    for (size_t i = 0; i < c->certificate_count; i++) {
        weft__tls_certificate_drop(&c->certificates[i]);
    }
    free(c->certificates);
    free(c->protocols);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

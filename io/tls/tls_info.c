/* SPDX-License-Identifier: MIT */
/* What was agreed on, and with whom. It stays after the handshake, so nothing is locked. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tls_stream.h"

static struct tls_stream *tls_of(const weft_stream *s)
{
    return weft_stream_layer(s, &weft__tls_ops);
}

int weft_tls_info(const weft_stream *s, struct weft_tls_info *info)
{
    const struct tls_stream *t = tls_of(s);
    if (t == NULL) {
        return -ENOTSUP;
    }
    *info = (struct weft_tls_info){
        .version = SSL_get_version(t->ssl),
        .cipher = SSL_get_cipher_name(t->ssl),
        .protocol = t->protocol,
        .host = t->host,
        .is_resumed = SSL_session_reused(t->ssl) == 1,
        .is_verified = SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE &&
                       SSL_get0_peer_certificate(t->ssl) != NULL &&
                       SSL_get_verify_result(t->ssl) == X509_V_OK,
    };
    return 0;
}

ssize_t weft_tls_peer_certificate(const weft_stream *s, void *der, size_t n)
{
    const struct tls_stream *t = tls_of(s);
    if (t == NULL) {
        return -ENOTSUP;
    }
    unsigned char *all = NULL;
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    int bytes = peer != NULL ? i2d_X509(peer, &all) : 0;
    if (bytes < 0) {
        return -ENOMEM;
    }
    if (der != NULL && bytes > 0) {
        memcpy(der, all, n < (size_t)bytes ? n : (size_t)bytes);
    }
    OPENSSL_free(all);
    return bytes;
}

ssize_t weft_tls_peer_name(const weft_stream *s, char *text, size_t n)
{
    const struct tls_stream *t = tls_of(s);
    if (t == NULL) {
        return -ENOTSUP;
    }
    X509 *peer = SSL_get0_peer_certificate(t->ssl);
    if (text != NULL && n > 0) {
        text[0] = '\0';
    }
    if (peer == NULL) {
        return 0;
    }
    BIO *out = BIO_new(BIO_s_mem());
    char *all = NULL;
    if (out == NULL ||
        X509_NAME_print_ex(out, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(out);
        return -ENOMEM;
    }
    long bytes = BIO_get_mem_data(out, &all);
    if (text != NULL && n > 0) {
        size_t part = (size_t)bytes < n - 1 ? (size_t)bytes : n - 1;
        memcpy(text, all, part);
        text[part] = '\0';
    }
    BIO_free(out);
    return bytes;
}

const char *weft_tls_error_string(const weft_stream *s)
{
    const struct tls_stream *t = s != NULL ? tls_of(s) : NULL;
    return s == NULL ? weft__tls_error_last() : t != NULL ? t->reason : "";
}

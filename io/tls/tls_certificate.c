/* SPDX-License-Identifier: MIT */
/* Certificates: loading them, and which one a server shows to whom. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tls_context.h"

/* More than it takes to get past a moment without memory. */
#define DECODE_TRIES 8

/* A file, or a text if there is one. 0 or -errno. */
static int source_open(const char *file, const char *text, BIO **source)
{
    *source = NULL;
    if (text != NULL) {
        size_t n = strlen(text);
        *source = n > INT_MAX ? NULL : BIO_new_mem_buf(text, (int)n);
        return *source == NULL ? -ENOMEM : 0;
    }
    if (file == NULL) {
        return -EINVAL;
    }
    errno = 0;
    *source = BIO_new_file(file, "r");
    return *source != NULL ? 0 : errno != 0 ? -errno : -ENOMEM;
}

static int no_passphrase(char *buf, int bytes, int is_writing, void *arg)
{
    (void)buf;
    (void)bytes;
    (void)is_writing;
    (void)arg;
    return -1;
}

/*
 * The next certificate, NULL: there is none, or it cannot be read. Where OpenSSL cannot decode its
 * key it takes that for one of a kind that it does not know, also when it was memory that was
 * missing: so such a one is decoded again, a few times.
 */
static X509 *certificate_read(BIO *source, bool is_own)
{
    X509 *x = is_own ? PEM_read_bio_X509_AUX(source, NULL, no_passphrase, NULL)
                     : PEM_read_bio_X509(source, NULL, no_passphrase, NULL);
    for (int i = 0; i < DECODE_TRIES && x != NULL && X509_get0_pubkey(x) == NULL; i++) {
        X509 *before = x;
        ERR_clear_error();
        x = X509_dup(before);
        X509_free(before);
    }
    return x;
}

/* Why no more was read: 0: nothing is left. */
static int end_of_pem(void)
{
    bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    return weft__tls_error_or(is_end ? 0 : -EBADMSG);
}

static int chain_load(struct tls_certificate *c, BIO *source)
{
    X509 *next;
    c->own = certificate_read(source, true);
    if (c->own == NULL) {
        return weft__tls_error_or(-EBADMSG);
    }
    c->chain = sk_X509_new_null();
    if (c->chain == NULL) {
        return -ENOMEM;
    }
    while ((next = certificate_read(source, false)) != NULL) {
        if (sk_X509_push(c->chain, next) <= 0) {
            X509_free(next);
            return -ENOMEM;
        }
    }
    return end_of_pem();
}

int weft__tls_certificate_load(struct tls_certificate *c, const struct weft_tls_certificate *from)
{
    BIO *source;
    ERR_clear_error();
    int err = source_open(from->chain_file, from->chain_pem, &source);
    if (err == 0) {
        err = chain_load(c, source);
    }
    BIO_free(source);
    if (err < 0) {
        return err;
    }
    bool is_apart = from->key_file != NULL || from->key_pem != NULL;
    err = is_apart ? source_open(from->key_file, from->key_pem, &source)
                   : source_open(from->chain_file, from->chain_pem, &source);
    if (err == 0) {
        ERR_clear_error();
        c->key = PEM_read_bio_PrivateKey(source, NULL, no_passphrase, NULL);
        err = c->key == NULL ? weft__tls_error_or(-EBADMSG) : 0;
    }
    BIO_free(source);
    ERR_clear_error();
    if (err == 0 && X509_check_private_key(c->own, c->key) != 1) {
        err = weft__tls_error_or(-EKEYREJECTED);
    }
    return err;
}

void weft__tls_certificate_drop(struct tls_certificate *c)
{
    X509_free(c->own);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
}

int weft__tls_trust_pem(SSL_CTX *ssl, const char *pem)
{
    BIO *source;
    int count = 0;
    int err = source_open(NULL, pem, &source);
    while (err == 0) {
        X509 *next = certificate_read(source, false);
        if (next == NULL) {
            err = end_of_pem();
            err = err == 0 && count == 0 ? -EBADMSG : err;
            break;
        }
        err = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), next) == 1 ? 0 : -ENOMEM;
        X509_free(next);
        count++;
    }
    BIO_free(source);
    ERR_clear_error();
    return err;
}

/* The index of the first certificate that is for a host, or 0. */
static size_t find_for(const struct tls_context *c, const char *host)
{
    for (size_t i = 0; host != NULL && i < c->certificate_count; i++) {
        if (X509_check_host(c->certificates[i].own, host, 0, 0, NULL) == 1) {
            return i;
        }
    }
    return 0;
}

/* OpenSSL asks which certificate to show. 1: it was set; 0: refuse. */
static int choose_certificate(SSL *ssl, void *arg)
{
    const struct tls_context *c = arg;
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t index = c->options.is_server ? find_for(c, host) : 0;
    if (c->options.choose != NULL) {
        int chosen = c->options.choose(host, c->options.choose_arg);
        if (chosen < 0 || (size_t)chosen >= c->certificate_count) {
            return 0;
        }
        index = (size_t)chosen;
    }
    const struct tls_certificate *own = &c->certificates[index];
    return SSL_use_cert_and_key(ssl, own->own, own->key, own->chain, 1) == 1;
}

void weft__tls_choose_setup(struct tls_context *c)
{
    SSL_CTX_set_cert_cb(c->ssl, choose_certificate, c);
}

/* SPDX-License-Identifier: MIT */
/*
 * For tests of TLS: certificates that are made when the test starts, configurations, two streams
 * that shake hands.
 */
#ifndef WEFT_TLS_HELP_H
#define WEFT_TLS_HELP_H

#include "../io/stream_help.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <weft/stream_layer.h>
#include <weft/tls.h>

/* A certificate and its key, as text and as objects. */
struct made {
    X509 *own;
    EVP_PKEY *key;
    char chain_pem[4096];
    char key_pem[4096];
};

static inline void pem_text(BIO *from, char *text, size_t bytes)
{
    int n = BIO_read(from, text, (int)bytes - 1);
    CHECK(n > 0 && (size_t)n < bytes - 1);
    text[n] = '\0';
    BIO_free(from);
}

static inline void add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(e != NULL);
    CHECK_EQUAL(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/*
 * Make a certificate.
 * key: its own from then on
 * name: of the subject; names: as subjectAltName has them, "DNS:a,IP:127.0.0.1"; NULL: an authority
 * by: who vouches for it; NULL: itself
 * from, until: seconds from now
 */
static inline struct made *make_certificate_of(EVP_PKEY *key, const char *name, const char *names,
                                               const struct made *by, long from, long until)
{
    static long serial = 1;
    struct made *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    m->key = key;
    m->own = X509_new();
    CHECK(m->key != NULL && m->own != NULL);
    X509_set_version(m->own, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(m->own), serial++);
    X509_gmtime_adj(X509_getm_notBefore(m->own), from);
    X509_gmtime_adj(X509_getm_notAfter(m->own), until);
    X509_set_pubkey(m->own, m->key);
    X509_NAME *subject = X509_get_subject_name(m->own);
    CHECK_EQUAL(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                           (const unsigned char *)name, -1, -1, 0), 1);
    X509_set_issuer_name(m->own, by != NULL ? X509_get_subject_name(by->own) : subject);
    if (names != NULL) {
        add_extension(m->own, NID_subject_alt_name, names);
    } else {
        add_extension(m->own, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(m->own, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    CHECK(X509_sign(m->own, by != NULL ? by->key : m->key, EVP_sha256()) > 0);
    BIO *out = BIO_new(BIO_s_mem());
    CHECK_EQUAL(PEM_write_bio_X509(out, m->own), 1);
    pem_text(out, m->chain_pem, sizeof m->chain_pem);
    out = BIO_new(BIO_s_mem());
    CHECK_EQUAL(PEM_write_bio_PrivateKey(out, m->key, NULL, NULL, 0, NULL, NULL), 1);
    pem_text(out, m->key_pem, sizeof m->key_pem);
    return m;
}

/* The same with a key of the kind that is quick to make. */
static inline struct made *make_certificate(const char *name, const char *names,
                                            const struct made *by, long from, long until)
{
    return make_certificate_of(EVP_EC_gen("P-256"), name, names, by, from, until);
}

static inline void drop_certificate(struct made *m)
{
    X509_free(m->own);
    EVP_PKEY_free(m->key);
    free(m);
}

static inline struct weft_tls_certificate as_certificate(const struct made *m)
{
    return (struct weft_tls_certificate){.chain_pem = m->chain_pem, .key_pem = m->key_pem};
}

/* What most tests need; for a main that calls make_world before its cases. */
static struct {
    struct made *authority;
    struct made *server; /* of "server.test", 127.0.0.1 */
    struct made *client; /* "client 7" */
} world;

static inline void make_world(void)
{
    world.authority = make_certificate("authority", NULL, NULL, -3600, 3600);
    world.server = make_certificate("server", "DNS:server.test,IP:127.0.0.1", world.authority,
                                    -3600, 3600);
    world.client = make_certificate("client 7", "DNS:client.test", world.authority, -3600, 3600);
}

static inline void drop_world(void)
{
    drop_certificate(world.authority);
    drop_certificate(world.server);
    drop_certificate(world.client);
}

static inline weft_tls_config *configured(const struct weft_tls_options *options)
{
    weft_tls_config *c = NULL;
    CHECK_EQUAL(weft_tls_config_create(options, &c), 0);
    return c;
}

/* A server with these options and the world's certificate. */
static inline weft_tls_config *server_with(struct weft_tls_options options)
{
    struct weft_tls_certificate own = as_certificate(world.server);
    options.is_server = true;
    if (options.certificate_count == 0) {
        options.certificates = &own;
        options.certificate_count = 1;
    }
    return configured(&options);
}

/* A client that trusts the world's authority. */
static inline weft_tls_config *client_with(struct weft_tls_options options)
{
    options.ca_pem = options.ca_pem != NULL ? options.ca_pem : world.authority->chain_pem;
    return configured(&options);
}

/* One side of a handshake, as a task. */
struct side {
    weft_stream *s;
    weft_tls_config *config;
    const char *host;
};

__attribute__((unused)) static void *side_start(void *arg)
{
    struct side *e = arg;
    return BOXED(weft_tls_start(e->s, e->config, e->host));
}

/* Both sides start TLS. What came of the client's is returned, of the server's in *server_err. */
static inline int start_both(weft_stream *client, weft_tls_config *client_config, const char *host,
                             weft_stream *server, weft_tls_config *server_config, int *server_err)
{
    struct side e = {server, server_config, NULL};
    weft_task *t = spawn(side_start, &e);
    int err = weft_tls_start(client, client_config, host);
    *server_err = joined(t);
    return err;
}

/* Two ends in memory that have shaken hands: [0] is the client's. */
static inline void secure_pair(weft_tls_config *client, weft_tls_config *server,
                               weft_stream *ends[2])
{
    int err;
    CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
    CHECK_EQUAL(start_both(ends[0], client, "server.test", ends[1], server, &err), 0);
    CHECK_EQUAL(err, 0);
}

__attribute__((unused)) static void *close_stream(void *arg)
{
    return BOXED(weft_stream_close(arg));
}

/* Close both at once: each waits a moment for the other. */
static inline void close_pair(weft_stream *ends[2])
{
    weft_task *t = spawn(close_stream, ends[1]);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(joined(t), 0);
}

static inline void write_text(weft_stream *s, const char *text)
{
    CHECK_EQUAL(weft_stream_write(s, text, strlen(text)), strlen(text));
}

static inline void check_end(weft_stream *s)
{
    char c;
    CHECK_EQUAL(weft_stream_read(s, &c, 1), 0);
    CHECK(weft_stream_at_eof(s));
}

#endif

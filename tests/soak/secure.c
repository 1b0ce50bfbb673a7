/* SPDX-License-Identifier: MIT */
/*
 * TLS, where it was built: a certificate that is made when the program starts, and a round's
 * configurations for the server and its clients. Without it no server speaks TLS.
 */
#include <errno.h>

#include "soak.h"

#if WEFT_HAVE_TLS

#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { PEM_BYTES = 4096, VALID_S = 30 * 24 * 3600 };

static char chain[PEM_BYTES];
static char key_text[PEM_BYTES];

/* Take what was written to memory. Returns whether that is something, and fits. */
static bool text_take(BIO *from, char text[static PEM_BYTES])
{
    int n = BIO_read(from, text, PEM_BYTES - 1);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 && BIO_pending(from) == 0;
}

static bool certificate_fill(X509 *x, EVP_PKEY *key)
{
    X509_NAME *subject = X509_get_subject_name(x);
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e =
        X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
    bool is_done =
        e != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set_int64(X509_get_serialNumber(x), 1) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x), -3600) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(x), VALID_S) != NULL &&
        X509_set_pubkey(x, key) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                   (const unsigned char *)"weft-soak", -1, -1, 0) == 1 &&
        X509_set_issuer_name(x, subject) == 1 && X509_add_ext(x, e, -1) == 1 &&
        X509_sign(x, key, EVP_sha256()) > 0;
    X509_EXTENSION_free(e);
    return is_done;
}

bool soak_secure_begin(void)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *out = BIO_new(BIO_s_mem());
    bool is_done = x != NULL && key != NULL && out != NULL && certificate_fill(x, key) &&
                   PEM_write_bio_X509(out, x) == 1 && text_take(out, chain) &&
                   PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                   text_take(out, key_text);
    BIO_free(out);
    EVP_PKEY_free(key);
    X509_free(x);
    return is_done;
}

void soak_secure_make(struct soak_round *r)
{
    struct weft_tls_certificate own = {.chain_pem = chain, .key_pem = key_text};
    struct weft_tls_options server = {
        .is_server = true, .certificates = &own, .certificate_count = 1};
    struct weft_tls_options client = {.ca_pem = chain};
    int err = weft_tls_config_create(&server, &r->tls_server);
    err = err < 0 ? err : weft_tls_config_create(&client, &r->tls_client);
    if (err < 0) {
        soak_broken("round %u: no TLS: %s", r->number, strerrordesc_np(-err));
    }
}

void soak_secure_drop(struct soak_round *r)
{
    weft_tls_config_destroy(r->tls_server);
    weft_tls_config_destroy(r->tls_client);
}

#else

bool soak_secure_begin(void)
{
    return true;
}

void soak_secure_make(struct soak_round *r)
{
    (void)r;
}

void soak_secure_drop(struct soak_round *r)
{
    (void)r;
}

#endif

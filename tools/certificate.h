/* SPDX-License-Identifier: MIT */
/* A certificate that is made on the spot and thrown away, for servers that are looked at or tested:
 * nobody vouches for it. */
#ifndef WEFT_CERTIFICATE_H
#define WEFT_CERTIFICATE_H

#include <stdbool.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <weft/task.h>

/* From an hour ago, for clocks that are behind, until a month from now. */
#define VALID_FROM_S (-3600L)
#define VALID_UNTIL_S (30L * 24 * 3600)

/* Room for a certificate or key in PEM: they have some hundred bytes. */
#define PEM_BYTES 4096

/* Fill in what a certificate says. Returns whether that succeeded. */
static inline bool certificate_fill(X509 *x, EVP_PKEY *key, const char *of, const char *names)
{
    X509_NAME *subject = X509_get_subject_name(x);
    X509V3_CTX context;
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    bool is_done =
        e != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set_int64(X509_get_serialNumber(x), weft_now()) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x), VALID_FROM_S) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(x), VALID_UNTIL_S) != NULL &&
        X509_set_pubkey(x, key) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)of, -1, -1,
                                   0) == 1 &&
        X509_set_issuer_name(x, subject) == 1 && X509_add_ext(x, e, -1) == 1 &&
        X509_sign(x, key, EVP_sha256()) > 0;
    X509_EXTENSION_free(e);
    return is_done;
}

/* Take what was written to memory. Returns whether that is something, and fits. */
static inline bool pem_take(BIO *from, char text[static PEM_BYTES])
{
    int n = BIO_read(from, text, PEM_BYTES - 1);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 && BIO_pending(from) == 0;
}

/*
 * Make a certificate and its key. Returns whether that succeeded.
 * of: whose it says it is; names: those it is for, as subjectAltName has them
 */
static inline bool certificate_for(const char *of, const char *names, char chain[static PEM_BYTES],
                                   char key_text[static PEM_BYTES])
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *out = BIO_new(BIO_s_mem());
    bool is_done = x != NULL && key != NULL && out != NULL && certificate_fill(x, key, of, names) &&
                   PEM_write_bio_X509(out, x) == 1 && pem_take(out, chain) &&
                   PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                   pem_take(out, key_text);
    BIO_free(out);
    EVP_PKEY_free(key);
    X509_free(x);
    return is_done;
}

#endif

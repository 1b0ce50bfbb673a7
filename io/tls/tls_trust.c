/* SPDX-License-Identifier: MIT */
/*
 * Whom to trust. Everything is read when the configuration is made: left to itself, OpenSSL would
 * look into the folder in the middle of a handshake, on a worker.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>

#include "tls_context.h"

/* Whether a name is that of a certificate, as `openssl rehash` links them: 5ed36f99.0 */
static bool is_hash_name(const char *name)
{
    for (int i = 0; i < 8; i++) {
        if (!isxdigit((unsigned char)name[i])) {
            return false;
        }
    }
    return name[8] == '.' && isdigit((unsigned char)name[9]);
}

static int trust_file(SSL_CTX *ssl, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return -errno;
    }
    return SSL_CTX_load_verify_file(ssl, path) == 1 ? 0 : weft__tls_error_or(-EBADMSG);
}

static int trust_folder(SSL_CTX *ssl, const char *folder)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return -errno;
    }
    while ((entry = readdir(dir)) != NULL) {
        int n = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (is_hash_name(entry->d_name) && n > 0 && (size_t)n < sizeof path) {
            (void)SSL_CTX_load_verify_file(ssl, path); /* one that is broken vouches for nobody */
        }
    }
    closedir(dir);
    return 0;
}

/* What OpenSSL would look into by itself; what is not there is not trusted. */
static void trust_system(SSL_CTX *ssl)
{
    const char *file = secure_getenv(X509_get_default_cert_file_env());
    const char *folder = secure_getenv(X509_get_default_cert_dir_env());
    (void)trust_file(ssl, file != NULL ? file : X509_get_default_cert_file());
    (void)trust_folder(ssl, folder != NULL ? folder : X509_get_default_cert_dir());
}

int weft__tls_trust_load(SSL_CTX *ssl, const struct weft_tls_options *o)
{
    int err = 0;
    if (o->ca_file == NULL && o->ca_folder == NULL && o->ca_pem == NULL) {
        trust_system(ssl);
    }
    if (o->ca_file != NULL) {
        err = trust_file(ssl, o->ca_file);
    }
    if (err == 0 && o->ca_folder != NULL) {
        err = trust_folder(ssl, o->ca_folder);
    }
    if (err == 0 && o->ca_pem != NULL) {
        err = weft__tls_trust_pem(ssl, o->ca_pem);
    }
    ERR_clear_error();
    return err;
}

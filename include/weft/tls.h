/* SPDX-License-Identifier: MIT */
/*
 * TLS on streams, by OpenSSL. These calls are in a library of their own, weft-tls (weft::tls in
 * CMake, weft-tls in pkg-config), which is there when Weft was built where OpenSSL was.
 *
 *     weft_tls_config *tls;
 *     int err = weft_tls_config_create(NULL, &tls);     a client: trusts whom the system trusts
 *     struct weft_connect_options options = {.tls = tls};
 *     err = weft_open_connection("example.org", "https", &options, &s);
 *
 *     struct weft_tls_certificate own = {.chain_file = "chain.pem", .key_file = "key.pem"};
 *     struct weft_tls_options server = {.is_server = true, .certificates = &own,
 *                                       .certificate_count = 1};
 *     err = weft_tls_config_create(&server, &tls);
 *     struct weft_server_options options = {.service = "8443", .tls = tls};
 *     err = weft_serve(&options, handler, NULL, &s);
 *
 * What comes of it are streams as all others (stream.h): one task may read while another writes,
 * cancels and deadlines lose no byte, and leave the connection as it was. Besides:
 *   - The end of input is what the peer has said to be one. A connection that ends without that was
 *     cut off, by whomever: reading fails with -ECONNRESET.
 *   - weft_stream_shutdown_write says that no more comes; the descriptor's own half stays open.
 *   - weft_stream_close says the same, and waits for close_ns at most until the peer has closed,
 *     too: a socket closed with input unread would have the peer lose what it has not read.
 *   - Renegotiation is refused; new keys are agreed on as TLS 1.3 has it, unnoticed.
 * Errors of reading, writing and of handshakes, besides those of stream.h:
 *     -EKEYREJECTED  the peer's certificate is not trusted, or is another host's, or there is none
 *     -EKEYEXPIRED   it has expired, or is not valid yet
 *     -EACCES        the peer has refused us: our certificate, version, protocol
 *     -EPROTO        what came is not TLS, was tampered with, or there is nothing to agree on
 *     -ECONNRESET    the connection ended in the middle
 *     -ENOBUFS       OpenSSL had no memory: the connection is lost. Where it does not know that
 *                    this was the cause: -EPROTO
 * weft_tls_error_string says more.
 *
 * Which ciphers there are, and which a client prefers, is OpenSSL's to say, and that of its
 * configuration (openssl.cnf, or the file that OPENSSL_CONF names): TLS_AES_256_GCM_SHA384 first,
 * as a rule. A server takes the client's choice. AES-128 costs less; `Ciphersuites` among the
 * system's defaults there changes it, for all that use OpenSSL.
 *
 * A task that shakes hands needs a stack of 64 KiB, which is the default; a server's have it.
 */
#ifndef WEFT_PUBLIC_TLS_H
#define WEFT_PUBLIC_TLS_H

#include <weft/stream.h>

WEFT_BEGIN_DECLS

/* How to be a client, or a server: certificates, whom to trust, and the sessions that were had. */
typedef struct weft_tls_config weft_tls_config;

/* A certificate with its key, as files or as text, both in PEM. */
struct weft_tls_certificate {
    const char *chain_file; /* the certificate, then those that vouch for it */
    const char *key_file;   /* NULL: it is in the chain's file. Must not need a passphrase */
    const char *chain_pem;  /* the same as text */
    const char *key_pem;
};

enum weft_tls_verify {
    WEFT_TLS_VERIFY_DEFAULT,  /* a client verifies the server, and its name; a server nobody */
    WEFT_TLS_VERIFY_NONE,     /* a client talks to anybody */
    WEFT_TLS_VERIFY_OPTIONAL, /* a server verifies clients that have a certificate */
    WEFT_TLS_VERIFY_REQUIRED, /* and refuses those that have none */
};

enum weft_tls_version {
    WEFT_TLS_VERSION_DEFAULT, /* 1.2 */
    WEFT_TLS_VERSION_1_2,
    WEFT_TLS_VERSION_1_3,
};

#define WEFT_TLS_HANDSHAKE_DEFAULT WEFT_MINUTE
#define WEFT_TLS_CLOSE_DEFAULT WEFT_SECOND

/* All zero: a client that trusts what the system trusts. All is copied, files are read at once. */
struct weft_tls_options {
    bool is_server;
    bool accept_truncation; /* a connection that was cut off is the end of input */
    bool no_resumption;     /* each handshake is a whole one */
    bool close_at_once;     /* a close does not wait for the peer's */
    enum weft_tls_verify verify;
    enum weft_tls_version version_min;

    /* One's own; a server has one at least. Of several, a server shows the first that is for the
     * name that the client asks for, or else the first; a client shows the first. */
    const struct weft_tls_certificate *certificates;
    size_t certificate_count;
    /* Choose in the server instead: the index of a certificate, or a negative number: refuse. The
     * name is NULL when the client says none. Called on a worker's thread; must not wait. */
    int (*choose)(const char *host, void *arg);
    void *choose_arg;

    /* Whom to trust; none of the three: whom the system trusts. */
    const char *ca_file;
    const char *ca_folder; /* of certificates, as `openssl rehash` makes it */
    const char *ca_pem;

    /* Protocols on top, the preferred one first. A client offers them; a server takes the first of
     * its own that the client offers, and refuses one that offers others only. */
    const char *const *protocols;
    size_t protocol_count;

    int64_t handshake_ns; /* a handshake may take so long; 0: a minute */
    int64_t close_ns;     /* a close waits so long for the peer's; 0: a second */

    /* A server tells of handshakes that came to nothing, in the task of the connection. */
    void (*on_refused)(int err, const char *reason, void *arg);
    void *on_refused_arg;
    uint64_t reserved[8]; /* zero */
};

/*
 * Make a configuration. It stays until the last stream, server and connect under way that has it is
 * gone; only then it may be destroyed.
 * Context: any thread     Blocks: the thread, for reading files
 * options: may be NULL
 * Returns 0; -EINVAL: an option is out of range, or is for the other side, or a server has no
 * certificate; -ENOENT, -EACCES, ...: a file cannot be read; -EBADMSG: what is in it is no
 * certificate, or no key; -EKEYREJECTED: a key does not fit its certificate; -ENOMEM.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_tls_config_create(const struct weft_tls_options *options,
                                                       weft_tls_config **config);

/*
 * Put others in its place: handshakes that begin from now on use these options, connections that
 * there are go on. Sessions cannot be resumed across it.
 * Context: any thread     Blocks: as weft_tls_config_create
 * Returns as weft_tls_config_create, and then nothing has changed; -EINVAL also for the other side.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_tls_config_reload(weft_tls_config *config,
                                                       const struct weft_tls_options *options);

/* Free it. NULL is allowed. Context: any thread, nobody else uses it */
WEFT_PUBLIC void weft_tls_config_destroy(weft_tls_config *config);

/*
 * Upgrade a stream: from now on its bytes go through TLS. What was written is sent before, as it
 * is; what was received and not read belongs to the handshake. Both sides do it at the same place.
 * Context: task; nobody else is in a call on s but weft_stream_abort     Blocks: task
 * host: the name that a client asks the server for, and that its certificate has to be for; may be
 * a number. NULL: a server; or a client that verifies nobody
 * Returns 0; -EINVAL: a client that verifies, without a host; -ETIMEDOUT: handshake_ns is over, or
 * a scope's time; -ECANCELED; or an error as above. After an error of the handshake, time and
 * cancels included, the stream is of no use, and is still to be closed; after -EINVAL, -EPERM and
 * what weft_stream_drain or weft_stream_layer_push returns nothing has changed.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_tls_start(weft_stream *s, weft_tls_config *config,
                                               const char *host);

/*
 * Why a call has failed, in words.
 * Context: task     Blocks: nothing
 * s: that stream's reading or writing, until it is closed; NULL: the last handshake of the calling
 * task that failed, until the next one does
 * Returns the reason, or "" when there is none.
 */
WEFT_PUBLIC const char *weft_tls_error_string(const weft_stream *s);

/* What was agreed on; the strings are the stream's, until it is closed. */
struct weft_tls_info {
    const char *version;  /* "TLSv1.3" */
    const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
    const char *protocol; /* of `protocols`; NULL: none */
    const char *host;     /* that the client has asked for; NULL: none */
    bool is_resumed;      /* a session that was had before */
    bool is_verified;     /* the peer has a certificate that is trusted */
};

/* What was agreed on by a stream's handshake. Returns 0, -ENOTSUP: it is no TLS.
 * Context: any thread, while nobody closes s     Blocks: nothing */
WEFT_PUBLIC int weft_tls_info(const weft_stream *s, struct weft_tls_info *info);

/*
 * The peer's certificate, in DER.
 * Context: any thread, while nobody closes s     Blocks: nothing
 * der: gets up to n bytes; NULL: none
 * Returns its length, also when that is more than n; 0: it has shown none; -ENOTSUP: no TLS.
 */
WEFT_PUBLIC ssize_t weft_tls_peer_certificate(const weft_stream *s, void *der, size_t n);

/* The peer's name as its certificate has it: "CN=client 7,O=Example". As above; the text is
 * terminated when n > 0. */
WEFT_PUBLIC ssize_t weft_tls_peer_name(const weft_stream *s, char *text, size_t n);

WEFT_END_DECLS

#endif

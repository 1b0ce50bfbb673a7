/* SPDX-License-Identifier: MIT */
/*
 * Servers on sockets: where they listen, which addresses and files are refused, what becomes of the
 * files, descriptors that are passed on, running out of descriptors, and an accept in flight when
 * the server is closed. What needs no kernel is in sim/sim_server.c.
 */
#include "stream_help.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void echo(weft_stream *s, void *arg)
{
    char buf[4096];
    ssize_t n;
    if (arg != NULL) {
        atomic_add_seq_cst((shared_int *)arg, 1);
    }
    while ((n = weft_stream_read(s, buf, sizeof buf)) > 0) {
        CHECK_EQUAL(weft_stream_write(s, buf, (size_t)n), n);
    }
}

static weft_server *served(const struct weft_server_options *options, shared_int *count)
{
    weft_server *server = NULL;
    CHECK_EQUAL(weft_serve(options, echo, count, &server), 0);
    return server;
}

static int connect_to(const struct sockaddr *address, socklen_t bytes)
{
    int fd = weft_socket(address->sa_family, SOCK_STREAM, 0);
    int err = fd < 0 ? fd : weft_connect(fd, address, bytes);
    if (err < 0 && fd >= 0) {
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return err < 0 ? err : fd;
}

static int connect_ipv4(int port)
{
    struct sockaddr_in a = loopback();
    a.sin_port = htons((uint16_t)port);
    return connect_to(any_address(&a), sizeof a);
}

static int connect_ipv6(int port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    a.sin6_port = htons((uint16_t)port);
    return connect_to(any_address(&a), sizeof a);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    return connect_to(any_address(&a), sizeof a);
}

static void check_echo(int fd)
{
    char buf[6];
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_write_full(fd, "hello\n", 6, NULL), 0);
    CHECK_EQUAL(weft_read_full(fd, buf, 6, NULL), 0);
    CHECK_EQUAL(memcmp(buf, "hello\n", 6), 0);
    CHECK_EQUAL(weft_close(fd), 0);
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, any_address(&a), sizeof a) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return has;
}

static void *listen_on_several(void *arg)
{
    (void)arg;
    weft_server *server = served(&(struct weft_server_options){.host = "127.0.0.1,::1"}, NULL);
    int port = weft_server_port(server);
    CHECK(port > 0);
    check_echo(connect_ipv4(port));
    if (has_ipv6()) {
        CHECK_EQUAL(weft_server_listeners(server), 2);
        check_echo(connect_ipv6(port)); /* the same port */
    }
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(connect_ipv4(port), -ECONNREFUSED);
    server = served(NULL, NULL); /* everywhere */
    check_echo(connect_ipv4(weft_server_port(server)));
    if (has_ipv6()) {
        check_echo(connect_ipv6(weft_server_port(server)));
    }
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return NULL;
}

static void *refuse_addresses(void *arg)
{
    char port[8];
    weft_server *none = NULL;
    struct weft_server_options options = {.host = "127.0.0.1,127.0.0.1"};
    (void)arg;
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL); /* each once */
    options.host = "";
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    options = (struct weft_server_options){.host = "127.0.0.1", .service = "no such service"};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EPROTONOSUPPORT);
    weft_server *server = served(&(struct weft_server_options){.host = "127.0.0.1"}, NULL);
    snprintf(port, sizeof port, "%d", weft_server_port(server));
    int before = fd_count();
    options = (struct weft_server_options){.host = "127.0.0.2,127.0.0.1", .service = port};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EADDRINUSE);
    CHECK_EQUAL(fd_count(), before); /* what was opened is closed */
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    return NULL;
}

static void item_255_listens_on_several_addresses(void **state)
{
    (void)state;
    run_io(listen_on_several, NULL);
    run_io(refuse_addresses, NULL);
}

static void *reuse_port(void *arg)
{
    char port[8];
    weft_server *second = NULL;
    (void)arg;
    struct weft_server_options options = {.host = "127.0.0.1", .reuse_port = true};
    weft_server *first = served(&options, NULL);
    snprintf(port, sizeof port, "%d", weft_server_port(first));
    options.service = port;
    second = served(&options, NULL);
    CHECK_EQUAL(weft_server_port(second), weft_server_port(first));
    check_echo(connect_ipv4(weft_server_port(second)));
    CHECK_EQUAL(weft_server_close(first, WEFT_FOREVER), 0);
    options.reuse_port = false; /* off unless asked for */
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &first), -EADDRINUSE);
    CHECK_EQUAL(weft_server_close(second, WEFT_FOREVER), 0);
    return NULL;
}

static void item_256_a_port_is_shared_on_request(void **state)
{
    (void)state;
    run_io(reuse_port, NULL);
}

static void *accept_many(void *arg)
{
    enum { CLIENTS = 200 };

    int fds[CLIENTS];
    shared_int handled = 0;
    struct linger none = {.l_onoff = 1, .l_linger = 0};
    struct weft_server_options options = {.host = "127.0.0.1", .held = true};
    (void)arg;
    weft_server *server = served(&options, &handled);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = connect_ipv4(weft_server_port(server));
        CHECK(fds[i] >= 0);
        if (i % 3 == 0) { /* it is gone before it is accepted */
            CHECK_EQUAL(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
            CHECK_EQUAL(weft_close(fds[i]), 0);
        }
    }
    CHECK_EQUAL(weft_server_start(server), 0);
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 3 != 0) {
            check_echo(fds[i]);
        }
    }
    CHECK(atomic_load_seq_cst(&handled) >= CLIENTS * 2 / 3);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return NULL;
}

static void item_257_takes_all_that_are_there(void **state)
{
    (void)state;
    run_io(accept_many, NULL);
}

/* No descriptor is left: who connects waits, and is served when one is given back. */
static void *run_out(void *arg)
{
    enum { CLIENTS = 8 };

    int fds[CLIENTS];
    int held[64];
    int count = 0;
    struct rlimit old;
    (void)arg;
    weft_server *server = served(&(struct weft_server_options){.host = "127.0.0.1"}, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = weft_socket(AF_INET, SOCK_STREAM, 0);
    }
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
    int next = dup(0);
    CHECK_EQUAL(close(next), 0);
    struct rlimit few = {(rlim_t)next + 2, old.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && (held[count] = dup(0)) >= 0) {
        count++;
    }
    CHECK(count < 64);
    struct sockaddr_in a = loopback();
    a.sin_port = htons((uint16_t)weft_server_port(server));
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_EQUAL(weft_connect(fds[i], any_address(&a), sizeof a), 0);
    }
    settle();
    CHECK_EQUAL(weft_server_connections(server), 0);
    for (int i = 0; i < count; i++) {
        CHECK_EQUAL(close(held[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) { /* with two descriptors, one after the other */
        check_echo(fds[i]);
    }
    CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return NULL;
}

static void item_258_pauses_when_descriptors_run_out(void **state)
{
    (void)state;
    run_io(run_out, NULL);
}

/* --- Unix sockets --- */

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_folder(name), &st) == 0;
}

static weft_server *served_unix(const char *name, bool keep)
{
    char host[160];
    snprintf(host, sizeof host, "unix:%s", in_folder(name));
    struct weft_server_options options = {.host = host, .keep_path = keep, .path_mode = 0600};
    return served(&options, NULL);
}

static void *use_unix(void *arg)
{
    struct stat st;
    (void)arg;
    weft_server *server = served_unix("a", false);
    CHECK_EQUAL(stat(in_folder("a"), &st), 0);
    CHECK_EQUAL(st.st_mode & 07777, 0600);
    check_echo(connect_unix(in_folder("a")));
    weft_server *none = NULL;
    char host[160];
    snprintf(host, sizeof host, "unix:%s", in_folder("a"));
    struct weft_server_options options = {.host = host};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EADDRINUSE); /* it is not stale */
    check_echo(connect_unix(in_folder("a")));
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK(!exists("a"));
    server = served(&(struct weft_server_options){.host = "unix:@weft test, 127.0.0.1"}, NULL);
    check_echo(connect_ipv4(weft_server_port(server)));
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return NULL;
}

static void *replace_stale(void *arg)
{
    weft_server *none = NULL;
    (void)arg;
    weft_server *server = served_unix("stale", true);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    CHECK(exists("stale"));
    server = served_unix("stale", false);
    check_echo(connect_unix(in_folder("stale")));
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK(!exists("stale"));
    int fd = open(in_folder("plain"), O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(close(fd), 0);
    int before = fd_count();
    char host[300];
    snprintf(host, sizeof host, "unix:%s", in_folder("plain"));
    struct weft_server_options options = {.host = host};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EEXIST);
    CHECK(exists("plain"));
    snprintf(host, sizeof host, "unix:%s", in_folder("no such folder/a"));
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -ENOENT);
    memset(host + 5, 'x', 200);
    host[205] = '\0';
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -ENAMETOOLONG);
    CHECK_EQUAL(fd_count(), before);
    return NULL;
}

static void item_263_replaces_a_stale_socket_only(void **state)
{
    (void)state;
    run_io(use_unix, NULL);
    run_io(replace_stale, NULL);
}

static void *clean_up(void *arg)
{
    (void)arg;
    weft_server *server = served_unix("own", false);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    CHECK(!exists("own")); /* its own */
    server = served_unix("gone", false);
    CHECK_EQUAL(unlink(in_folder("gone")), 0);
    CHECK_EQUAL(weft_server_close(server, 0), 0); /* gone already */
    server = served_unix("replaced", false);
    CHECK_EQUAL(unlink(in_folder("replaced")), 0);
    weft_server *other = served_unix("replaced", false);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    CHECK(exists("replaced")); /* another's */
    check_echo(connect_unix(in_folder("replaced")));
    CHECK_EQUAL(weft_server_close(other, WEFT_FOREVER), 0);
    CHECK(!exists("replaced"));
    server = served_unix("kept", true);
    CHECK_EQUAL(weft_server_close(server, 0), 0);
    CHECK(exists("kept"));
    return NULL;
}

static void item_264_removes_its_own_file_only(void **state)
{
    (void)state;
    run_io(clean_up, NULL);
}

/* --- descriptors that are passed on --- */

static void *adopt(void *arg)
{
    struct sockaddr_in a;
    weft_server *none = NULL;
    (void)arg;
    int fds[2] = {make_listener(&a, 8), weft_socket(AF_INET, SOCK_STREAM, 0)};
    struct weft_server_options options = {.fds = fds, .fd_count = 1};
    weft_server *server = served(&options, NULL);
    CHECK_EQUAL(weft_server_port(server), ntohs(a.sin_port));
    check_echo(connected_to(&a));
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    fds[0] = make_listener(&a, 8);
    options.fd_count = 2; /* the second does not listen */
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1); /* both are gone */
    CHECK_EQUAL(fcntl(fds[1], F_GETFD), -1);
    options = (struct weft_server_options){.fds = fds, .fd_count = 1, .backlog = -1};
    fds[0] = make_listener(&a, 8);
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1); /* whatever is wrong */
    fds[0] = make_listener(&a, 8);
    options.backlog = 0;
    CHECK_EQUAL(weft_serve(&options, NULL, NULL, &none), -EINVAL); /* no handler */
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
    fds[0] = fds[1] = make_listener(&a, 8);
    options = (struct weft_server_options){.fds = fds, .fd_count = 2};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    CHECK_EQUAL(fcntl(fds[0], F_GETFD), -1);
    options = (struct weft_server_options){.fd_count = 1};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    CHECK(none == NULL);
    options = (struct weft_server_options){.reserved = {0, 0, 1}};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    options = (struct weft_server_options){.stream = {.high_water = 1, .low_water = 2}};
    CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
    return NULL;
}

static void adopts_descriptors(void **state)
{
    (void)state;
    weft_server *none = NULL;
    CHECK_EQUAL(weft_serve(NULL, echo, NULL, &none), -EPERM);
    run_io(adopt, NULL);
}

static void *adopt_from_systemd(void *arg)
{
    weft_server *server = served(&(struct weft_server_options){.listen_fds = true}, NULL);
    CHECK_EQUAL(weft_server_listeners(server), 1);
    CHECK(getenv("LISTEN_FDS") == NULL); /* taken once, and not passed on */
    CHECK_EQUAL(weft_server_port(server), UNBOXED(arg));
    check_echo(connect_ipv4(UNBOXED(arg)));
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return NULL;
}

static void *refuse_environment(void *arg)
{
    static const char *const odd[] = {"", "x", "3x", " 1", "+1", "-1", "1.0", "4294967297",
                                      "18446744073709551617"};
    const struct weft_server_options options = {.listen_fds = true};
    char pid[16];
    weft_server *none = NULL;
    for (size_t i = 0; i < 2 * sizeof odd / sizeof *odd; i++) {
        snprintf(pid, sizeof pid, "%d", (int)getpid());
        setenv("LISTEN_PID", i % 2 == 0 ? pid : odd[i / 2], 1);
        setenv("LISTEN_FDS", i % 2 == 0 ? odd[i / 2] : "1", 1);
        CHECK_EQUAL(weft_serve(&options, echo, NULL, &none), -EINVAL);
        CHECK(getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL);
    }
    setenv("LISTEN_PID", "1", 1); /* another's */
    setenv("LISTEN_FDS", "1", 1);
    weft_server *server = served(&options, NULL);
    CHECK(weft_server_port(server) > 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    return arg;
}

static void takes_numbers_only_from_systemd(void **state)
{
    (void)state;
    run_io(refuse_environment, NULL);
}

/* The socket has to be descriptor 3: what is there moves away meanwhile. */
static void adopts_what_systemd_passes(void **state)
{
    (void)state;
    struct sockaddr_in a = loopback();
    socklen_t bytes = sizeof a;
    char pid[16];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(listen(fd, 8), 0);
    CHECK_EQUAL(getsockname(fd, any_address(&a), &bytes), 0);
    int was = fd == 3 ? -1 : fcntl(3, F_DUPFD_CLOEXEC, 20);
    if (fd != 3) {
        CHECK_EQUAL(dup2(fd, 3), 3);
        CHECK_EQUAL(close(fd), 0);
    }
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    run_case(adopt_from_systemd, BOXED(ntohs(a.sin_port)));
    CHECK_EQUAL(fcntl(3, F_GETFD), -1);
    if (was >= 0) {
        CHECK_EQUAL(dup2(was, 3), 3);
        CHECK_EQUAL(close(was), 0);
    }
}

/* --- closing beside clients that come --- */

static void *connect_again_and_again(void *arg)
{
    int port = UNBOXED(arg);
    int fd;
    while ((fd = connect_ipv4(port)) >= 0) {
        CHECK_EQUAL(weft_close(fd), 0);
    }
    CHECK(fd == -ECONNREFUSED || fd == -ECONNRESET || fd == -ECANCELED);
    return NULL;
}

static void *close_beside_accepts(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    for (int i = 0; i < 30; i++) {
        weft_task *tasks[3];
        weft_server *server = served(&(struct weft_server_options){.host = "127.0.0.1"}, NULL);
        for (int j = 0; j < 3; j++) {
            tasks[j] = spawn(connect_again_and_again, BOXED(weft_server_port(server)));
        }
        for (uint64_t j = test_random(&random) % 50; j > 0; j--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        int err = weft_server_close(server, 0);
        CHECK(err == 0 || err == -ETIMEDOUT);
        for (int j = 0; j < 3; j++) { /* another process may have got the port */
            CHECK_EQUAL(weft_cancel_and_join(tasks[j], NULL), 0);
        }
    }
    return NULL;
}

static void is_closed_beside_accepts_in_flight(void **state)
{
    (void)state;
    run_io(close_beside_accepts, NULL);
}

/* Real clients, where they are installed: what they send comes back. */
static void *run_client(void *arg)
{
    const char *format = arg;
    char command[256];
    char buf[64] = {0};
    int fds[2];
    weft_server *server = served(&(struct weft_server_options){.host = "127.0.0.1"}, NULL);
    make_pipe(fds);
    snprintf(command, sizeof command, format, weft_server_port(server));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK(weft_read(fds[0], buf, sizeof buf - 1) > 0);
    CHECK_EQUAL(strcmp(buf, "hello\n"), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_server_close(server, WEFT_FOREVER), 0);
    CHECK_EQUAL(waitpid(pid, NULL, 0), pid);
    return NULL;
}

static void real_clients_are_answered(void **state)
{
    (void)state;
    static char nc[] = "echo hello | nc -N 127.0.0.1 %d";
    static char socat[] = "echo hello | socat -t 10 - TCP4:127.0.0.1:%d";
    if (system("command -v nc >/dev/null") == 0) {
        run_io(run_client, nc);
    }
    if (system("command -v socat >/dev/null") == 0) {
        run_io(run_client, socat);
    }
}

int main(void)
{
    help_limit_time();
    strcpy(folder, "/tmp/weft-test-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_255_listens_on_several_addresses),
        cmocka_unit_test(item_256_a_port_is_shared_on_request),
        cmocka_unit_test(item_257_takes_all_that_are_there),
        cmocka_unit_test(item_258_pauses_when_descriptors_run_out),
        cmocka_unit_test(item_263_replaces_a_stale_socket_only),
        cmocka_unit_test(item_264_removes_its_own_file_only),
        cmocka_unit_test(adopts_descriptors),
        cmocka_unit_test(adopts_what_systemd_passes),
        cmocka_unit_test(takes_numbers_only_from_systemd),
        cmocka_unit_test(is_closed_beside_accepts_in_flight),
        cmocka_unit_test(real_clients_are_answered),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(in_folder("plain"));
    (void)unlink(in_folder("kept"));
    (void)rmdir(folder);
    return failed;
}

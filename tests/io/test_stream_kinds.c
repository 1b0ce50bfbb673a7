/* SPDX-License-Identifier: MIT */
/*
 * Streams on pipes and terminals, what a stream says about itself, options that are refused, and
 * what ends the process.
 */
#include "stream_help.h"

#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void *open_refused(void *arg)
{
    weft_stream *s = NULL;
    struct weft_stream_options options = {.high_water = 10, .low_water = 11};
    int fds[2];
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_stream_open(-1, NULL, &s), -EBADF);
    CHECK_EQUAL(weft_stream_open(fds[0], &options, &s), -EINVAL);
    options = (struct weft_stream_options){.reserved = {0, 1}};
    CHECK_EQUAL(weft_stream_open(fds[0], &options, &s), -EINVAL);
    options = (struct weft_stream_options){.low_water = 1, .drain_all = true};
    CHECK_EQUAL(weft_stream_open(fds[0], &options, &s), -EINVAL);
    options = (struct weft_stream_options){.low_water = 10}; /* the high one is four times that */
    CHECK_EQUAL(weft_stream_open(fds[0], &options, &s), 0);
    CHECK_EQUAL(weft_stream_close(s), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    weft_stream *s = NULL;
    CHECK_EQUAL(weft_stream_open(0, NULL, &s), -EPERM);
    run_io(open_refused, NULL);
}

static void *ask_who(void *arg)
{
    struct sockaddr_in mine = {0};
    struct sockaddr_in theirs = {0};
    struct sockaddr_in here = {0};
    socklen_t bytes = sizeof mine;
    (void)arg;
    struct ends e = open_tcp_ends(NULL);
    CHECK_EQUAL(weft_stream_peer(e.s, any_address(&mine), &bytes), 0);
    bytes = sizeof here;
    CHECK_EQUAL(weft_stream_local(e.s, any_address(&here), &bytes), 0);
    bytes = sizeof theirs;
    CHECK_EQUAL(getpeername(e.peer, any_address(&theirs), &bytes), 0);
    CHECK_EQUAL(theirs.sin_port, here.sin_port);
    CHECK_EQUAL(mine.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK(weft_stream_fd(e.s) > 2);
    close_ends(&e);
    return NULL;
}

static void tells_its_addresses(void **state)
{
    (void)state;
    run_io(ask_who, NULL);
}

static void *use_pipe(void *arg)
{
    int fds[2];
    struct weft_view view;
    struct sockaddr_un name;
    socklen_t bytes = sizeof name;
    (void)arg;
    make_pipe(fds);
    weft_stream *in = opened(fds[0], NULL);
    weft_stream *out = opened(fds[1], NULL);
    struct stream_reading r = {.s = in, .call = READ_LINE};
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(in);
    CHECK_EQUAL(weft_stream_write(out, "hello\nworld", 11), 11);
    CHECK_EQUAL(joined(t), 6);
    CHECK(is_text(r.view, "hello\n"));
    CHECK_EQUAL(weft_stream_shutdown_write(out), -ENOTSUP);
    CHECK_EQUAL(weft_stream_peer(out, any_address(&name), &bytes), -ENOTSUP);
    static char block[300000];
    struct stream_reading all = {.s = in, .call = READ_TO_END};
    t = spawn(stream_read_task, &all);
    pattern_fill(block, 0, sizeof block);
    CHECK_EQUAL(weft_stream_write(out, block, sizeof block), sizeof block);
    CHECK_EQUAL(weft_stream_close(out), 0);
    CHECK_EQUAL(joined(t), 5 + sizeof block);
    CHECK_EQUAL(memcmp(all.view.data, "world", 5), 0);
    CHECK(pattern_fits(all.view.data + 5, 0, sizeof block));
    CHECK_EQUAL(weft_stream_read_line(in, &view), 0);
    CHECK_EQUAL(weft_stream_close(in), 0);
    return NULL;
}

static void item_277_pipes_are_streams(void **state)
{
    (void)state;
    run_io(use_pipe, NULL);
}

/* More than a pipe and a stream take. */
static void *write_much(void *arg)
{
    static const char block[200000];
    return BOXED(weft_stream_write(arg, block, sizeof block));
}

/* A pipe that is stuck, both ways, when it is aborted, and when it is closed. */
static void *abort_pipe(void *arg)
{
    int fds[2];
    void *n = NULL;
    (void)arg;
    make_pipe(fds);
    weft_stream *in = opened(fds[0], NULL);
    struct stream_reading r = {.s = in, .call = READ_LINE};
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(in);
    weft_stream_abort(in);
    CHECK_EQUAL(joined(t), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_close(in), -ECONNABORTED);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    make_pipe(fds);
    weft_stream *out = opened(fds[1], NULL);
    t = spawn(write_much, out);
    yield_until_waits(out);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(weft_join(t, &n), 0);
    CHECK(UNBOXED(n) > 0 && UNBOXED(n) < 200000);
    weft_stream_abort(out);
    CHECK_EQUAL(weft_stream_close(out), -ECONNABORTED);
    in = opened(fds[0], NULL);
    r = (struct stream_reading){.s = in, .call = READ_SOME, .n = 1};
    CHECK_EQUAL(stream_read(&r), 1); /* what had gone into the pipe before */
    CHECK_EQUAL(weft_stream_close(in), 0);
    return NULL;
}

static void pipes_are_aborted(void **state)
{
    (void)state;
    run_io(abort_pipe, NULL);
}

static void *use_terminal(void *arg)
{
    int master;
    int slave;
    struct termios raw;
    (void)arg;
    CHECK_EQUAL(openpty(&master, &slave, NULL, NULL, NULL), 0);
    CHECK_EQUAL(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    CHECK_EQUAL(tcsetattr(slave, TCSANOW, &raw), 0);
    weft_stream *a = opened(master, NULL);
    weft_stream *b = opened(slave, NULL);
    struct stream_reading to_b = {.s = b, .call = READ_LINE};
    struct stream_reading to_a = {.s = a, .call = READ_LINE};
    weft_task *tasks[2] = {spawn(stream_read_task, &to_a), spawn(stream_read_task, &to_b)};
    yield_until_waits(a);
    yield_until_waits(b);
    CHECK_EQUAL(weft_stream_write(a, "down\n", 5), 5); /* both ways at once */
    CHECK_EQUAL(weft_stream_write(b, "upwards\n", 8), 8);
    CHECK_EQUAL(joined(tasks[0]), 8);
    CHECK_EQUAL(joined(tasks[1]), 5);
    CHECK(is_text(to_a.view, "upwards\n"));
    CHECK(is_text(to_b.view, "down\n"));
    CHECK_EQUAL(weft_stream_close(b), 0);
    CHECK(weft_stream_read(a, to_a.buf, 8) <= 0); /* -EIO: nobody is there */
    CHECK_EQUAL(weft_stream_close(a), 0);
    return NULL;
}

static void item_277_terminals_are_streams(void **state)
{
    (void)state;
    run_io(use_terminal, NULL);
}

static void *notice_reader_gone(void *arg)
{
    int fds[2];
    (void)arg;
    make_pipe(fds);
    weft_stream *out = opened(fds[1], NULL);
    weft_task *t = spawn(wait_readable, BOXED(fds[1]));
    yield_until_waits(out);
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(joined(t) & POLLERR, POLLERR); /* without a write */
    CHECK_EQUAL(weft_stream_write(out, "x", 1), 1);
    CHECK_EQUAL(weft_stream_close(out), -EPIPE);
    return NULL;
}

static void item_278_a_pipe_notices_that_its_reader_has_gone(void **state)
{
    (void)state;
    run_io(notice_reader_gone, NULL);
}

/* --- what ends the process --- */

static void *read_twice(void *arg)
{
    struct ends e = open_ends(NULL);
    struct stream_reading r = {.s = e.s, .call = READ_LINE};
    (void)arg;
    weft_task *t = spawn(stream_read_task, &r);
    yield_until_waits(e.s);
    (void)weft_stream_read(e.s, r.buf, 1);
    return t;
}

static void *write_big(void *arg)
{
    static char block[4000000];
    return BOXED(weft_stream_write(arg, block, sizeof block));
}

static void *write_twice(void *arg)
{
    struct ends e = open_ends(NULL);
    (void)arg;
    weft_task *t = spawn(write_big, e.s);
    settle();
    (void)weft_stream_write(e.s, "x", 1);
    return t;
}

static void ends_the_process(weft_fn fn, const char *rule)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        dup2(fileno(file), STDERR_FILENO);
        (void)weft_run(fn, NULL, NULL);
        _exit(0);
    }
    int status = 0;
    char text[4096];
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(text, rule));
}

static void item_226_a_second_reader_ends_the_process(void **state)
{
    (void)state;
#ifdef TEST_SANITIZED
    skip(); /* they report the abort themselves */
#endif
    ends_the_process(read_twice, "one task at a time reads from a stream");
    ends_the_process(write_twice, "one task at a time writes to a stream");
}

/* What comes after little, and after much, of any length: at once, and to who waits. */
static void *take_lengths(void *arg)
{
    static const size_t lengths[] = {1, 511, 2, 512, 3, 4, 513, 5, 4096, 6, 5000, 7, 40000, 8, 9};
    static char text[40000];
    struct ends e = open_ends(NULL);
    struct weft_view view;
    (void)arg;
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)(i * 7 + i / 256);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        feed(&e, text, n);
        CHECK_EQUAL(weft_stream_peek(e.s, n, &view), n);
        CHECK(view.bytes == n && memcmp(view.data, text, n) == 0);
        weft_stream_skip(e.s, n);
        struct stream_reading r = {.s = e.s, .call = READ_PEEK, .n = n};
        weft_task *t = spawn(stream_read_task, &r);
        yield_until_waits(e.s);
        feed(&e, text, n);
        CHECK_EQUAL(joined(t), n);
        CHECK(r.view.bytes == n && memcmp(r.view.data, text, n) == 0);
        weft_stream_skip(e.s, n);
    }
    close_ends(&e);
    return NULL;
}

static void takes_little_and_much_in_turn(void **state)
{
    (void)state;
    run_io(take_lengths, NULL);
}

/* A message is not cut, though those before were little. */
static void *take_messages(void *arg)
{
    static const size_t lengths[] = {1, 2, 4000, 3, 700};
    static const char text[4000];
    int fds[2];
    struct weft_view view;
    (void)arg;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    struct ends e = {opened(fds[0], NULL), fds[1]};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        feed(&e, text, lengths[i]);
        CHECK_EQUAL(weft_stream_peek(e.s, 1, &view), lengths[i]);
        weft_stream_skip(e.s, lengths[i]);
    }
    close_ends(&e);
    return NULL;
}

static void takes_whole_messages(void **state)
{
    (void)state;
    run_io(take_messages, NULL);
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_226_a_second_reader_ends_the_process),
        cmocka_unit_test(takes_little_and_much_in_turn),
        cmocka_unit_test(takes_whole_messages),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(tells_its_addresses),
        cmocka_unit_test(item_277_pipes_are_streams),
        cmocka_unit_test(pipes_are_aborted),
        cmocka_unit_test(item_277_terminals_are_streams),
        cmocka_unit_test(item_278_a_pipe_notices_that_its_reader_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

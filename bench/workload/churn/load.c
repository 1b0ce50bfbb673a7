/* SPDX-License-Identifier: MIT */
/*
 * The load of the churn workload: connections that live for one echo.
 *
 * So many at a time connect, send a message, take its echo, compare it and close; then the next
 * takes the place. One thread, in a closed loop; the server sees a connection, a message and an
 * end of input each time. Connecting blocks: on loopback it is done by the time the call returns.
 *
 * Who closes first keeps the port for a minute (TIME_WAIT), and there are 28,000 of them for one
 * address. So the load connects from 127.0.1.1 to 127.0.250.250 in turn.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../echo/floor.h"
#include "../figures.h"

#define MESSAGE_BYTES 64
#define MESSAGE_WORDS (MESSAGE_BYTES / sizeof(uint64_t))

/* Source addresses: 127.0.FIRST.FIRST to 127.0.LAST.LAST. */
#define SOURCE_FIRST 1
#define SOURCE_LAST 250

struct options {
    unsigned short port;
    unsigned connections;
    double seconds;
    double warmup;
    int pid; /* 0: none */
};

/* A place for one connection after the other. */
struct place {
    int fd;
    int64_t begin_ns;
    uint64_t number; /* the message is this and those after it */
    size_t got;
    uint64_t message[MESSAGE_WORDS];
};

struct load {
    struct options options;
    struct place *places;
    int epoll_fd;
    uint64_t begun;
    /* those that ended while it was measured */
    bool is_measuring;
    int64_t *took_ns;
    size_t done;
    size_t room;
};

static double parse_seconds(const char *option, const char *text)
{
    char *end = NULL;
    double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= 0 && x <= 3600)) {
        errx(64, "%s takes seconds, not '%s'", option, text);
    }
    return x;
}

static struct options parse(int argc, char **argv)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"connections", required_argument, NULL, 'n'},
                                          {"seconds", required_argument, NULL, 'd'},
                                          {"warmup", required_argument, NULL, 'u'},
                                          {"pid", required_argument, NULL, 'P'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct options o = {.connections = 64, .seconds = 1, .warmup = 0.3};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (key) {
        case 'p':
            o.port = (unsigned short)floor_number("--port", optarg, 1, 65535);
            break;
        case 'n':
            o.connections = (unsigned)floor_number("--connections", optarg, 1, 10000);
            break;
        case 'd':
            o.seconds = parse_seconds("--seconds", optarg);
            break;
        case 'u':
            o.warmup = parse_seconds("--warmup", optarg);
            break;
        case 'P':
            o.pid = (int)floor_number("--pid", optarg, 1, 1 << 22);
            break;
        case 'h':
            printf("usage: %s --port PORT [--connections N] [--seconds S] [--warmup S] [--pid PID]"
                   "\nLoad of the churn workload; prints a line of JSON.\n",
                   argv[0]);
            exit(0);
        default:
            exit(64);
        }
    }
    if (o.port == 0) {
        errx(64, "--port is needed");
    }
    return o;
}

/* Connect from the next source address. */
static int connect_next(const struct load *l)
{
    const uint64_t sources = SOURCE_LAST - SOURCE_FIRST + 1;
    uint64_t i = l->begun % (sources * sources);
    uint32_t host = (uint32_t)((SOURCE_FIRST + i / sources) << 8 | (SOURCE_FIRST + i % sources));
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 | host)};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(l->options.port)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        /* The port is chosen when connecting: then only the pair of addresses has to be new. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        err(1, "connection %llu", (unsigned long long)l->begun);
    }
    return fd;
}

static void begin(struct load *l, struct place *p)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    uint64_t message[MESSAGE_WORDS];
    p->begin_ns = figures_clock_ns(CLOCK_MONOTONIC);
    p->fd = connect_next(l);
    p->got = 0;
    p->number = l->begun++ * MESSAGE_WORDS;
    for (size_t i = 0; i < MESSAGE_WORDS; i++) {
        message[i] = p->number + i;
    }
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, p->fd, &event) < 0 ||
        send(p->fd, message, sizeof message, MSG_NOSIGNAL) != (ssize_t)sizeof message) {
        err(1, "connection %llu", (unsigned long long)l->begun);
    }
}

static void count(struct load *l, int64_t took_ns)
{
    if (l->done == l->room) {
        l->room = l->room > 0 ? l->room * 2 : 65536;
        l->took_ns = realloc(l->took_ns, l->room * sizeof *l->took_ns);
        if (l->took_ns == NULL) {
            err(1, "no memory for the figures");
        }
    }
    l->took_ns[l->done++] = took_ns;
}

/* Take what came. Returns whether the connection has had its echo and is closed. */
static bool receive(struct load *l, struct place *p)
{
    ssize_t n = recv(p->fd, (char *)p->message + p->got, sizeof p->message - p->got, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    if (n <= 0) {
        err(1, "a connection ended before its echo");
    }
    p->got += (size_t)n;
    if (p->got < sizeof p->message) {
        return false;
    }
    bool is_right = true;
    for (size_t i = 0; i < MESSAGE_WORDS; i++) {
        is_right = is_right && p->message[i] == p->number + i;
    }
    if (!is_right) {
        errx(1, "a wrong echo came");
    }
    (void)close(p->fd);
    p->fd = -1;
    if (l->is_measuring) {
        count(l, figures_clock_ns(CLOCK_MONOTONIC) - p->begin_ns);
    }
    return true;
}

/* Serve the places until that time; whether each connection is followed by another. */
static void go_on(struct load *l, int64_t until_ns)
{
    struct epoll_event ready[256];
    while (figures_clock_ns(CLOCK_MONOTONIC) < until_ns) {
        int n = epoll_wait(l->epoll_fd, ready, 256, 100);
        for (int i = 0; i < n; i++) {
            struct place *p = ready[i].data.ptr;
            if (receive(l, p)) {
                begin(l, p);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct load l = {.options = parse(argc, argv), .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    const struct options *o = &l.options;
    floor_raise_descriptor_limit();
    l.places = calloc(o->connections, sizeof *l.places);
    if (l.epoll_fd < 0 || l.places == NULL) {
        err(1, "cannot begin");
    }
    int64_t begin_ns = figures_clock_ns(CLOCK_MONOTONIC) + (int64_t)(o->warmup * 1e9);
    for (unsigned i = 0; i < o->connections; i++) {
        begin(&l, &l.places[i]);
    }
    go_on(&l, begin_ns);
    int64_t server_ns = figures_process_cpu_ns(o->pid);
    int64_t own_ns = figures_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    begin_ns = figures_clock_ns(CLOCK_MONOTONIC);
    l.is_measuring = true;
    go_on(&l, begin_ns + (int64_t)(o->seconds * 1e9));
    server_ns = figures_process_cpu_ns(o->pid) - server_ns;
    own_ns = figures_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns;
    double seconds = (double)(figures_clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e9;
    if (l.done == 0) {
        errx(1, "no connection had its echo");
    }
    printf("{");
    figures_print("latency", l.took_ns, l.done);
    printf(", \"throughput\": %.1f, \"cpu_us\": %.3f, \"load_cores\": %.3f}\n",
           (double)l.done / seconds, (double)server_ns / 1e3 / (double)l.done,
           (double)own_ns / 1e9 / seconds);
    return 0;
}

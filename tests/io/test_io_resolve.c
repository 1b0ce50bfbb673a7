/* SPDX-License-Identifier: MIT */
/*
 * Names: what is numeric, what is looked up, errors; look-ups that are left behind.
 *
 * Method: the program has its own getaddrinfo and freeaddrinfo before those of the C library. A
 * host that begins with "slow" waits there until the gate is open; all lists are counted.
 */
#include "io_help.h"

#include <arpa/inet.h>
#include <dlfcn.h>

#include <weft/blocking.h>
#include <weft/resolve.h>

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;
static bool gate_is_open = true;

static shared_int inside;   /* look-ups of slow hosts */
static shared_int begun;    /* of them, ever */
static shared_int lists;    /* made and not freed */
static shared_int numerics; /* look-ups that are none */

typedef int getaddrinfo_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static bool is_slow(const char *host)
{
    return host != NULL && strncmp(host, "slow", 4) == 0;
}

int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    static getaddrinfo_fn *_Atomic real;
    getaddrinfo_fn *call = atomic_load_seq_cst(&real);
    if (call == NULL) {
        *(void **)&call = dlsym(RTLD_NEXT, "getaddrinfo");
        atomic_store_seq_cst(&real, call);
    }
    bool is_numeric = hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0;
    if (is_slow(host) && !is_numeric) {
        atomic_add_seq_cst(&inside, 1);
        atomic_add_seq_cst(&begun, 1);
        pthread_mutex_lock(&gate_lock);
        while (!gate_is_open) {
            pthread_cond_wait(&gate_opens, &gate_lock);
        }
        pthread_mutex_unlock(&gate_lock);
        atomic_sub_seq_cst(&inside, 1);
        host = "127.0.0.9";
    }
    int err = call(host, service, hints, result);
    if (err == 0) {
        atomic_add_seq_cst(&lists, 1);
        atomic_add_seq_cst(&numerics, is_numeric);
    }
    return err;
}

void freeaddrinfo(struct addrinfo *list)
{
    typedef void free_fn(struct addrinfo *);
    free_fn *call = NULL;
    *(void **)&call = dlsym(RTLD_NEXT, "freeaddrinfo");
    call(list);
    atomic_sub_seq_cst(&lists, 1);
}

static void gate_set(bool is_open)
{
    pthread_mutex_lock(&gate_lock);
    gate_is_open = is_open;
    pthread_cond_broadcast(&gate_opens);
    pthread_mutex_unlock(&gate_lock);
}

static int thread_count(void)
{
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    int count = -2; /* . and .. */
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* In a task, when it is the only one: once no thread of a runtime before is listed any more. One
 * that was joined may be for a moment. */
static int thread_count_settled(void)
{
    enum { TRIES = 10000 };
    int count = 1 + (int)weft_runtime_workers(weft_runtime_current());
#if defined(__SANITIZE_THREAD__)
    count++; /* its own */
#endif
    for (int i = 0; i < TRIES && thread_count() != count; i++) {
        usleep(1000);
    }
    CHECK_EQUAL(thread_count(), count);
    return count;
}

/* ---- what is found ---- */

static uint32_t address_of(const struct addrinfo *list)
{
    CHECK_EQUAL(list->ai_family, AF_INET);
    return ntohl(((const struct sockaddr_in *)(const void *)list->ai_addr)->sin_addr.s_addr);
}

static void *numbers(void *arg)
{
    struct addrinfo stream = {.ai_socktype = SOCK_STREAM};
    struct addrinfo passive = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE,
                               .ai_family = AF_INET};
    struct addrinfo only = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo six = {.ai_family = AF_INET6};
    struct addrinfo *list = NULL;
    (void)arg;
    int before = thread_count_settled();
    CHECK_EQUAL(weft_resolve("127.0.0.1", "80", &stream, &list), 0);
    CHECK_EQUAL(address_of(list), INADDR_LOOPBACK);
    CHECK_EQUAL(((struct sockaddr_in *)(void *)list->ai_addr)->sin_port, htons(80));
    CHECK(list->ai_next == NULL);
    weft_resolve_free(list);
    CHECK_EQUAL(weft_resolve("::1", NULL, &stream, &list), 0);
    CHECK_EQUAL(list->ai_family, AF_INET6);
    freeaddrinfo(list); /* the same */
    CHECK_EQUAL(weft_resolve(NULL, "80", &passive, &list), 0);
    CHECK_EQUAL(address_of(list), INADDR_ANY);
    weft_resolve_free(list);
    CHECK_EQUAL(weft_resolve("localhost", "80", &only, &list), -ENOENT);
    CHECK(list == NULL);
    CHECK_EQUAL(weft_resolve("127.0.0.1", "80", &six, &list), -EADDRNOTAVAIL);
    CHECK_EQUAL(weft_resolve(NULL, NULL, NULL, &list), -ENOENT);
    weft_resolve_free(NULL);
    CHECK_EQUAL(thread_count(), before);
    return NULL;
}

static void what_is_numeric_needs_no_thread(void **state)
{
    (void)state;
    run_io(numbers, NULL);
    CHECK_EQUAL(atomic_load_seq_cst(&lists), 0);
}

static void *looked_up(void *arg)
{
    struct addrinfo four = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo odd = {.ai_family = 77};
    struct addrinfo flags = {.ai_flags = 1 << 30};
    struct addrinfo *list = NULL;
    (void)arg;
    CHECK_EQUAL(weft_resolve("localhost", "80", &four, &list), 0);
    CHECK_EQUAL(address_of(list), INADDR_LOOPBACK);
    weft_resolve_free(list);
    CHECK_EQUAL(weft_resolve("localhost", "80", &odd, &list), -EAFNOSUPPORT);
    CHECK(list == NULL);
    CHECK_EQUAL(weft_resolve("localhost", "80", &flags, &list), -EINVAL);
    int err = weft_resolve("127.0.0.1", "no-such-service", &four, &list);
    CHECK(err == -EPROTONOSUPPORT || err == -ENOENT);
    CHECK(list == NULL);
    err = weft_resolve("no.such.host.invalid", NULL, &four, &list);
    CHECK(err == -ENOENT || err == -EAGAIN || err == -ENODATA);
    CHECK(list == NULL);
    return NULL;
}

static void what_is_not_is_looked_up(void **state)
{
    struct addrinfo *list = NULL;
    char host[4];
    struct sockaddr_in a = loopback();
    (void)state;
    run_io(looked_up, NULL);
    CHECK_EQUAL(weft_resolve("127.0.0.1", NULL, NULL, &list), -EPERM);
    CHECK_EQUAL(weft_resolve_name(any_address(&a), sizeof a, host, sizeof host, NULL, 0, 0),
                -EPERM);
    CHECK_EQUAL(atomic_load_seq_cst(&lists), 0);
}

static void *reversed(void *arg)
{
    struct sockaddr_in a = loopback();
    char host[64] = "?";
    char service[32] = "?";
    const int numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    (void)arg;
    a.sin_port = htons(22);
    int before = thread_count_settled();
    CHECK_EQUAL(weft_resolve_name(any_address(&a), sizeof a, host, sizeof host, service,
                                  sizeof service, numeric), 0);
    assert_string_equal(host, "127.0.0.1");
    assert_string_equal(service, "22");
    CHECK_EQUAL(weft_resolve_name(any_address(&a), sizeof a, host, 4, NULL, 0, numeric),
                -EOVERFLOW);
    assert_string_equal(host, "127.0.0.1");
    CHECK_EQUAL(thread_count(), before);
    CHECK_EQUAL(weft_resolve_name(any_address(&a), sizeof a, host, sizeof host, NULL, 0, 0), 0);
    CHECK(host[0] != '\0');
    CHECK_EQUAL(weft_resolve_name(any_address(&a), 2, host, sizeof host, NULL, 0, 0),
                -EAFNOSUPPORT);
    CHECK_EQUAL(weft_resolve_name(any_address(&a), 1000, host, sizeof host, NULL, 0, 0),
                -EAFNOSUPPORT);
    cancel_myself();
    CHECK_EQUAL(weft_resolve_name(any_address(&a), sizeof a, host, sizeof host, NULL, 0, numeric),
                -ECANCELED);
    struct addrinfo *list = NULL;
    CHECK_EQUAL(weft_resolve("127.0.0.1", NULL, NULL, &list), -ECANCELED);
    uncancel_myself();
    return NULL;
}

static void names_of_addresses(void **state)
{
    (void)state;
    run_io(reversed, NULL);
}

static void errors_have_a_text(void **state)
{
    (void)state;
    assert_string_equal(weft_resolve_text(-ENOENT), gai_strerror(EAI_NONAME));
    assert_string_equal(weft_resolve_text(-EAGAIN), gai_strerror(EAI_AGAIN));
    assert_string_equal(weft_resolve_text(-ECANCELED), "Operation canceled");
    assert_string_equal(weft_resolve_text(0), "Success");
    assert_string_equal(weft_resolve_text(-99999), "unknown error");
    assert_string_equal(weft_resolve_text(INT32_MIN), "unknown error");
}

/* ---- many ---- */

static void *look_up_localhost(void *arg)
{
    struct addrinfo four = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    CHECK_EQUAL(weft_resolve("localhost", NULL, &four, &list), 0);
    CHECK_EQUAL(address_of(list), INADDR_LOOPBACK);
    weft_resolve_free(list);
    return arg;
}

static void *thousand(void *arg)
{
    size_t n = test_scaled(1000, 200);
    weft_task **t = calloc(n, sizeof(weft_task *));
    int before = thread_count_settled();
    int most = 0;
    CHECK(t != NULL);
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        t[i] = spawn(look_up_localhost, NULL);
    }
    for (size_t i = 0; i < n; i++) {
        int now = i % 10 == 0 ? thread_count() : 0;
        most = now > most ? now : most;
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    CHECK(most - before <= 8);
    free(t);
    return NULL;
}

static void a_thousand_make_no_thousand_threads(void **state)
{
    (void)state;
    run_io(thousand, NULL);
    CHECK_EQUAL(atomic_load_seq_cst(&lists), 0);
}

/* ---- left behind ---- */

static void *look_up_slow(void *arg)
{
    struct addrinfo *list = NULL;
    int err = weft_resolve("slow.example", "80", NULL, &list);
    CHECK_EQUAL(list != NULL, err == 0);
    if (err == 0) {
        CHECK_EQUAL(address_of(list), 0x7f000009);
    }
    weft_resolve_free(list);
    (void)arg;
    return BOXED(err);
}

static void *nothing(void *arg)
{
    return arg;
}

enum { SHARE = 8, SLOW = 20 };

static void *all_stuck(void *arg)
{
    weft_task *t[SLOW];
    (void)arg;
    for (int i = 0; i < SLOW; i++) {
        t[i] = spawn(look_up_slow, NULL);
    }
    yield_until(&inside, SHARE);
    settle();
    CHECK_EQUAL(atomic_load_seq_cst(&inside), SHARE);
    /* Other blocking work goes on; so does what is numeric. */
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(weft_run_blocking(nothing, NULL, NULL), 0);
    }
    struct addrinfo *list = NULL;
    CHECK_EQUAL(weft_resolve("127.0.0.1", "80", NULL, &list), 0);
    weft_resolve_free(list);
    /* Some are cancelled at once, the others found when the gate opens. */
    for (int i = 0; i < SLOW; i += 2) {
        CHECK(weft_cancel(t[i]));
        CHECK_EQUAL(joined(t[i]), -ECANCELED);
    }
    WEFT_TIMEOUT(WEFT_MS) {
        CHECK_EQUAL(UNBOXED(look_up_slow(NULL)), -ETIMEDOUT);
    }
    gate_set(true);
    for (int i = 1; i < SLOW; i += 2) {
        CHECK_EQUAL(joined(t[i]), 0);
    }
    return NULL;
}

static void stuck_look_ups_hold_up_nobody(void **state)
{
    (void)state;
    gate_set(false);
    atomic_store_seq_cst(&begun, 0);
    run_io(all_stuck, NULL);
    spin_until(&begun, SLOW / 2);
    CHECK(atomic_load_seq_cst(&begun) < SLOW); /* those that were cancelled in line are not made */
    while (atomic_load_seq_cst(&inside) != 0 || atomic_load_seq_cst(&lists) != 0) {
        sched_yield();
    }
}

static void *leave_it(void *arg)
{
    weft_task *t = spawn(look_up_slow, NULL);
    yield_until(&inside, 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    return arg;
}

static void one_outlives_its_runtime(void **state)
{
    (void)state;
    gate_set(false);
    run_case(leave_it, NULL); /* returns: the runtime is closed and gone */
    CHECK_EQUAL(atomic_load_seq_cst(&inside), 1);
    int made = atomic_load_seq_cst(&numerics);
    gate_set(true);
    while (atomic_load_seq_cst(&inside) != 0 || atomic_load_seq_cst(&lists) != 0) {
        sched_yield();
    }
    CHECK_EQUAL(atomic_load_seq_cst(&numerics), made);
}

/* A cancel beside the end of the look-up: the list is the caller's or freed, never both. */
static void *cancel_beside(void *arg)
{
    uint64_t random = test_seed();
    int found = 0;
    (void)arg;
    for (size_t round = 0; test_goes_on(round, test_scaled(2000, 200)); round++) {
        weft_task *t = spawn(look_up_slow, NULL);
        for (uint64_t k = test_random(&random) % 30; k > 0; k--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        weft_cancel(t);
        int err = joined(t);
        CHECK(err == 0 || err == -ECANCELED);
        found += err == 0;
    }
    printf("%d were found\n", found);
    return NULL;
}

static void a_cancel_beside_the_end(void **state)
{
    (void)state;
    gate_set(true);
    run_case(cancel_beside, NULL);
    while (atomic_load_seq_cst(&inside) != 0 || atomic_load_seq_cst(&lists) != 0) {
        sched_yield();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_numeric_needs_no_thread),
        cmocka_unit_test(what_is_not_is_looked_up),
        cmocka_unit_test(names_of_addresses),
        cmocka_unit_test(errors_have_a_text),
        cmocka_unit_test(a_thousand_make_no_thousand_threads),
        cmocka_unit_test(stuck_look_ups_hold_up_nobody),
        cmocka_unit_test(one_outlives_its_runtime),
        cmocka_unit_test(a_cancel_beside_the_end),
    };
    (void)test_seed();
    help_limit_time();
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1); /* where no server of names answers */
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Goal: stacks have the promised size, a guard that faults, and are reused last in, first out; the
 * pool passes them between caches, survives a lack of guards and of address space, and leaves no
 * mapping behind. (Giving memory back: test_stack_decay.c.)
 *
 * Method: one thread, caches for two imaginary workers. Faults happen in a child process. Memory is
 * judged by /proc/self.
 */
#include "stack_fixture.h"

#include <errno.h>
#include <sys/resource.h>

static void test_classes_round_up(void **state)
{
    (void)state;
    size_t kib = 1024;
    assert_int_equal(weft__stack_class(0), -EINVAL);
    assert_int_equal(weft__stack_class(1), 0);
    assert_int_equal(weft__stack_class(16 * kib), 0);
    assert_int_equal(weft__stack_class(16 * kib + 1), 1);
    assert_int_equal(weft__stack_class(64 * kib), DEFAULT_CLASS);
    assert_int_equal(weft__stack_class(64 * kib * kib), WEFT_STACK_CLASSES - 1);
    assert_int_equal(weft__stack_class(64 * kib * kib + 1), -EINVAL);
    assert_int_equal(weft__stack_class(SIZE_MAX), -EINVAL);
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        assert_int_equal(weft__stack_class(stack_promise_bytes(c)), c);
    }
}

static void test_every_class_keeps_its_promise(void **state)
{
    (void)state;
    struct stack_fixture f;
    fixture_init(&f, NULL);
    for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
        struct stack *s = get(&f.cache[0], c);
        char *top = weft__stack_top(s);
        assert_true((size_t)(top - s->low) >= stack_promise_bytes(c));
        assert_int_equal((uintptr_t)top % 64, 0);
        assert_int_equal((uintptr_t)s->low % page_bytes(), 0);
        assert_int_equal(s->stack_class, c);
        size_t slot = weft__stack_reserved_bytes(s);
        size_t factor = c <= 6 ? 4 : 2;
        assert_true(slot < factor * stack_promise_bytes(c));
        assert_true(slot >= factor * stack_promise_bytes(c) / 16 * 15);
        *(volatile char *)s->low = 1;
        top[-1] = 1;
        assert_true(write_is_fatal(s->low - 1));
        assert_false(write_is_fatal(s->low));
        stack_cache_put(&f.cache[0], s);
    }
    fixture_fini(&f);
}

/* Those of a batch get theirs together. */
static void test_every_stack_has_a_guard(void **state)
{
    (void)state;
    struct stack_fixture f;
    struct stack *s[64];
    fixture_init(&f, NULL);
    for (int i = 0; i < 64; i++) {
        s[i] = get(&f.cache[0], DEFAULT_CLASS);
        assert_true(write_is_fatal(s[i]->low - 1));
        assert_false(write_is_fatal(s[i]->low));
    }
    for (int i = 0; i < 64; i++) {
        stack_cache_put(&f.cache[0], s[i]);
    }
    fixture_fini(&f);
}

static void test_a_parked_task_fits_in_one_page(void **state)
{
    (void)state;
    struct stack_fixture f;
    struct stack *s[64];
    unsigned colours_seen = 0;
    fixture_init(&f, NULL);
    for (int i = 0; i < 64; i++) {
        s[i] = get(&f.cache[0], DEFAULT_CLASS);
        size_t in_page = (uintptr_t)s[i] % 4096;
        assert_true(in_page >= 1280);
        assert_true(in_page + WEFT_STACK_HEADER <= 4096);
        colours_seen |= 1u << (in_page / WEFT_STACK_COLOUR_BYTES % WEFT_STACK_COLOURS);
    }
    assert_int_equal(colours_seen, 0xffff);
    for (int i = 0; i < 64; i++) {
        stack_cache_put(&f.cache[0], s[i]);
    }
    fixture_fini(&f);
}

static void test_a_fault_near_the_low_end_is_the_guards(void **state)
{
    (void)state;
    struct stack_fixture f;
    fixture_init(&f, NULL);
    struct stack *s = get(&f.cache[0], DEFAULT_CLASS);
    assert_true(weft__stack_is_guard(s, s->low - 1));
    assert_true(weft__stack_is_guard(s, s->low - WEFT_STACK_GUARD_MAX));
    assert_false(weft__stack_is_guard(s, s->low - WEFT_STACK_GUARD_MAX - 1));
    assert_false(weft__stack_is_guard(s, s->low));
    assert_false(weft__stack_is_guard(s, weft__stack_top(s)));
    assert_false(weft__stack_is_guard(s, NULL));
    struct stack none = {0};
    assert_false(weft__stack_is_guard(&none, NULL));
    assert_false(weft__stack_is_guard(&none, (void *)UINTPTR_MAX));
    stack_cache_put(&f.cache[0], s);
    fixture_fini(&f);
}

static void test_reuse_is_last_in_first_out(void **state)
{
    (void)state;
    struct stack_fixture f;
    fixture_init(&f, NULL);
    struct stack *a = get(&f.cache[0], DEFAULT_CLASS);
    struct stack *b = get(&f.cache[0], DEFAULT_CLASS);
    assert_ptr_not_equal(a, b);
    *mark_of(a) = 0xa;
    stack_cache_put(&f.cache[0], b);
    stack_cache_put(&f.cache[0], a);
    assert_ptr_equal(get(&f.cache[0], DEFAULT_CLASS), a);
    assert_int_equal(*mark_of(a), 0xa);
    assert_ptr_equal(get(&f.cache[0], DEFAULT_CLASS), b);
    stack_cache_put(&f.cache[0], a);
    stack_cache_put(&f.cache[0], b);
    fixture_fini(&f);
}

static void test_one_stack_touches_one_page(void **state)
{
    (void)state;
    struct stack_fixture f;
    fixture_init(&f, NULL);
    struct stack *s = get(&f.cache[0], DEFAULT_CLASS);
    assert_int_equal(counted(&f), 1);
    assert_int_equal(f.cache[0].bin[DEFAULT_CLASS].count, 0);
    stack_cache_put(&f.cache[0], s);
    fixture_fini(&f);
}

static void test_what_one_cache_gives_another_gets(void **state)
{
    (void)state;

    enum { COUNT = 1000 };
    static struct stack *s[COUNT];
    struct stack_fixture f;
    fixture_init(&f, NULL);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            s[i] = get(&f.cache[0], DEFAULT_CLASS);
            assert_int_equal(*mark_of(s[i]), 0);
            *mark_of(s[i]) = 1;
        }
        for (int i = 0; i < COUNT; i++) {
            *mark_of(s[i]) = 0;
            stack_cache_put(&f.cache[1], s[i]);
        }
        assert_true(f.cache[1].bin[DEFAULT_CLASS].count <= f.cache[1].bin[DEFAULT_CLASS].max);
    }
    /* No more than what was out at once, the other cache's share and two batches. */
    assert_in_range(counted(&f), COUNT, COUNT + 64 + 32 + 32);
    fixture_fini(&f);
}

static void test_big_stacks_are_not_hoarded(void **state)
{
    (void)state;
    struct stack_fixture f;
    struct stack *s[16];
    fixture_init(&f, NULL);
    for (int i = 0; i < 16; i++) {
        s[i] = get(&f.cache[0], WEFT_STACK_CLASSES - 1);
    }
    for (int i = 0; i < 16; i++) {
        stack_cache_put(&f.cache[0], s[i]);
    }
    assert_true(f.cache[0].bin[WEFT_STACK_CLASSES - 1].count <= 2);
    fixture_fini(&f);
}

static void test_high_water_counts_pages_from_the_end(void **state)
{
    (void)state;
    struct stack_fixture f;
    size_t page = page_bytes();
    fixture_init(&f, NULL);
    for (unsigned c = 0; c <= 8; c += 4) {
        struct stack *s = get(&f.cache[0], c);
        char *top = weft__stack_top(s);
        assert_int_equal(weft__stack_high_water(s), page);
        *(volatile char *)(top - 2 * page) = 1;
        assert_int_equal(weft__stack_high_water(s), 3 * page);
        size_t half = stack_promise_bytes(c) / 2;
        *(volatile char *)(top - half) = 1; /* with a hole above */
        assert_in_range(weft__stack_high_water(s), half, half + page);
        *(volatile char *)s->low = 1;
        assert_int_equal(weft__stack_high_water(s), weft__stack_reserved_bytes(s));
        stack_cache_put(&f.cache[0], s);
    }
    fixture_fini(&f);
}

/* Guards by mprotect, as many as allowed; then NULL, and nothing is lost. */
static void test_guards_by_mprotect_have_a_limit(void **state)
{
    (void)state;
    const struct stack_options options = {.refuse_madvise = true, .guard_max = 10};
    for (int round = 0; round < 2; round++) {
        struct stack_fixture f;
        struct stack *s[10];
        fixture_init(&f, &options);
        for (int i = 0; i < 10; i++) {
            s[i] = get(&f.cache[0], DEFAULT_CLASS);
            assert_true(write_is_fatal(s[i]->low - 1));
        }
        for (int i = 0; i < 3; i++) {
            assert_null(stack_cache_get(&f.cache[0], DEFAULT_CLASS));
            assert_null(stack_cache_get(&f.cache[1], 5));
            assert_int_equal(counted(&f), 10);
        }
        stack_cache_put(&f.cache[1], s[9]);
        assert_ptr_equal(get(&f.cache[1], DEFAULT_CLASS), s[9]);
        for (int i = 0; i < 10; i++) {
            stack_cache_put(&f.cache[0], s[i]);
        }
        /* Given back whole, the slab gives back its guards too. */
        weft__stack_cache_fini(&f.cache[0]);
        weft__stack_pool_decay(&f.pool, START, true);
        for (int i = 0; i < 10; i++) {
            s[i] = get(&f.cache[1], 5);
            assert_true(write_is_fatal(s[i]->low - 1));
        }
        assert_null(stack_cache_get(&f.cache[1], 5));
        fixture_fini(&f);
    }
}

/* Address space ends: NULL, and after that more of it helps. In a child, for the limit. */
static int short_of_address_space(void)
{
    struct stack_fixture f;
    struct rlimit limit = {.rlim_max = RLIM_INFINITY};
    fixture_init(&f, NULL);
    limit.rlim_cur = (proc_number("/proc/self/status", "VmSize:") + 20 * 1024) * 1024;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 1;
    }
    size_t count = 0;
    while (stack_cache_get(&f.cache[0], DEFAULT_CLASS) != NULL) {
        count++;
    }
    if (count < 32 || count > 80 || stack_cache_get(&f.cache[0], DEFAULT_CLASS) != NULL) {
        return 2;
    }
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_AS, &limit) != 0) {
        return 3;
    }
    return stack_cache_get(&f.cache[0], DEFAULT_CLASS) == NULL ? 4 : 0;
}

static void test_a_lack_of_address_space_passes(void **state)
{
    (void)state;
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    skip(); /* their shadows are larger than any limit */
#endif
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(short_of_address_space());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_fini_leaves_no_mapping(void **state)
{
    (void)state;
    size_t maps = 0;
    size_t address_kib = 0;
    for (int round = 0; round < 3; round++) {
        struct stack_fixture f;
        fixture_init(&f, NULL);
        for (unsigned c = 0; c < WEFT_STACK_CLASSES; c++) {
            struct stack *s = get(&f.cache[0], c);
            s->low[0] = 1;
        }
        fixture_fini(&f);
        if (round > 0) {
            assert_in_range(proc_number("/proc/self/maps", NULL), 1, maps);
            assert_in_range(proc_number("/proc/self/status", "VmSize:"), 1, address_kib);
        }
        maps = proc_number("/proc/self/maps", NULL);
        address_kib = proc_number("/proc/self/status", "VmSize:");
    }
}

static void test_200000_stacks(void **state)
{
    (void)state;
    size_t count = test_scaled(200000, 2000);
    struct stack **s = calloc(count, sizeof(*s));
    struct stack_fixture f;
    size_t maps = proc_number("/proc/self/maps", NULL);
    fixture_init(&f, NULL);
    for (size_t i = 0; i < count; i++) {
        s[i] = get(&f.cache[0], DEFAULT_CLASS);
    }
    assert_int_equal(counted(&f) - f.cache[0].bin[DEFAULT_CLASS].count, count);
    /* Slabs lie side by side: the kernel sees a few mappings. */
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    maps = SIZE_MAX - 100; /* their shadows grow too */
#endif
    assert_in_range(proc_number("/proc/self/maps", NULL), 0, maps + 100);
    for (size_t i = 0; i < count; i++) {
        stack_cache_put(&f.cache[i % 2], s[i]);
    }
    fixture_fini(&f);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_round_up),
        cmocka_unit_test(test_every_class_keeps_its_promise),
        cmocka_unit_test(test_every_stack_has_a_guard),
        cmocka_unit_test(test_a_parked_task_fits_in_one_page),
        cmocka_unit_test(test_a_fault_near_the_low_end_is_the_guards),
        cmocka_unit_test(test_reuse_is_last_in_first_out),
        cmocka_unit_test(test_one_stack_touches_one_page),
        cmocka_unit_test(test_what_one_cache_gives_another_gets),
        cmocka_unit_test(test_big_stacks_are_not_hoarded),
        cmocka_unit_test(test_high_water_counts_pages_from_the_end),
        cmocka_unit_test(test_guards_by_mprotect_have_a_limit),
        cmocka_unit_test(test_a_lack_of_address_space_passes),
        cmocka_unit_test(test_fini_leaves_no_mapping),
        cmocka_unit_test(test_200000_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

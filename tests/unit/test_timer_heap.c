/* SPDX-License-Identifier: MIT */
/*
 * The heap of deadlines against a plain list that is searched from end to end.
 *
 * The random runs differ in what makes the heap work: how many nodes there are, how close deadlines
 * are (ties), how often nodes are removed before they are due. After each step what the heap says
 * is compared, and now and then its invariants are checked one by one.
 */
#include "timer_heap.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    return test_random(&random_state) % n;
}

static bool key_below(uint64_t when, uint64_t order, uint64_t other_when, uint64_t other_order)
{
    return when != other_when ? when < other_when : order < other_order;
}

/* I1: entries with different slots, of which those that are alive name a node that names them. */
static void check_entries(const struct timer_heap *h)
{
    uint32_t dead_count = 0;
    bool *seen = calloc(h->capacity + 1, sizeof(*seen));
    assert_non_null(seen);
    assert_true(h->first <= h->end && h->end <= h->capacity && h->slot_count <= h->capacity);
    for (uint32_t i = h->first; i < h->end; i++) {
        uint32_t slot = (uint32_t)h->entries[i].order;
        assert_true(slot < h->slot_count);
        assert_false(seen[slot]);
        seen[slot] = true;
        const struct timer_node *node = h->slots[slot].node;
        dead_count += node == NULL;
        if (node != NULL) {
            assert_int_equal(node->slot, slot + 1);
            assert_true(h->entries[i].when == ((uint64_t)node->deadline_ns ^ (uint64_t)1 << 63));
        }
    }
    assert_int_equal(dead_count, h->dead_count);
    /* What is not in use is in the list of free slots. */
    uint32_t free_count = 0;
    for (uintptr_t next = h->free_slot; next != 0; next = h->slots[next - 1].next_free) {
        assert_false(seen[next - 1]);
        seen[next - 1] = true;
        free_count++;
    }
    assert_int_equal(free_count + (h->end - h->first), h->slot_count);
    free(seen);
}

/* I2, I3, I4. */
static void check_order(struct timer_heap *h)
{
    uint32_t front_end = h->bound_count > 0 ? h->bounds[h->bound_count - 1].index : h->end;
    for (uint32_t b = 0; b < h->bound_count; b++) {
        const struct timer_bound *bound = &h->bounds[b];
        assert_true(bound->index >= h->first && bound->index <= h->end);
        assert_true(b == 0 || bound->index <= bound[-1].index);
        for (uint32_t i = h->first; i < h->end; i++) {
            assert_int_equal(key_below(h->entries[i].when, h->entries[i].order, bound->when,
                                       bound->order),
                             i < bound->index);
        }
    }
    for (uint32_t i = h->first + 1; i < front_end; i++) {
        assert_true(key_below(h->entries[i - 1].when, h->entries[i - 1].order, h->entries[i].when,
                              h->entries[i].order));
    }
    if (h->first == h->end) {
        assert_true(timer_heap_next(h) == INT64_MAX);
        return;
    }
    assert_true(h->first < front_end);
    const struct timer_node *node = h->slots[(uint32_t)h->entries[h->first].order].node;
    assert_non_null(node);
    assert_true(timer_heap_next(h) == node->deadline_ns);
}

static void check_heap(struct timer_heap *h)
{
    check_entries(h);
    check_order(h);
}

static void empty_heap_has_nothing_due(void **state)
{
    (void)state;
    struct timer_heap h;
    timer_heap_init(&h);
    assert_int_equal(timer_heap_count(&h), 0);
    assert_true(timer_heap_next(&h) == INT64_MAX);
    assert_null(timer_heap_pop_due(&h, INT64_MAX));
    timer_heap_fini(&h);
}

static void zeroed_node_is_not_armed(void **state)
{
    (void)state;
    struct timer_heap h;
    struct timer_node node = {0};
    timer_heap_init(&h);
    assert_false(timer_heap_remove(&h, &node));
    assert_int_equal(timer_heap_insert(&h, &node, 5), 0);
    assert_true(timer_node_is_armed(&node));
    assert_int_equal(timer_heap_count(&h), 1);
    assert_true(timer_heap_remove(&h, &node));
    assert_false(timer_node_is_armed(&node));
    assert_false(timer_heap_remove(&h, &node));
    assert_int_equal(timer_heap_count(&h), 0);
    assert_int_equal(timer_heap_insert(&h, &node, 6), 0);
    assert_ptr_equal(timer_heap_pop_due(&h, 6), &node);
    assert_false(timer_heap_remove(&h, &node));
    assert_true(node.deadline_ns == 6);
    timer_heap_fini(&h);
}

static void fires_at_the_deadline_and_not_before(void **state)
{
    (void)state;
    struct timer_heap h;
    struct timer_node nodes[3] = {0};
    timer_heap_init(&h);
    assert_int_equal(timer_heap_insert(&h, &nodes[0], 30), 0);
    assert_int_equal(timer_heap_insert(&h, &nodes[1], 10), 0);
    assert_int_equal(timer_heap_insert(&h, &nodes[2], 20), 0);
    assert_true(timer_heap_next_hint(&h) == 10);
    assert_null(timer_heap_pop_due(&h, 9));
    assert_ptr_equal(timer_heap_pop_due(&h, 10), &nodes[1]);
    assert_null(timer_heap_pop_due(&h, 19));
    assert_ptr_equal(timer_heap_pop_due(&h, 1000), &nodes[2]);
    assert_ptr_equal(timer_heap_pop_due(&h, 1000), &nodes[0]);
    assert_null(timer_heap_pop_due(&h, 1000));
    timer_heap_fini(&h);
}

static void item_53_every_number_is_a_deadline(void **state)
{
    (void)state;
    static const int64_t sorted[] = {INT64_MIN, INT64_MIN + 1, -5, -1, 0, 1, 7,
                                     INT64_MAX - 1, INT64_MAX, INT64_MAX};
    enum { COUNT = sizeof(sorted) / sizeof(sorted[0]) };
    struct timer_heap h;
    struct timer_node nodes[COUNT] = {0};
    timer_heap_init(&h);
    for (unsigned i = COUNT; i-- > 0;) {
        assert_int_equal(timer_heap_insert(&h, &nodes[i], sorted[i]), 0);
        assert_true(timer_heap_next(&h) == sorted[i]);
    }
    assert_ptr_equal(timer_heap_pop_due(&h, INT64_MIN), &nodes[0]);
    assert_null(timer_heap_pop_due(&h, INT64_MIN));
    for (unsigned i = 1; i < COUNT - 2; i++) {
        assert_ptr_equal(timer_heap_pop_due(&h, INT64_MAX), &nodes[i]);
    }
    /* Equal ones in the order of insertion, which was backwards. */
    assert_ptr_equal(timer_heap_pop_due(&h, INT64_MAX), &nodes[COUNT - 1]);
    assert_ptr_equal(timer_heap_pop_due(&h, INT64_MAX), &nodes[COUNT - 2]);
    assert_null(timer_heap_pop_due(&h, INT64_MAX));
    timer_heap_fini(&h);
}

/* What shape of input makes a partition fail to cut: all equal, or all but few. */
static void ties_fire_in_order_of_insertion(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static struct timer_node nodes[COUNT];
    struct timer_heap h;
    timer_heap_init(&h);
    for (int64_t others = 0; others <= 2; others++) {
        for (unsigned i = 0; i < COUNT; i++) {
            int64_t deadline_ns = 100 + (i % 1000 == 999 ? others - 1 : 0);
            assert_int_equal(timer_heap_insert(&h, &nodes[i], deadline_ns), 0);
        }
        check_heap(&h);
        const struct timer_node *last = NULL;
        for (unsigned i = 0; i < COUNT; i++) {
            const struct timer_node *node = timer_heap_pop_due(&h, 101);
            assert_non_null(node);
            if (last != NULL) {
                assert_true(last->deadline_ns < node->deadline_ns ||
                            (last->deadline_ns == node->deadline_ns && last < node));
            }
            last = node;
        }
        check_heap(&h);
    }
    timer_heap_fini(&h);
}

/* The numbers of insertions have 32 bits. */
static void order_survives_the_end_of_the_sequence(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct timer_node nodes[COUNT];
    struct timer_heap h;
    timer_heap_init(&h);
    h.sequence = UINT32_MAX - COUNT / 2;
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(timer_heap_insert(&h, &nodes[i], i % 10), 0);
        if (i % 3 == 2) {
            assert_true(timer_heap_remove(&h, &nodes[i - 1]));
        }
    }
    assert_true(h.sequence < UINT32_MAX / 2);
    check_heap(&h);
    for (unsigned deadline = 0; deadline < 10; deadline++) {
        for (unsigned i = deadline; i < COUNT; i += 10) {
            if (i % 3 != 1) {
                assert_ptr_equal(timer_heap_pop_due(&h, 10), &nodes[i]);
            }
        }
    }
    assert_int_equal(timer_heap_count(&h), 0);
    timer_heap_fini(&h);
}

/* --- random runs ------------------------------------------------------------------------------ */

enum { NODES_MAX = 3000 };

struct golden {
    struct timer_node node;
    uint64_t inserted; /* which insertion; ties go by it */
};

struct run {
    const char *name;
    unsigned nodes;
    unsigned insert_weight; /* against remove, and pops of what is due */
    unsigned remove_weight;
    unsigned pop_weight;
    uint64_t spread_ns; /* deadlines are less than this from now */
    int64_t step_ns;    /* how far the clock goes on before a pop */
};

static struct golden goldens[NODES_MAX];

static struct golden *golden_nearest(unsigned nodes)
{
    struct golden *nearest = NULL;
    for (unsigned i = 0; i < nodes; i++) {
        struct golden *g = &goldens[i];
        if (!timer_node_is_armed(&g->node)) {
            continue;
        }
        if (nearest == NULL || g->node.deadline_ns < nearest->node.deadline_ns ||
            (g->node.deadline_ns == nearest->node.deadline_ns &&
             g->inserted < nearest->inserted)) {
            nearest = g;
        }
    }
    return nearest;
}

/* Take out what is due, and compare each. */
static unsigned pop_checked(struct timer_heap *h, unsigned nodes, int64_t now_ns)
{
    unsigned count = 0;
    for (;;) {
        struct golden *nearest = golden_nearest(nodes);
        int64_t next_ns = nearest != NULL ? nearest->node.deadline_ns : INT64_MAX;
        assert_true(timer_heap_next(h) == next_ns);
        struct timer_node *node = timer_heap_pop_due(h, now_ns);
        if (nearest == NULL || next_ns > now_ns) {
            assert_null(node);
            return count;
        }
        assert_ptr_equal(node, &nearest->node);
        assert_false(timer_node_is_armed(node));
        count++;
    }
}

static void run_random(const struct run *run, unsigned steps)
{
    struct timer_heap h;
    unsigned armed = 0;
    int64_t now_ns = -1000;
    timer_heap_init(&h);
    memset(goldens, 0, sizeof(goldens));
    for (unsigned step = 0; step < steps; step++) {
        uint64_t what = random_below(run->insert_weight + run->remove_weight + run->pop_weight);
        struct golden *g = &goldens[random_below(run->nodes)];
        if (what < run->insert_weight) {
            if (!timer_node_is_armed(&g->node)) {
                g->inserted = step;
                int64_t deadline_ns = now_ns + (int64_t)random_below(run->spread_ns);
                assert_int_equal(timer_heap_insert(&h, &g->node, deadline_ns), 0);
                armed++;
            }
        } else if (what < run->insert_weight + run->remove_weight) {
            bool was_armed = timer_node_is_armed(&g->node);
            assert_int_equal(timer_heap_remove(&h, &g->node), was_armed);
            armed -= was_armed;
        } else {
            now_ns += run->step_ns;
            armed -= pop_checked(&h, run->nodes, now_ns);
        }
        assert_int_equal(timer_heap_count(&h), armed);
        if (step % 512 == 0) {
            check_heap(&h);
        }
    }
    (void)pop_checked(&h, run->nodes, INT64_MAX);
    check_heap(&h);
    timer_heap_fini(&h);
}

static void random_runs_match_a_searched_list(void **state)
{
    (void)state;
    static const struct run runs[] = {
        {"few", 20, 4, 1, 2, 1000, 100},
        {"some, many ties", 300, 4, 1, 1, 20, 2},
        {"some, spread", 300, 8, 2, 1, 100000, 200},
        {"many, popped in bursts", NODES_MAX, 2000, 100, 1, 1000000, 100000},
        {"many, hardly removed", NODES_MAX, 100, 3, 1, 1 << 30, 1 << 20},
        {"many, nearly all removed", NODES_MAX, 100, 90, 1, 1 << 30, 1 << 10},
        {"many, always equal", NODES_MAX, 100, 10, 1, 1, 0},
        {"shortest intervals first", NODES_MAX, 50, 1, 1, 3, 1},
    };
    random_state = test_seed();
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        print_message("  %s\n", runs[i].name);
        run_random(&runs[i], (unsigned)test_scaled(60000, 15000));
    }
}

/* Ascending, descending and sawtooth orders, which spoil some quicksorts. */
static void ordered_input_comes_out_ordered(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static struct timer_node nodes[COUNT];
    struct timer_heap h;
    timer_heap_init(&h);
    for (int shape = 0; shape < 3; shape++) {
        for (int i = 0; i < COUNT; i++) {
            int64_t deadline_ns = shape == 0 ? i : shape == 1 ? COUNT - i : i % 128;
            assert_int_equal(timer_heap_insert(&h, &nodes[i], deadline_ns), 0);
        }
        check_heap(&h);
        int64_t last_ns = INT64_MIN;
        for (int i = 0; i < COUNT; i++) {
            const struct timer_node *node = timer_heap_pop_due(&h, INT64_MAX);
            assert_non_null(node);
            assert_true(node->deadline_ns >= last_ns);
            last_ns = node->deadline_ns;
        }
        assert_int_equal(timer_heap_count(&h), 0);
    }
    timer_heap_fini(&h);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void refused_insert_changes_nothing(void **state)
{
    (void)state;
    struct timer_heap h;
    struct timer_node nodes[4] = {0};
    timer_heap_init(&h);
    h.count_max = 3;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(timer_heap_insert(&h, &nodes[i], 10 - i), 0);
    }
    assert_int_equal(timer_heap_insert(&h, &nodes[3], 1), -ENOMEM);
    assert_false(timer_node_is_armed(&nodes[3]));
    assert_false(timer_heap_remove(&h, &nodes[3]));
    assert_int_equal(timer_heap_count(&h), 3);
    assert_true(timer_heap_next(&h) == 8);
    check_heap(&h);
    assert_true(timer_heap_remove(&h, &nodes[1]));
    assert_int_equal(timer_heap_insert(&h, &nodes[3], 1), 0);
    assert_ptr_equal(timer_heap_pop_due(&h, 100), &nodes[3]);
    assert_ptr_equal(timer_heap_pop_due(&h, 100), &nodes[2]);
    assert_ptr_equal(timer_heap_pop_due(&h, 100), &nodes[0]);
    timer_heap_fini(&h);
}

/* In a process of its own: insert until the system refuses, then take everything out. */
static int exhaust_memory(struct timer_node *nodes, unsigned count)
{
    struct timer_heap h;
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%ld", &pages) != 1) {
        return 77;
    }
    fclose(statm);
    rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)10 << 20);
    if (setrlimit(RLIMIT_AS, &(struct rlimit){.rlim_cur = bytes, .rlim_max = bytes}) != 0) {
        return 77;
    }
    timer_heap_init(&h);
    unsigned inserted = 0;
    int err = 0;
    while (inserted < count && err == 0) {
        err = timer_heap_insert(&h, &nodes[inserted], (int64_t)random_below(1000000));
        inserted += err == 0;
    }
    if (err != -ENOMEM || timer_heap_count(&h) != inserted || nodes[inserted].slot != 0) {
        return 1;
    }
    int64_t last_ns = 0;
    for (unsigned i = 0; i < inserted; i++) {
        const struct timer_node *node = timer_heap_pop_due(&h, INT64_MAX);
        if (node == NULL || node->deadline_ns < last_ns) {
            return 2;
        }
        last_ns = node->deadline_ns;
    }
    return timer_heap_count(&h) == 0 ? 0 : 3;
}

static void real_lack_of_memory_loses_nothing(void **state)
{
    (void)state;
    enum { COUNT = 1 << 20 };
    if (test_scaled(1, 0) == 0) {
        skip(); /* the sanitizers need the address space */
    }
    random_state = test_seed();
    struct timer_node *nodes = calloc(COUNT, sizeof(nodes[0]));
    assert_non_null(nodes);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(exhaust_memory(nodes, COUNT));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    free(nodes);
    if (WEXITSTATUS(status) == 77) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void memory_shrinks_after_a_burst(void **state)
{
    (void)state;
    enum { COUNT = 50000, KEPT = 10 };
    struct timer_node *nodes = calloc(COUNT, sizeof(nodes[0]));
    struct timer_heap h;
    assert_non_null(nodes);
    timer_heap_init(&h);
    for (int is_removing = 0; is_removing < 2; is_removing++) {
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(timer_heap_insert(&h, &nodes[i], COUNT - i), 0);
        }
        assert_true(h.capacity >= COUNT);
        for (unsigned i = COUNT; i-- > KEPT;) {
            if (is_removing) {
                assert_true(timer_heap_remove(&h, &nodes[i]));
            } else {
                assert_ptr_equal(timer_heap_pop_due(&h, COUNT), &nodes[i]);
            }
        }
        assert_int_equal(timer_heap_count(&h), KEPT);
        assert_true(h.capacity <= 1024);
        check_heap(&h);
        assert_true(timer_heap_remove(&h, &nodes[KEPT / 2]));
        for (unsigned i = KEPT; i-- > 0;) {
            if (i != KEPT / 2) {
                assert_ptr_equal(timer_heap_pop_due(&h, COUNT), &nodes[i]);
            }
        }
        assert_int_equal(timer_heap_count(&h), 0);
    }
    timer_heap_fini(&h);
    free(nodes);
}

static void item_59_60_cancelled_deadlines_do_not_pile_up(void **state)
{
    (void)state;
    enum { LIVE = 100 };
    struct timer_node nodes[LIVE] = {0};
    struct timer_node timeout = {0};
    struct timer_heap h;
    timer_heap_init(&h);
    for (int i = 0; i < LIVE; i++) {
        assert_int_equal(timer_heap_insert(&h, &nodes[i], 1000 + i), 0);
    }
    for (int64_t i = 0; i < 100000; i++) {
        assert_int_equal(timer_heap_insert(&h, &timeout, i), 0);
        assert_true(timer_heap_remove(&h, &timeout));
        assert_true(timer_heap_next(&h) == 1000);
    }
    assert_true(h.capacity <= 1024);
    check_heap(&h);
    timer_heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_heap_has_nothing_due),
        cmocka_unit_test(zeroed_node_is_not_armed),
        cmocka_unit_test(fires_at_the_deadline_and_not_before),
        cmocka_unit_test(item_53_every_number_is_a_deadline),
        cmocka_unit_test(ties_fire_in_order_of_insertion),
        cmocka_unit_test(order_survives_the_end_of_the_sequence),
        cmocka_unit_test(random_runs_match_a_searched_list),
        cmocka_unit_test(ordered_input_comes_out_ordered),
        cmocka_unit_test(refused_insert_changes_nothing),
        cmocka_unit_test(real_lack_of_memory_loses_nothing),
        cmocka_unit_test(memory_shrinks_after_a_burst),
        cmocka_unit_test(item_59_60_cancelled_deadlines_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

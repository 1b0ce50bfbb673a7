/* SPDX-License-Identifier: MIT */
/*
 * Goal: a switch keeps what an ABI says a call keeps, hands its value over, starts fresh stacks
 * aligned, and unwinders and debuggers find the end of a fiber's stack.
 *
 * Method: fibers of a few lines on static stacks, a piece of assembly that loads all call-preserved
 * registers, and this program under gdb (skipped where there is none). Run with `--marker` it only
 * calls marker() from inside a fiber, for gdb's sake.
 */
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "context.h"
#include "sanitize.h"

#define STACK_BYTES ((size_t)256 * 1024)

struct side {
    void *sp;
    struct sanitize_fiber sanitize;
};

static struct side native;
static struct side fiber;
static __attribute__((aligned(64))) char stacks[2][STACK_BYTES];

/* Switch from one side to another; the one place of this file that does. */
static __attribute__((noinline)) void *cross(struct side *from, struct side *to, void *value,
                                             bool is_dying)
{
    sanitize_switch_begin(&from->sanitize, &to->sanitize, is_dying);
    value = weft__context_switch(&from->sp, to->sp, value);
    sanitize_switch_end(&from->sanitize);
    return value;
}

static void prepare(struct side *f, char *stack, void (*entry)(void *value))
{
    sanitize_thread_init(&native.sanitize);
    sanitize_fiber_init(&f->sanitize, stack, stack + STACK_BYTES);
    f->sp = weft__context_make(stack + STACK_BYTES, entry);
}

static void die(void)
{
    cross(&fiber, &native, NULL, true);
}

/* Values go over, both ways. */

static void add_one_entry(void *value)
{
    sanitize_switch_end(&fiber.sanitize);
    while (value != NULL) {
        value = cross(&fiber, &native, (void *)((uintptr_t)value + 1), false);
    }
    die();
}

static void test_values_go_over(void **state)
{
    (void)state;
    prepare(&fiber, stacks[0], add_one_entry);
    for (uintptr_t i = 1; i < 10000; i++) {
        assert_ptr_equal(cross(&native, &fiber, (void *)i, false), (void *)(i + 1));
    }
    assert_null(cross(&native, &fiber, NULL, false));
    sanitize_fiber_fini(&fiber.sanitize);
}

/*
 * Registers: load them from pattern[0..], switch, store what they are then to pattern[COUNT..].
 * void *switch_loaded(void **save_sp, void *load_sp, uint64_t *pattern)
 */
#if defined(__x86_64__)
#define REGISTER_COUNT 6
__asm__("    .text\n"
        "    .type switch_loaded, @function\n"
        "switch_loaded:\n"
        "    .cfi_startproc\n"
        "    push %rbp\n    .cfi_adjust_cfa_offset 8\n"
        "    push %rbx\n    .cfi_adjust_cfa_offset 8\n"
        "    push %r12\n    .cfi_adjust_cfa_offset 8\n"
        "    push %r13\n    .cfi_adjust_cfa_offset 8\n"
        "    push %r14\n    .cfi_adjust_cfa_offset 8\n"
        "    push %r15\n    .cfi_adjust_cfa_offset 8\n"
        "    push %rdx\n    .cfi_adjust_cfa_offset 8\n"
        "    mov 0(%rdx), %rbx\n"
        "    mov 8(%rdx), %rbp\n"
        "    mov 16(%rdx), %r12\n"
        "    mov 24(%rdx), %r13\n"
        "    mov 32(%rdx), %r14\n"
        "    mov 40(%rdx), %r15\n"
        "    call weft__context_switch\n"
        "    pop %rdx\n    .cfi_adjust_cfa_offset -8\n"
        "    mov %rbx, 48(%rdx)\n"
        "    mov %rbp, 56(%rdx)\n"
        "    mov %r12, 64(%rdx)\n"
        "    mov %r13, 72(%rdx)\n"
        "    mov %r14, 80(%rdx)\n"
        "    mov %r15, 88(%rdx)\n"
        "    pop %r15\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %r14\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %r13\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %r12\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %rbx\n    .cfi_adjust_cfa_offset -8\n"
        "    pop %rbp\n    .cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        "    .cfi_endproc\n");
#elif defined(__aarch64__)
#define REGISTER_COUNT 18
__asm__("    .text\n"
        "    .type switch_loaded, %function\n"
        "switch_loaded:\n"
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp, #0]\n    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n    stp d14, d15, [sp, #144]\n"
        "    str x2, [sp, #160]\n"
        "    ldp x19, x20, [x2, #0]\n    ldp x21, x22, [x2, #16]\n"
        "    ldp x23, x24, [x2, #32]\n    ldp x25, x26, [x2, #48]\n"
        "    ldp x27, x28, [x2, #64]\n"
        "    ldp d8, d9, [x2, #80]\n    ldp d10, d11, [x2, #96]\n"
        "    ldp d12, d13, [x2, #112]\n    ldp d14, d15, [x2, #128]\n"
        "    bl weft__context_switch\n"
        "    ldr x2, [sp, #160]\n"
        "    add x2, x2, #144\n"
        "    stp x19, x20, [x2, #0]\n    stp x21, x22, [x2, #16]\n"
        "    stp x23, x24, [x2, #32]\n    stp x25, x26, [x2, #48]\n"
        "    stp x27, x28, [x2, #64]\n"
        "    stp d8, d9, [x2, #80]\n    stp d10, d11, [x2, #96]\n"
        "    stp d12, d13, [x2, #112]\n    stp d14, d15, [x2, #128]\n"
        "    ldp x19, x20, [sp, #0]\n    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n");
#endif
void *switch_loaded(void **save_sp, void *load_sp, uint64_t *pattern)
    __attribute__((visibility("hidden")));

static uint64_t patterns[2][2 * REGISTER_COUNT];

static __attribute__((noinline)) void cross_loaded(struct side *from, struct side *to,
                                                   uint64_t *pattern)
{
    sanitize_switch_begin(&from->sanitize, &to->sanitize, false);
    switch_loaded(&from->sp, to->sp, pattern);
    sanitize_switch_end(&from->sanitize);
}

static void registers_entry(void *value)
{
    (void)value;
    sanitize_switch_end(&fiber.sanitize);
    cross_loaded(&fiber, &native, patterns[1]);
    die();
}

static void test_call_preserved_registers_are_kept(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < REGISTER_COUNT; i++) {
            patterns[0][i] = test_random(&random);
            patterns[1][i] = test_random(&random);
        }
        prepare(&fiber, stacks[0], registers_entry);
        cross_loaded(&native, &fiber, patterns[0]);
        cross(&native, &fiber, NULL, false);
        for (int side = 0; side < 2; side++) {
            assert_memory_equal(patterns[side], patterns[side] + REGISTER_COUNT,
                                REGISTER_COUNT * sizeof(uint64_t));
        }
        sanitize_fiber_fini(&fiber.sanitize);
    }
}

/* Alignment: the compiler stores 16-byte vectors on the stack with aligned instructions. */

typedef float vec4 __attribute__((vector_size(16)));
static uintptr_t misaligned;

static __attribute__((noinline)) void align_check(float f)
{
    volatile vec4 v = {f, f, f, f};
    misaligned |= (uintptr_t)&v % 16;
}

#if defined(__x86_64__)
typedef float vec8 __attribute__((vector_size(32)));

__attribute__((noinline, target("avx"))) static void align_check_avx(float f)
{
    volatile vec8 v = {f, f, f, f, f, f, f, f};
    misaligned |= (uintptr_t)&v % 32;
}
#endif

static void align_entry(void *value)
{
    volatile vec4 v = {1, 2, 3, 4};
    sanitize_switch_end(&fiber.sanitize);
    misaligned = (uintptr_t)&v % 16;
    misaligned |= (uintptr_t)__builtin_frame_address(0) % 16;
    align_check((float)(uintptr_t)value);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx")) {
        align_check_avx(2);
    }
#endif
    die();
}

static void test_entry_is_aligned(void **state)
{
    (void)state;
    for (size_t off = 0; off < 64; off++) {
        misaligned = 1;
        prepare(&fiber, stacks[0], align_entry);
        fiber.sp = weft__context_make(stacks[0] + STACK_BYTES - off, align_entry);
        cross(&native, &fiber, NULL, false);
        assert_int_equal(misaligned, 0);
        sanitize_fiber_fini(&fiber.sanitize);
    }
}

/* Deep frames: switches at every depth on the way down and up. */

static __attribute__((noinline)) uint64_t descend(uint64_t n)
{
    volatile char frame[256];
    memset((void *)frame, (int)n, sizeof(frame));
    cross(&fiber, &native, NULL, false);
    uint64_t below = n == 0 ? 0 : descend(n - 1);
    cross(&fiber, &native, NULL, false);
    return below + (uint64_t)(unsigned char)frame[n % sizeof(frame)];
}

static uint64_t deep_sum;

static void deep_entry(void *value)
{
    sanitize_switch_end(&fiber.sanitize);
    deep_sum = descend((uint64_t)(uintptr_t)value);
    die();
}

static void test_deep_frames_return_through_switches(void **state)
{
    (void)state;

    enum { DEPTH = 200 };

    deep_sum = 0;
    prepare(&fiber, stacks[0], deep_entry);
    for (int i = 0; i < 2 * (DEPTH + 1) + 1; i++) {
        assert_int_equal(deep_sum, 0);
        cross(&native, &fiber, (void *)DEPTH, false);
    }
    assert_int_equal(deep_sum, DEPTH * (DEPTH + 1) / 2);
    sanitize_fiber_fini(&fiber.sanitize);
}

/* A stack is used again and again by fibers that end in the depth of their frames. */

static __attribute__((noinline)) void die_below(int n)
{
    volatile char frame[64];
    frame[n] = 1;
    if (n > 0) {
        die_below(n - 1);
    } else {
        die();
    }
    (void)frame[n];
}

static void short_entry(void *value)
{
    sanitize_switch_end(&fiber.sanitize);
    die_below((int)(uintptr_t)value);
}

static void test_a_stack_serves_many_fibers(void **state)
{
    (void)state;
    size_t count = test_scaled(1000000, 5000);
    prepare(&fiber, stacks[0], short_entry);
    for (size_t i = 0; i < count; i++) {
        cross(&native, &fiber, (void *)(i % 32), false);
        fiber.sp = weft__context_make(stacks[0] + STACK_BYTES, short_entry);
    }
    sanitize_fiber_fini(&fiber.sanitize);
}

/* Fiber to fiber, and a fresh one from a dying one. */

static struct side second;
static int order[3];
static int order_count;

static void second_entry(void *value)
{
    sanitize_switch_end(&second.sanitize);
    order[order_count++] = (int)(uintptr_t)value;
    cross(&second, &native, NULL, true);
}

static void first_entry(void *value)
{
    sanitize_switch_end(&fiber.sanitize);
    order[order_count++] = (int)(uintptr_t)value;
    cross(&fiber, &second, (void *)2, true);
}

static void test_a_dying_fiber_starts_the_next(void **state)
{
    (void)state;
    prepare(&fiber, stacks[0], first_entry);
    prepare(&second, stacks[1], second_entry);
    order_count = 0;
    cross(&native, &fiber, (void *)1, false);
    assert_int_equal(order_count, 2);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    sanitize_fiber_fini(&fiber.sanitize);
    sanitize_fiber_fini(&second.sanitize);
}

/* A fiber goes on on another thread. */

static int moves; /* written by the fiber only */

static void moving_entry(void *value)
{
    (void)value;
    sanitize_switch_end(&fiber.sanitize);
    for (moves = 1; moves < 10; moves++) {
        cross(&fiber, &native, NULL, false);
    }
    die();
}

static void *moving_thread(void *arg)
{
    (void)arg;
    sanitize_thread_init(&native.sanitize);
    cross(&native, &fiber, NULL, false);
    return NULL;
}

static void test_a_fiber_changes_threads(void **state)
{
    (void)state;
    prepare(&fiber, stacks[0], moving_entry);
    for (int i = 1; i <= 10; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, moving_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(moves, i);
    }
    sanitize_fiber_fini(&fiber.sanitize);
}

/* Unwinding ends at the trampoline. */

extern char weft__context_start[] __attribute__((visibility("hidden")));
static int frame_count;
static uintptr_t last_ip;

static _Unwind_Reason_Code unwind_step(struct _Unwind_Context *context, void *arg)
{
    (void)arg;
    frame_count++;
    uintptr_t ip = _Unwind_GetIP(context);
    last_ip = ip != 0 ? ip : last_ip; /* the undefined return address may be shown as 0 */
    return frame_count < 1000 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static __attribute__((noinline)) void unwind_below(int n)
{
    if (n > 0) {
        unwind_below(n - 1);
    } else {
        _Unwind_Backtrace(unwind_step, NULL);
    }
    __asm__ volatile("" ::: "memory");
}

static void unwind_entry(void *value)
{
    (void)value;
    sanitize_switch_end(&fiber.sanitize);
    unwind_below(5);
    die();
}

static void test_unwinding_ends_at_the_trampoline(void **state)
{
    (void)state;
    frame_count = 0;
    prepare(&fiber, stacks[0], unwind_entry);
    cross(&native, &fiber, NULL, false);
    assert_in_range(frame_count, 8, 12);
    assert_in_range(last_ip, (uintptr_t)weft__context_start, (uintptr_t)weft__context_start + 64);
    sanitize_fiber_fini(&fiber.sanitize);
}

/* gdb: `bt` in a running fiber, and `bt` in the switch while it stands on the other stack. */

static __attribute__((noinline)) void marker(void)
{
    __asm__ volatile("" ::: "memory");
}

static void marker_entry(void *value)
{
    (void)value;
    sanitize_switch_end(&fiber.sanitize);
    marker();
    die();
}

static int marker_main(void)
{
    prepare(&fiber, stacks[0], marker_entry);
    cross(&native, &fiber, NULL, false);
    return 0;
}

static void gdb_ask(const char *commands, char *out, size_t out_bytes)
{
    char self[1024];
    char command[2048];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(command, sizeof(command),
             "gdb -nx -batch -iex 'set debuginfod enabled off' %s --args '%s' --marker 2>&1",
             commands, self);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    out[fread(out, 1, out_bytes - 1, pipe)] = '\0';
    pclose(pipe);
}

static void test_gdb_finds_the_end_of_the_stack(void **state)
{
    (void)state;
    char out[16384];
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    skip();
#endif
    if (system("command -v gdb >/dev/null 2>&1") != 0) {
        print_message("no gdb\n");
        skip();
    }
    gdb_ask("-ex 'break marker' -ex run -ex bt", out, sizeof(out));
    if (strstr(out, "Breakpoint 1, ") == NULL) {
        print_message("gdb cannot run a program here:\n%s\n", out);
        skip();
    }
    assert_non_null(strstr(out, "marker_entry"));
    assert_non_null(strstr(out, "context_start ()"));
    assert_null(strstr(out, "Backtrace stopped"));
    assert_null(strstr(out, "test_context.c:0"));

    /* Every instruction of the first switch, the exchange of the stacks included. */
    gdb_ask("-ex 'break weft__context_switch' -ex run -ex 'python\n"
            "import gdb\n"
            "for i in range(24):\n"
            "    gdb.execute(\"bt\")\n"
            "    if \"marker_entry\" in gdb.execute(\"bt\", to_string=True): break\n"
            "    gdb.execute(\"stepi\", to_string=True)\n"
            "print(\"stepped to the end\")'",
            out, sizeof(out));
    assert_non_null(strstr(out, "stepped to the end"));
    assert_null(strstr(out, "Backtrace stopped"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_go_over),
        cmocka_unit_test(test_call_preserved_registers_are_kept),
        cmocka_unit_test(test_entry_is_aligned),
        cmocka_unit_test(test_deep_frames_return_through_switches),
        cmocka_unit_test(test_a_stack_serves_many_fibers),
        cmocka_unit_test(test_a_dying_fiber_starts_the_next),
        cmocka_unit_test(test_a_fiber_changes_threads),
        cmocka_unit_test(test_unwinding_ends_at_the_trampoline),
        cmocka_unit_test(test_gdb_finds_the_end_of_the_stack),
    };
    if (argc > 1 && strcmp(argv[1], "--marker") == 0) {
        return marker_main();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

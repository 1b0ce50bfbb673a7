/* SPDX-License-Identifier: MIT */
/*
 * Context switch for aarch64, AAPCS64; see context.h.
 *
 * A stack that was left:     sp + 0 .. 79    x19 .. x28
 *                            sp + 80, 88     x29, x30 (where to go on)
 *                            sp + 96 .. 159  d8 .. d15
 *
 * Return addresses are not signed: the one of a fresh stack never was, and checking the others
 * here would protect nothing that the callers' own checks do not.
 */
#if defined(__aarch64__)

#define FRAME_BYTES 160

    .text

/* void *weft__context_switch(void **save_sp: x0, void *load_sp: x1, void *value: x2) */
    .globl weft__context_switch
    .hidden weft__context_switch
    .type weft__context_switch, %function
    .p2align 6
weft__context_switch:
    .cfi_startproc
    hint #34                /* bti c */
    sub sp, sp, #FRAME_BYTES
    .cfi_def_cfa_offset FRAME_BYTES
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x20, 8
    .cfi_rel_offset x21, 16
    .cfi_rel_offset x22, 24
    .cfi_rel_offset x23, 32
    .cfi_rel_offset x24, 40
    .cfi_rel_offset x25, 48
    .cfi_rel_offset x26, 56
    .cfi_rel_offset x27, 64
    .cfi_rel_offset x28, 72
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    .cfi_rel_offset d8, 96
    .cfi_rel_offset d9, 104
    .cfi_rel_offset d10, 112
    .cfi_rel_offset d11, 120
    .cfi_rel_offset d12, 128
    .cfi_rel_offset d13, 136
    .cfi_rel_offset d14, 144
    .cfi_rel_offset d15, 152
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    /* The saved words stay where they are until sp moves: the rules above hold up to there. */
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    mov x0, x2
    add sp, sp, #FRAME_BYTES
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    .cfi_restore d8
    .cfi_restore d9
    .cfi_restore d10
    .cfi_restore d11
    .cfi_restore d12
    .cfi_restore d13
    .cfi_restore d14
    .cfi_restore d15
    ret
    .cfi_endproc
    .size weft__context_switch, .-weft__context_switch

/*
 * The first thing that runs on a stack: x19 is the entry, x0 the value. An unwinder looks up the
 * instruction before a return address, so the nop belongs to the frame.
 */
    .globl weft__context_start
    .hidden weft__context_start
    .type weft__context_start, %function
    .p2align 4
    .cfi_startproc
    .cfi_undefined x30
    nop
weft__context_start:
    hint #36                /* bti j: a ret needs none, a debugger's jump might */
    mov x29, xzr
    mov x30, xzr
    blr x19
    brk #0x1000
    .cfi_endproc
    .size weft__context_start, .-weft__context_start

/* void *weft__context_make(void *stack_top: x0, void (*entry)(void *): x1) */
    .globl weft__context_make
    .hidden weft__context_make
    .type weft__context_make, %function
    .p2align 4
weft__context_make:
    .cfi_startproc
    hint #34                /* bti c */
    and x0, x0, #-16
    sub x0, x0, #FRAME_BYTES
    adrp x2, weft__context_start
    add x2, x2, :lo12:weft__context_start
    stp x1, xzr, [x0, #0]
    stp xzr, xzr, [x0, #16]
    stp xzr, xzr, [x0, #32]
    stp xzr, xzr, [x0, #48]
    stp xzr, xzr, [x0, #64]
    stp xzr, x2, [x0, #80]
    stp xzr, xzr, [x0, #96]
    stp xzr, xzr, [x0, #112]
    stp xzr, xzr, [x0, #128]
    stp xzr, xzr, [x0, #144]
    ret
    .cfi_endproc
    .size weft__context_make, .-weft__context_make

/*
 * void weft__context_walk(void *sp: x0, void (*fn)(void *): x1, void *arg: x2)
 *
 * While fn runs, the unwind rules say that this frame's caller is the one that left the context:
 * its registers are where weft__context_switch has put them, found by x19.
 */
    .globl weft__context_walk
    .hidden weft__context_walk
    .type weft__context_walk, %function
    .p2align 4
weft__context_walk:
    .cfi_startproc
    hint #34                /* bti c */
    stp x19, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_rel_offset x19, 0
    .cfi_rel_offset x30, 8
    mov x19, x0
    mov x0, x2
    .cfi_remember_state
    .cfi_def_cfa x19, FRAME_BYTES
    .cfi_offset x19, -160
    .cfi_offset x20, -152
    .cfi_offset x21, -144
    .cfi_offset x22, -136
    .cfi_offset x23, -128
    .cfi_offset x24, -120
    .cfi_offset x25, -112
    .cfi_offset x26, -104
    .cfi_offset x27, -96
    .cfi_offset x28, -88
    .cfi_offset x29, -80
    .cfi_offset x30, -72
    .cfi_offset d8, -64
    .cfi_offset d9, -56
    .cfi_offset d10, -48
    .cfi_offset d11, -40
    .cfi_offset d12, -32
    .cfi_offset d13, -24
    .cfi_offset d14, -16
    .cfi_offset d15, -8
    blr x1
    .cfi_restore_state
    ldp x19, x30, [sp], #16
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x30
    ret
    .cfi_endproc
    .size weft__context_walk, .-weft__context_walk

/* NT_GNU_PROPERTY_TYPE_0: branch target identification yes (1), pointer signing no (2). */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4
    .long 16
    .long 5
    .asciz "GNU"
    .long 0xc0000000
    .long 4
    .long 1
    .long 0

#endif

/* On every architecture, or an object that is empty asks for an executable stack. */
    .section .note.GNU-stack, "", %progbits

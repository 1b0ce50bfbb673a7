/* SPDX-License-Identifier: MIT */
/*
 * Context switch for x86-64, System V ABI; see context.h.
 *
 * A stack that was left:     sp + 8   return address     sp   rbp
 *
 * The other registers that a call keeps are the caller's to save: the compiler does it, in the
 * prologue of the function that switches (context_switch), or weft__context_switch does.
 *
 * Both stacks have this same shape at the instruction that exchanges them, so one set of unwind
 * rules is right before and after it.
 */
#if defined(__x86_64__)

    .text

/* weft__context_exchange: save_sp in rdi, load_sp in rsi, value in rdx; returned in rax. Keeps rsp
 * and rbp alone. */
    .globl weft__context_exchange
    .hidden weft__context_exchange
    .type weft__context_exchange, @function
    .p2align 5
weft__context_exchange:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    movq %rdx, %rax
    ret
    .cfi_endproc
    .size weft__context_exchange, .-weft__context_exchange

/* void *weft__context_switch(void **save_sp: rdi, void *load_sp: rsi, void *value: rdx) */
    .globl weft__context_switch
    .hidden weft__context_switch
    .type weft__context_switch, @function
    .p2align 4
weft__context_switch:
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    callq weft__context_exchange
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size weft__context_switch, .-weft__context_switch

/*
 * The first thing that runs on a stack: the entry is on it, rax is the value. An unwinder looks up
 * the instruction before a return address, so the nop belongs to the frame.
 */
    .hidden weft__context_start
    .globl weft__context_start
    .type weft__context_start, @function
    .p2align 4
    .cfi_startproc
    .cfi_undefined rip
    nop
weft__context_start:
    endbr64
    xorl %ebp, %ebp
    movq %rax, %rdi
    callq *(%rsp)
    ud2
    .cfi_endproc
    .size weft__context_start, .-weft__context_start

/* void *weft__context_make(void *stack_top: rdi, void (*entry)(void *): rsi) */
    .globl weft__context_make
    .hidden weft__context_make
    .type weft__context_make, @function
    .p2align 4
weft__context_make:
    .cfi_startproc
    endbr64
    andq $-16, %rdi
    leaq weft__context_start(%rip), %rdx
    leaq -32(%rdi), %rax
    xorl %ecx, %ecx
    movq %rcx, 24(%rax)
    movq %rsi, 16(%rax)     /* after the ret the stack pointer is here: aligned for a call */
    movq %rdx, 8(%rax)
    movq %rcx, (%rax)
    ret
    .cfi_endproc
    .size weft__context_make, .-weft__context_make

/*
 * void weft__context_walk(void *sp: rdi, void (*fn)(void *): rsi, void *arg: rdx)
 *
 * While fn runs, the unwind rules say that this frame's caller is the one that left the context:
 * its return address and rbp are where weft__context_exchange has put them, found by rbx. The
 * others are in the frame that it returns to, whose own rules tell where.
 */
    .globl weft__context_walk
    .hidden weft__context_walk
    .type weft__context_walk, @function
    .p2align 4
weft__context_walk:
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    movq %rdi, %rbx
    movq %rdx, %rdi
    .cfi_remember_state
    .cfi_def_cfa rbx, 16
    .cfi_offset rbp, -16
    .cfi_undefined rbx
    callq *%rsi
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size weft__context_walk, .-weft__context_walk

/* NT_GNU_PROPERTY_TYPE_0: indirect branch tracking yes (1), shadow stack no (2). */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4
    .long 16
    .long 5
    .asciz "GNU"
    .long 0xc0000002
    .long 4
    .long 1
    .long 0

#endif

/* On every architecture, or an object that is empty asks for an executable stack. */
    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/* Reports: errors that nobody retrieved, and whom they are told to; see report.c. */
#ifndef WEFT_REPORT_H
#define WEFT_REPORT_H

#include <stdbool.h>

#include <weft/runtime.h>

/* Why something is reported; decides what the default line says. */
enum report_kind {
    REPORT_UNSEEN,  /* it failed, and nobody looked */
    REPORT_DROPPED, /* it was held and never started */
    REPORT_CALLED,  /* weft_report_error */
};

/*
 * Tell the error handler of f's runtime. True: it takes over the caller's reference, and f is freed
 * after that; false: one line was printed, and the reference is still the caller's.
 * Context: any thread.
 */
bool weft__report_future(weft_future *f, enum report_kind kind, int error);

#endif

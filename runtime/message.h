/* SPDX-License-Identifier: MIT */
/*
 * A message to one worker: delivered on its thread, in its loop, in the order sent. The sender
 * keeps the memory valid until `deliver` has been called; after that it belongs to nobody.
 */
#ifndef WEFT_MESSAGE_H
#define WEFT_MESSAGE_H

#include "mpsc.h"

struct worker;

struct message {
    struct mpsc_node node;
    void (*deliver)(struct message *self, struct worker *w);
};

#endif

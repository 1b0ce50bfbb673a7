/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a server of keys and values cost, as the examples have it?
 *
 * It is that example, built as what is measured is built.
 */
#include "../../../tests/examples/key_value_server.c"

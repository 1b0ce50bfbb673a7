/* SPDX-License-Identifier: MIT */
/*
 * The explorer's channels, selects and queues. Conserved: what was sent is received once, or is
 * still there in the end; what was not sent is not received.
 */
#ifndef WEFT_EXPLORER_CHANNELS_H
#define WEFT_EXPLORER_CHANNELS_H

#include "world.h"

#define ROADS 6 /* three channels, three queues */
#define CHANNELS 3
#define ITEMS_MAX 512

enum item_state { ITEM_SENDING, ITEM_SENT, ITEM_FAILED, ITEM_RECEIVED };

struct item {
    enum item_state state;
    int road;
};

/* A channel or a queue. */
struct road {
    weft_channel *channel;
    weft_queue *queue;
    size_t room; /* of a queue, 0: any */
    int owed;    /* items of a queue that are not finished */
};

static struct road roads[ROADS];
static struct item items[ITEMS_MAX];
static int item_count;

static struct item *item_new(int road)
{
    CHECK(item_count < ITEMS_MAX);
    items[item_count] = (struct item){ITEM_SENDING, road};
    return &items[item_count++];
}

static void item_sent(struct item *i, int err)
{
    if (err < 0) {
        CHECK_EQUAL(i->state, ITEM_SENDING);
        i->state = ITEM_FAILED;
    } else if (i->state == ITEM_SENDING) {
        i->state = ITEM_SENT;
    }
}

static void item_received(struct item *i, int road)
{
    CHECK(i >= items && i < items + item_count);
    CHECK_EQUAL(i->road, road);
    CHECK(i->state == ITEM_SENDING || i->state == ITEM_SENT);
    i->state = ITEM_RECEIVED;
}

static bool can_send(void *on)
{
    struct road *r = on;
    return weft_channel_size(r->channel) < r->room || anybody_waits("receive", r) ||
           anybody_waits("select", NULL);
}

static bool can_receive(void *on)
{
    struct road *r = on;
    return weft_channel_size(r->channel) > 0 || anybody_waits("send", r);
}

static bool can_put(void *on)
{
    struct road *r = on;
    return r->room == 0 || weft_queue_size(r->queue) < r->room || anybody_waits("get", r);
}

static bool can_get(void *on)
{
    struct road *r = on;
    return weft_queue_size(r->queue) > 0 || anybody_waits("put", r);
}

static bool is_finished(void *on)
{
    return ((struct road *)on)->owed == 0;
}

static int act_send(struct actor *a)
{
    int road = (int)dice(a, CHANNELS);
    struct item *i = item_new(road);
    int err;
    if (dice(a, 3) == 0) {
        err = weft_channel_try_send(roads[road].channel, &i);
        item_sent(i, err);
        CHECK(err == 0 || err == -EAGAIN);
        return 0;
    }
    wait_begin(a, "send", can_send, &roads[road]);
    err = wait_end(a, weft_channel_send(roads[road].channel, &i));
    item_sent(i, err);
    return err < 0 ? wait_failed(err) : 0;
}

static int act_receive(struct actor *a)
{
    int road = (int)dice(a, CHANNELS);
    struct item *i = NULL;
    int err;
    if (dice(a, 3) == 0) {
        err = weft_channel_try_receive(roads[road].channel, &i);
        CHECK(err == 0 || err == -EAGAIN);
    } else {
        wait_begin(a, "receive", can_receive, &roads[road]);
        err = wait_end(a, weft_channel_receive(roads[road].channel, &i));
    }
    if (err == 0) {
        item_received(i, road);
    }
    return err == -EAGAIN || err == 0 ? 0 : wait_failed(err);
}

/* The select that waits looks at all channels: it receives from some and sends to one. */
static bool can_select(void *on)
{
    (void)on;
    for (int i = 0; i < CHANNELS; i++) {
        if (weft_channel_size(roads[i].channel) > 0 || anybody_waits("send", &roads[i])) {
            return true;
        }
    }
    return false;
}

/* Receive from any channel, and with some luck send to one instead. */
static int act_select(struct actor *a)
{
    struct item *got[CHANNELS];
    struct weft_select_case cases[CHANNELS + 1];
    for (int i = 0; i < CHANNELS; i++) {
        cases[i] = (struct weft_select_case){
            .kind = WEFT_SELECT_RECEIVE, .channel = roads[i].channel, .element = &got[i]};
    }
    bool sends = dice(a, 2) == 0;
    int road = (int)dice(a, CHANNELS);
    struct item *gives = sends ? item_new(road) : NULL;
    cases[CHANNELS] = (struct weft_select_case){
        .kind = WEFT_SELECT_SEND, .channel = roads[road].channel, .element = &gives};
    wait_begin(a, sends ? "select and send" : "select", can_select, NULL);
    int done = wait_end(a, weft_select(cases, CHANNELS + sends));
    if (sends) {
        item_sent(gives, done == CHANNELS ? 0 : -EAGAIN);
    }
    if (done >= 0 && done < CHANNELS) {
        CHECK_EQUAL(cases[done].error, 0);
        item_received(got[done], done);
    }
    return done < 0 ? wait_failed(done) : 0;
}

static int act_put(struct actor *a)
{
    int road = CHANNELS + (int)dice(a, ROADS - CHANNELS);
    struct road *r = &roads[road];
    struct item *i = item_new(road);
    r->owed++;
    wait_begin(a, "put", can_put, r);
    bool has_number = road == ROADS - 1;
    int err = has_number ? weft_queue_put_priority(r->queue, i, dice(a, 3))
                         : weft_queue_put(r->queue, i);
    (void)wait_end(a, err);
    item_sent(i, err);
    r->owed -= err < 0;
    return err < 0 ? wait_failed(err) : 0;
}

static int act_get(struct actor *a)
{
    int road = CHANNELS + (int)dice(a, ROADS - CHANNELS);
    struct road *r = &roads[road];
    void *i = NULL;
    int err;
    if (dice(a, 3) == 0) {
        err = weft_queue_try_get(r->queue, &i);
        CHECK(err == 0 || err == -EAGAIN);
    } else {
        wait_begin(a, "get", can_get, r);
        err = wait_end(a, weft_queue_get(r->queue, &i));
    }
    if (err == 0) {
        item_received(i, road);
        r->owed--;
        CHECK_EQUAL(weft_queue_task_done(r->queue), 0);
    }
    return err == -EAGAIN || err == 0 ? 0 : wait_failed(err);
}

static int act_join(struct actor *a)
{
    struct road *r = &roads[CHANNELS + (int)dice(a, ROADS - CHANNELS)];
    wait_begin(a, "join", is_finished, r);
    int err = wait_end(a, weft_queue_join(r->queue));
    return err < 0 ? wait_failed(err) : 0;
}

static const struct action channel_actions[] = {
    {"send", act_send},       {"send", act_send}, {"receive", act_receive},
    {"receive", act_receive}, {"put", act_put},   {"put", act_put},
    {"get", act_get},         {"get", act_get},   {"select", act_select},
    {"join", act_join},
};

static void channels_begin(void)
{
    item_count = 0;
    memset(roads, 0, sizeof roads);
    for (int i = 0; i < ROADS; i++) {
        roads[i].room = (size_t)(i % CHANNELS);
        if (i < CHANNELS) {
            roads[i].channel = weft_channel_create(sizeof(struct item *), roads[i].room);
        } else {
            enum weft_queue_kind kind = (enum weft_queue_kind)(WEFT_FIFO + (i - CHANNELS));
            roads[i].queue = weft_queue_create(kind, roads[i].room);
        }
        CHECK(roads[i].channel != NULL || roads[i].queue != NULL);
    }
}

/* Nobody waits any more: take out what is left, and count. */
static void channels_end(void)
{
    for (int i = 0; i < ROADS; i++) {
        struct item *item = NULL;
        void *got = NULL;
        while (i < CHANNELS && weft_channel_try_receive(roads[i].channel, &item) == 0) {
            item_received(item, i);
        }
        while (i >= CHANNELS && weft_queue_try_get(roads[i].queue, &got) == 0) {
            item_received(got, i);
        }
        CHECK_EQUAL(weft_channel_destroy(roads[i].channel), 0);
        CHECK_EQUAL(weft_queue_destroy(roads[i].queue), 0);
    }
    for (int i = 0; i < item_count; i++) {
        CHECK(items[i].state == ITEM_RECEIVED || items[i].state == ITEM_FAILED);
    }
}

#endif

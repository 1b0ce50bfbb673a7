/* SPDX-License-Identifier: MIT */
/*
 * Goal: every element that was sent is received exactly once, and none that was not, whatever is
 * cancelled and closed meanwhile, by sends, receives, tries and selects on the same two channels.
 *
 * Method: each element is a number of its own. Senders take the next number when the last one was
 * sent; one that was cancelled takes notice and tries the same number again. A thread and a task
 * cancel at random. In every other round the channels are closed while all that goes on. At the end
 * what was noted as sent and what was counted as received have to be the same. Every third round is
 * a simulation, in which a task may be sent away at each hand-over.
 */
#include "task_help.h"

enum { SENDERS = 4, RECEIVERS = 4, CHANNELS = 2 };

struct round {
    bool is_simulated; /* in the order of the seed; and no thread cancels */
    weft_channel *channels[CHANNELS];
    uint64_t seed;
    uint64_t count;         /* elements that each sender has */
    _Atomic(uint8_t) *sent; /* by element: it was */
    shared_int *received;   /* by element: how often */
    shared_int ended;       /* senders */
    shared_int is_over;     /* the canceller is to end */
    weft_task *senders[SENDERS];
    weft_task *receivers[RECEIVERS];
};

struct member {
    struct round *round;
    uint64_t number;
};

/* Send to one of the two, in one of the ways. */
static int send_somehow(struct round *r, uint64_t *element, uint64_t *state)
{
    uint64_t draw = test_random(state);
    weft_channel *c = r->channels[draw % CHANNELS];
    uint64_t other = 0;
    struct weft_select_case cases[] = {
        {.kind = WEFT_SELECT_SEND, .channel = r->channels[0], .element = element},
        {.kind = WEFT_SELECT_SEND, .channel = r->channels[1], .element = element},
        {.kind = WEFT_SELECT_RECEIVE, .channel = r->channels[draw % 7 % 2], .element = &other},
    };
    int chosen;
    switch (draw / 16 % 4) {
    case 0:
        return weft_channel_try_send(c, element);
    case 1:
        return weft_channel_send(c, element);
    case 2:
        chosen = weft_select(cases, 2);
        return chosen < 0 ? chosen : cases[chosen].error;
    default: /* both directions at once */
        chosen = weft_select(cases, 3);
        if (chosen == 2 && cases[2].error == 0) {
            atomic_add_seq_cst(&r->received[other], 1);
            return -EAGAIN;
        }
        return chosen < 0 ? chosen : cases[chosen].error;
    }
}

static void *sender(void *arg)
{
    struct member *m = arg;
    struct round *r = m->round;
    uint64_t state = r->seed + m->number;
    for (uint64_t i = 0; i < r->count; i++) {
        uint64_t element = m->number * r->count + i;
        int err;
        while ((err = send_somehow(r, &element, &state)) == -EAGAIN || err == -ECANCELED) {
            while (weft_uncancel() > 0) {
                /* all of them */
            }
            (void)weft_yield();
        }
        if (err == -EPIPE) {
            break;
        }
        CHECK_EQUAL(err, 0);
        atomic_store_seq_cst(&r->sent[element], 1);
    }
    atomic_add_seq_cst(&r->ended, 1);
    return NULL;
}

/* Receive from one that is not known to be closed; `open` says which are. */
static int receive_somehow(struct round *r, bool open[CHANNELS], uint64_t *element, uint64_t *state)
{
    uint64_t draw = test_random(state);
    int from = open[draw % CHANNELS] ? (int)(draw % CHANNELS) : open[0] ? 0 : 1;
    struct weft_select_case cases[CHANNELS];
    int err;
    switch (draw / 16 % 3) {
    case 0:
        err = weft_channel_try_receive(r->channels[from], element);
        break;
    case 1: /* what is sent to the other one waits for the others to select it */
        err = from == 1 ? weft_channel_receive(r->channels[1], element) : -EAGAIN;
        break;
    default:
        for (int i = 0; i < CHANNELS; i++) {
            cases[i] = (struct weft_select_case){.kind = WEFT_SELECT_RECEIVE,
                                                 .channel = open[i] ? r->channels[i] : NULL,
                                                 .element = element};
        }
        err = weft_select(cases, CHANNELS);
        from = err >= 0 ? err : from;
        err = err < 0 ? err : cases[err].error;
        break;
    }
    if (err == -EPIPE) {
        open[from] = false;
    }
    return err;
}

static void *receiver(void *arg)
{
    struct member *m = arg;
    struct round *r = m->round;
    uint64_t state = r->seed + 1000 + m->number;
    bool open[CHANNELS] = {true, true};
    while (open[0] || open[1]) {
        uint64_t element = UINT64_MAX;
        int err = receive_somehow(r, open, &element, &state);
        if (err == 0) {
            CHECK(element < SENDERS * r->count);
            atomic_add_seq_cst(&r->received[element], 1);
        } else if (err != -EPIPE) {
            CHECK(err == -EAGAIN || err == -ECANCELED);
            while (weft_uncancel() > 0) {
                /* all of them */
            }
            (void)weft_yield();
        }
    }
    return NULL;
}

static void cancel_one(struct round *r, uint64_t *state)
{
    uint64_t draw = test_random(state);
    (void)weft_cancel(draw % 2 == 0 ? r->senders[draw / 2 % SENDERS]
                                    : r->receivers[draw / 2 % RECEIVERS]);
}

static void *canceller_task(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 2000;
    while (atomic_load_seq_cst(&r->is_over) == 0) {
        cancel_one(r, &state);
        CHECK_EQUAL(weft_yield(), 0);
    }
    return NULL;
}

static void *canceller_thread(void *arg)
{
    struct round *r = arg;
    uint64_t state = r->seed + 3000;
    while (atomic_load_seq_cst(&r->is_over) == 0) {
        cancel_one(r, &state);
        sched_yield();
    }
    return NULL;
}

static void check_round(struct round *r)
{
    for (uint64_t i = 0; i < SENDERS * r->count; i++) {
        CHECK_EQUAL(atomic_load_seq_cst(&r->received[i]), atomic_load_seq_cst(&r->sent[i]));
    }
}

static void *round_main(void *arg)
{
    struct round *r = arg;
    struct member members[SENDERS + RECEIVERS];
    bool is_cut = r->seed % 2 == 0;
    for (uint64_t i = 0; i < SENDERS + RECEIVERS; i++) {
        members[i] = (struct member){r, i < SENDERS ? i : i - SENDERS};
    }
    for (int i = 0; i < SENDERS; i++) {
        r->senders[i] = weft_spawn(sender, &members[i]);
    }
    for (int i = 0; i < RECEIVERS; i++) {
        r->receivers[i] = weft_spawn(receiver, &members[SENDERS + i]);
    }
    weft_task *canceller = weft_spawn(canceller_task, r);
    pthread_t thread = r->is_simulated ? pthread_self() : start_thread(canceller_thread, r);
    uint64_t yields = is_cut ? r->seed / 2 % 500 : UINT64_MAX;
    for (uint64_t i = 0; i < yields && atomic_load_seq_cst(&r->ended) < SENDERS; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_EQUAL(weft_channel_close(r->channels[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        CHECK_EQUAL(weft_await(r->senders[i], NULL), 0);
    }
    for (int i = 0; i < RECEIVERS; i++) {
        CHECK_EQUAL(weft_await(r->receivers[i], NULL), 0);
    }
    atomic_store_seq_cst(&r->is_over, 1);
    CHECK_EQUAL(weft_join(canceller, NULL), 0);
    CHECK(r->is_simulated || pthread_join(thread, NULL) == 0);
    for (int i = 0; i < SENDERS + RECEIVERS; i++) {
        weft_put(i < SENDERS ? r->senders[i] : r->receivers[i - SENDERS]);
    }
    check_round(r);
    return NULL;
}

static void run_round(uint64_t seed, bool is_simulated)
{
    struct round r = {.is_simulated = is_simulated, .seed = seed, .count = test_scaled(1000, 100)};
    uint64_t state = seed;
    r.sent = calloc(SENDERS * r.count, sizeof r.sent[0]);
    r.received = calloc(SENDERS * r.count, sizeof r.received[0]);
    for (int i = 0; i < CHANNELS; i++) {
        r.channels[i] = weft_channel_create(sizeof(uint64_t), test_random(&state) % 4);
    }
    struct weft_options options = {.simulation = is_simulated, .seed = seed};
    run_case_with(&options, round_main, &r);
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_EQUAL(weft_channel_destroy(r.channels[i]), 0);
    }
    free((void *)r.sent);
    free((void *)r.received);
}

static void each_element_is_received_once(void **state)
{
    (void)state;
    uint64_t seeds = test_seed();
    for (size_t i = 0; test_goes_on(i, test_scaled(60, 20)); i++) {
        run_round(test_random(&seeds), i % 3 == 2);
    }
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_element_is_received_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

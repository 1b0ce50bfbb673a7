/* SPDX-License-Identifier: MIT */
/* What the explorer prints: a line for each scenario, and the trace of a failure. */
#ifndef WEFT_MODEL_REPORT_H
#define WEFT_MODEL_REPORT_H

static const char *mx_order_name(enum model_order order)
{
    static const char *const names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    return names[order];
}

static const char *mx_rmw_name(enum model_rmw rmw)
{
    static const char *const names[] = {"exchange", "add", "sub", "or", "and"};
    return names[rmw];
}

/* Small numbers, negative ones too, in decimal; what looks like an address in hexadecimal. */
static const char *mx_value_text(uint64_t value, size_t bytes)
{
    static char text[4][24];
    static unsigned next;
    char *t = text[next++ % 4];
    int64_t number = bytes == 8 ? (int64_t)value : bytes == 4 ? (int32_t)value : (int64_t)value;
    if (number > -1000000 && number < INT64_C(100000000)) {
        snprintf(t, sizeof(text[0]), "%lld", (long long)number);
    } else {
        snprintf(t, sizeof(text[0]), "0x%llx", (unsigned long long)value);
    }
    return t;
}

static void mx_event_text(const struct mx_event *e, char *text, size_t room)
{
    const struct mx_op *op = &e->op;
    size_t bytes = op->loc != NULL ? op->loc->bytes : 8;
    const char *buffered = e->is_buffered ? ", buffered" : "";
    switch (op->kind) {
    case MX_OP_LOAD:
        snprintf(text, room, "load %s: %s (%s)", op->place.text, mx_value_text(op->result, bytes),
                 mx_order_name(op->order));
        break;
    case MX_OP_STORE:
        snprintf(text, room, "store %s = %s (%s%s)", op->place.text, mx_value_text(e->value, bytes),
                 mx_order_name(op->order), buffered);
        break;
    case MX_OP_RMW:
        snprintf(text, room, "%s %s: %s -> %s (%s%s)", mx_rmw_name(op->rmw), op->place.text,
                 mx_value_text(op->result, bytes), mx_value_text(e->value, bytes),
                 mx_order_name(op->order), buffered);
        break;
    case MX_OP_CAS:
        snprintf(text, room, "cas %s: %s -> %s %s, was %s (%s%s)", op->place.text,
                 mx_value_text(op->expected, bytes), mx_value_text(op->operand, bytes),
                 op->succeeded ? "done" : "failed", mx_value_text(op->result, bytes),
                 mx_order_name(op->order), buffered);
        break;
    case MX_OP_DRAIN:
        snprintf(text, room, "  in memory: %s = %s", op->place.text,
                 mx_value_text(e->value, bytes));
        break;
    case MX_OP_CHOOSE:
        snprintf(text, room, "choose %llu", (unsigned long long)op->result);
        break;
    case MX_OP_RETIRE:
        snprintf(text, room, "retire %llu bytes at 0x%llx", (unsigned long long)op->operand,
                 (unsigned long long)op->expected);
        break;
    case MX_OP_HEAVY_BEGIN:
        snprintf(text, room, "barrier_heavy begins");
        break;
    case MX_OP_HEAVY_END:
        snprintf(text, room, "barrier_heavy ends");
        break;
    default:
        snprintf(text, room, "%s", op->place.text);
        break;
    }
}

enum { MX_TRACE_SHOWN = 200 };

/* The end of the execution that was run last. */
static void mx_report_trace(void)
{
    for (uint32_t i = mx.event_count > MX_TRACE_SHOWN ? mx.event_count - MX_TRACE_SHOWN : 0;
         i < mx.event_count; i++) {
        const struct mx_event *e = &mx.events[i];
        const char *file = e->op.place.file;
        char text[200];
        if (file != NULL && strrchr(file, '/') != NULL) {
            file = strrchr(file, '/') + 1;
        }
        mx_event_text(e, text, sizeof(text));
        printf("  %4u  %*sT%d %-60s %s:%d\n", i, 4 * e->thread, "", e->thread, text, file,
               e->op.place.line);
    }
}

static const char *mx_memory_name(enum model_memory memory)
{
    return memory == MODEL_SC ? "sc" : memory == MODEL_TSO ? "tso" : "weak";
}

static double mx_report_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct model_result mx_report_explore(const struct model_scenario *scenario)
{
    double start = mx_report_seconds();
    struct model_result r = model_explore(scenario);
    printf("%s [%s]: explored %llu executions, %llu states, %.2f s%s\n", scenario->name,
           mx_memory_name(scenario->memory), (unsigned long long)r.executions,
           (unsigned long long)r.states, mx_report_seconds() - start, r.failed ? ": " : "");
    return r;
}

int model_run(const struct model_scenario *scenario)
{
    struct model_result r = mx_report_explore(scenario);
    if (r.failed) {
        printf("FAILED: %s\n", r.rule);
        mx_report_trace();
    }
    fflush(stdout);
    return r.failed ? 1 : 0;
}

int model_finds(const struct model_scenario *scenario, const char *text)
{
    struct model_result r = mx_report_explore(scenario);
    bool found = r.failed && strstr(r.rule, text) != NULL;
    if (found) {
        printf("  found, as it should: %s\n", r.rule);
    } else if (r.failed) {
        printf("FAILED: expected '%s', found '%s'\n", text, r.rule);
        mx_report_trace();
    } else {
        printf("FAILED: expected '%s', found nothing\n", text);
    }
    fflush(stdout);
    return found ? 0 : 1;
}

#endif

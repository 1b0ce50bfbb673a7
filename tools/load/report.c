/* SPDX-License-Identifier: MIT */
/*
 * What a run found, for people and for programs. Rates are differences between the two snapshots
 * around the measured time; percentiles are of the replies that came within it.
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <unistd.h>

#include "load.h"

/* A lateness of the generator that spoils the figures: it is part of every latency. */
#define LATE_SPOILS_NS 1000000

/* What is worked out from the snapshots once, for both forms. */
struct figures {
    double seconds;
    uint64_t requests;
    double requests_per_s;
    double mbytes_per_s;
    double own_cores;
    double server_cpu_us; /* a request; negative: not known */
    double server_cores;
};

/* --- progress --------------------------------------------------------------------------------- */

void load_progress(const struct load_run *run, const char *format, ...)
{
    if (!run->options->progress) {
        return;
    }
    char line[200];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    /* On a terminal each line takes the place of the one before. */
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[K%s" : "%s\n", line);
}

void load_progress_end(const struct load_run *run)
{
    if (run->options->progress && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K");
    }
}

/* --- figures ---------------------------------------------------------------------------------- */

static void figures_read(const struct load_run *run, struct figures *f)
{
    const struct load_snapshot *a = &run->begin;
    const struct load_snapshot *b = &run->end;
    *f = (struct figures){.server_cpu_us = -1};
    f->seconds = (double)(b->at_ns - a->at_ns) / 1e9;
    f->requests = b->totals.done - a->totals.done;
    if (f->seconds <= 0) {
        return;
    }
    f->requests_per_s = (double)f->requests / f->seconds;
    f->mbytes_per_s = f->requests_per_s * (double)run->options->size_bytes / 1e6;
    f->own_cores = (double)(b->own_cpu_ns - a->own_cpu_ns) / 1e9 / f->seconds;
    if (a->server_cpu_ns >= 0 && b->server_cpu_ns >= 0 && f->requests > 0) {
        double cpu_ns = (double)(b->server_cpu_ns - a->server_cpu_ns);
        f->server_cpu_us = cpu_ns / 1e3 / (double)f->requests;
        f->server_cores = cpu_ns / 1e9 / f->seconds;
    }
}

/* Bytes that each idle connection added to the server's process; page tables are part of them. */
static double idle_bytes(const struct load_run *run, double *tables)
{
    const struct load_observation *a = &run->server_before;
    const struct load_observation *b = &run->server_with_idle;
    double count = run->idle_opened > 0 ? (double)run->idle_opened : 1;
    *tables = ((double)b->page_table_bytes - (double)a->page_table_bytes) / count;
    return ((double)b->rss_bytes - (double)a->rss_bytes) / count + *tables;
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_percentiles(const char *name, const struct histogram *h)
{
    printf("%-12s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f  mean %.1f us\n", name,
           (double)histogram_percentile(h, 50) / 1e3, (double)histogram_percentile(h, 90) / 1e3,
           (double)histogram_percentile(h, 99) / 1e3, (double)histogram_percentile(h, 99.9) / 1e3,
           (double)histogram_max(h) / 1e3, histogram_mean(h) / 1e3);
}

static void print_head(const struct load_run *run)
{
    const struct load_options *o = run->options;
    char name[CLI_ADDRESS_TEXT];
    cli_address_text(&o->targets[0], name);
    printf("%-12s %s%s\n", "target", name, o->target_count > 1 ? " and others" : "");
    printf("%-12s %u connections, %zu bytes, %u in flight each, ", "load", run->connected,
           o->size_bytes, o->pipeline);
    if (o->rate > 0) {
        printf("%.0f requests/s, latency from when each was due\n", o->rate);
    } else {
        printf("closed loop\n");
    }
    if (o->tls) {
        const char *agreed = load_tls_agreed();
        printf("%-12s %s\n", "TLS", *agreed != '\0' ? agreed : "no handshake succeeded");
    }
    if (run->connected < o->connections) {
        printf("%-12s %u of %u connections were opened\n", "", run->connected, o->connections);
    }
}

static void print_pace(const struct load_run *run)
{
    struct histogram *late = load_latenesses();
    if (late != NULL && histogram_count(late) > 0) {
        print_percentiles("own lateness", late);
        if (histogram_percentile(late, 99) > LATE_SPOILS_NS) {
            printf("%-12s the generator could not keep the pace: latencies are partly its own\n",
                   "");
        }
    }
    free(late);
    if (run->unsent > 0) {
        printf("%-12s %llu requests were due and never sent: the rate is beyond what the server"
               " takes\n",
               "", (unsigned long long)run->unsent);
    }
}

static void print_errors(const struct load_run *run)
{
    if (run->unanswered > 0) {
        printf("%-12s %llu requests\n", "unanswered", (unsigned long long)run->unanswered);
    }
    if (load_errors() == 0) {
        printf("%-12s none\n", "errors");
        return;
    }
    for (unsigned stage = 0; stage < LOAD_STAGES; stage++) {
        for (unsigned err = 0; err < LOAD_ERRNO_MAX; err++) {
            uint64_t n = load_error_count(stage, err);
            if (n > 0) {
                const char *name = err > 0 ? strerrorname_np((int)err) : "";
                printf("%-12s %s %s: %llu\n", "errors", load_stage_name(stage),
                       name != NULL ? name : "?", (unsigned long long)n);
            }
        }
    }
}

static void print_idle(const struct load_run *run)
{
    const struct load_options *o = run->options;
    if (o->idle == 0) {
        return;
    }
    printf("%-12s %u of %u opened and served, %u of them alive at the end\n", "idle",
           run->idle_opened, o->idle, run->idle_alive);
    if (!o->idle_report) {
        return;
    }
    double tables;
    double bytes = idle_bytes(run, &tables);
    printf("%-12s %.0f bytes of the server's memory each, %.0f of them page tables\n", "", bytes,
           tables);
    const struct load_observation *s[] = {&run->server_before, &run->server_with_idle,
                                          &run->server_after};
    static const char *const when[] = {"before", "with the idle ones", "when all are closed"};
    for (size_t i = 0; i < 3; i++) {
        printf("%-12s %-20s %8.1f MB resident, %6.1f MB page tables, %llu descriptors\n", "",
               when[i], (double)s[i]->rss_bytes / 1e6, (double)s[i]->page_table_bytes / 1e6,
               (unsigned long long)s[i]->descriptors);
    }
}

void load_report_text(const struct load_run *run)
{
    struct figures f;
    figures_read(run, &f);
    print_head(run);
    printf("%-12s %.0f /s, %.2f MB/s each way (%llu in %.2f s)\n", "requests", f.requests_per_s,
           f.mbytes_per_s, (unsigned long long)f.requests, f.seconds);
    struct histogram *h = load_latencies();
    if (h != NULL && histogram_count(h) > 0) {
        print_percentiles("latency", h);
    }
    free(h);
    print_pace(run);
    if (f.server_cpu_us >= 0) {
        printf("%-12s %.2f us CPU a request, %.2f cores\n", "server", f.server_cpu_us,
               f.server_cores);
    }
    printf("%-12s %.2f cores\n", "generator", f.own_cores);
    print_idle(run);
    print_errors(run);
    fflush(stdout);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_number(struct json_object *o, const char *key, double value)
{
    /* Three digits after the point say all that was measured, and keep the line readable. */
    char text[64];
    snprintf(text, sizeof text, "%.3f", value);
    json_object_object_add(o, key, json_object_new_double_s(value, text));
}

static void put_count(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_uint64(value));
}

static struct json_object *percentiles_object(struct histogram *h)
{
    struct json_object *o = json_object_new_object();
    if (h != NULL && o != NULL) {
        put_number(o, "mean", histogram_mean(h) / 1e3);
        put_number(o, "p50", (double)histogram_percentile(h, 50) / 1e3);
        put_number(o, "p90", (double)histogram_percentile(h, 90) / 1e3);
        put_number(o, "p99", (double)histogram_percentile(h, 99) / 1e3);
        put_number(o, "p999", (double)histogram_percentile(h, 99.9) / 1e3);
        put_number(o, "max", (double)histogram_max(h) / 1e3);
    }
    free(h);
    return o;
}

static struct json_object *errors_object(void)
{
    struct json_object *o = json_object_new_object();
    for (unsigned stage = 0; o != NULL && stage < LOAD_STAGES; stage++) {
        for (unsigned err = 0; err < LOAD_ERRNO_MAX; err++) {
            uint64_t n = load_error_count(stage, err);
            const char *name = err > 0 ? strerrorname_np((int)err) : NULL;
            char key[80];
            if (n > 0) {
                snprintf(key, sizeof key, name != NULL ? "%s %s" : "%s", load_stage_name(stage),
                         name);
                put_count(o, key, n);
            }
        }
    }
    return o;
}

static struct json_object *server_object(const struct load_run *run, const struct figures *f)
{
    struct json_object *o = json_object_new_object();
    if (o == NULL) {
        return NULL;
    }
    put_count(o, "pid", (uint64_t)run->options->pid);
    if (f->server_cpu_us >= 0) {
        put_number(o, "cpu_us_per_request", f->server_cpu_us);
        put_number(o, "cpu_cores", f->server_cores);
    }
    if (run->options->idle > 0) {
        double tables;
        put_number(o, "bytes_per_idle_connection", idle_bytes(run, &tables));
        put_number(o, "page_table_bytes_per_idle_connection", tables);
        put_count(o, "rss_bytes_before", run->server_before.rss_bytes);
        put_count(o, "rss_bytes_with_idle", run->server_with_idle.rss_bytes);
        put_count(o, "rss_bytes_after", run->server_after.rss_bytes);
        put_count(o, "descriptors_before", run->server_before.descriptors);
        put_count(o, "descriptors_with_idle", run->server_with_idle.descriptors);
        put_count(o, "descriptors_after", run->server_after.descriptors);
    }
    return o;
}

static void put_options(struct json_object *o, const struct load_run *run)
{
    char name[CLI_ADDRESS_TEXT];
    cli_address_text(&run->options->targets[0], name);
    json_object_object_add(o, "target", json_object_new_string(name));
    put_count(o, "connections", run->connected);
    put_count(o, "connections_wanted", run->options->connections);
    put_count(o, "size_bytes", run->options->size_bytes);
    put_count(o, "pipeline", run->options->pipeline);
    json_object_object_add(o, "connection", json_object_new_string(
        run->options->tls ? "TLS" : run->options->streams ? "stream"
        : run->options->protocol ? "callbacks" : "descriptor"));
    if (run->options->tls) {
        json_object_object_add(o, "tls_agreed", json_object_new_string(load_tls_agreed()));
    }
    put_number(o, "rate_per_s", run->options->rate);
    put_count(o, "idle_wanted", run->options->idle);
    put_count(o, "idle_opened", run->idle_opened);
    put_count(o, "idle_alive", run->idle_alive);
}

int load_report_json(const struct load_run *run)
{
    struct figures f;
    struct json_object *o = json_object_new_object();
    if (o == NULL) {
        return -ENOMEM;
    }
    figures_read(run, &f);
    put_options(o, run);
    put_number(o, "seconds", f.seconds);
    put_count(o, "requests", f.requests);
    put_number(o, "requests_per_s", f.requests_per_s);
    put_number(o, "mbytes_per_s", f.mbytes_per_s);
    put_count(o, "unanswered", run->unanswered);
    put_count(o, "unsent", run->unsent);
    put_number(o, "generator_cpu_cores", f.own_cores);
    json_object_object_add(o, "latency_us", percentiles_object(load_latencies()));
    if (run->options->rate > 0) {
        json_object_object_add(o, "own_lateness_us", percentiles_object(load_latenesses()));
    }
    if (run->options->pid > 0) {
        json_object_object_add(o, "server", server_object(run, &f));
    }
    json_object_object_add(o, "errors", errors_object());
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    int err = text != NULL && puts(text) >= 0 && fflush(stdout) == 0 ? 0 : -ENOMEM;
    json_object_put(o);
    return err;
}

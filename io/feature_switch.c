/* SPDX-License-Identifier: MIT */
/* Feature switch; see feature_switch.h. */
#include "feature_switch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring_features.h"

#define VARIABLE "WEFT_URING_DISABLE"

static const struct {
    const char *name;
    unsigned disable;
    uint64_t ops;
} switches[] = {
    {"defer_taskrun", WEFT_RING_WITHOUT_DEFER, 0},
    {"coop_taskrun", WEFT_RING_WITHOUT_COOP, 0},
    {"taskrun_flag", WEFT_RING_WITHOUT_TASKRUN_FLAG, 0},
    {"submit_all", WEFT_RING_WITHOUT_SUBMIT_ALL, 0},
    {"registered_fd", WEFT_RING_WITHOUT_REGISTERED_FD, 0},
    {"no_iowait", WEFT_RING_WITHOUT_NO_IOWAIT, 0},
    {"cqe_skip", WEFT_RING_WITHOUT_CQE_SKIP, 0},
    {"multishot_poll", WEFT_RING_WITHOUT_MULTISHOT_POLL, 0},
    {"multishot_accept", WEFT_RING_WITHOUT_MULTISHOT_ACCEPT, 0},
    {"multishot_recv", WEFT_RING_WITHOUT_MULTISHOT_RECV, 0},
    {"cancel_fd", WEFT_RING_WITHOUT_CANCEL_FD, 0},
    {"restrictions", WEFT_RING_WITHOUT_RESTRICTIONS, 0},
    {"ftruncate", 0, UINT64_C(1) << WEFT_OP_FTRUNCATE},
};

_Static_assert(WEFT_OP_FTRUNCATE < 64, "in the first word");

/* One name. False: there is no such. */
static bool switch_off(struct feature_switch *out, const char *name, size_t bytes)
{
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        if (strlen(switches[i].name) == bytes && memcmp(switches[i].name, name, bytes) == 0) {
            out->disable |= switches[i].disable;
            out->ops |= switches[i].ops;
            return true;
        }
    }
    return false;
}

int weft__feature_switch(struct feature_switch *out, char *why, size_t why_bytes)
{
    *out = (struct feature_switch){.disable = 0};
    const char *name = secure_getenv(VARIABLE);
    while (name != NULL && *name != '\0') {
        size_t bytes = strcspn(name, ",");
        if (bytes > 0 && !switch_off(out, name, bytes)) {
            (void)snprintf(why, why_bytes, VARIABLE " names a feature that there is none of: %.*s",
                           (int)(bytes < 40 ? bytes : 40), name);
            return -EINVAL;
        }
        name += bytes + (name[bytes] == ',');
    }
    return 0;
}

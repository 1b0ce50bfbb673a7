/* SPDX-License-Identifier: MIT */
/* Datagram endpoints: what was reported of datagrams that were sent; see udp.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

#include "check.h"
#include "udp.h"

/* The report in the control data of a message. */
static bool error_parse(struct msghdr *m, struct weft_udp_error *e)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        bool is_v4 = c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR;
        bool is_v6 = c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR;
        struct sock_extended_err what;
        if ((!is_v4 && !is_v6) || c->cmsg_len < CMSG_LEN(sizeof what)) {
            continue;
        }
        memcpy(&what, CMSG_DATA(c), sizeof what);
        e->error = -(int)what.ee_errno;
        e->origin = what.ee_origin;
        e->type = what.ee_type;
        e->code = what.ee_code;
        e->info = what.ee_info;
        size_t bytes = c->cmsg_len - CMSG_LEN(sizeof what);
        memcpy(&e->offender, CMSG_DATA(c) + sizeof what,
               bytes < sizeof e->offender ? bytes : sizeof e->offender);
        return true;
    }
    return false;
}

/* Take one report. False: there is none. Apart, as errno is the thread's. */
static WEFT_NOINLINE bool error_take(int fd, struct weft_udp_error *e)
{
    char control[512];
    memset(e, 0, sizeof *e);
    struct msghdr m = {
        .msg_name = &e->to,
        .msg_namelen = sizeof e->to,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    return recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0 && error_parse(&m, e);
}

int weft__udp_take_errors(weft_udp *u, int fd)
{
    struct weft_udp_error e;
    int first = 0;
    pthread_mutex_lock(&u->lock);
    while (error_take(fd, &e)) {
        first = first == 0 ? e.error : first;
        unsigned at = (u->error_first + u->error_count) % UDP_ERRORS_MAX;
        u->errors[at] = e;
        if (u->error_count < UDP_ERRORS_MAX) {
            u->error_count++;
        } else {
            u->error_first = (u->error_first + 1) % UDP_ERRORS_MAX;
        }
    }
    pthread_mutex_unlock(&u->lock);
    return first;
}

int weft_udp_error(weft_udp *u, struct weft_udp_error *error)
{
    pthread_mutex_lock(&u->lock);
    bool has_any = u->error_count > 0;
    if (has_any) {
        *error = u->errors[u->error_first];
        u->error_first = (u->error_first + 1) % UDP_ERRORS_MAX;
        u->error_count--;
    }
    pthread_mutex_unlock(&u->lock);
    return has_any ? 0 : -EAGAIN;
}

/* SPDX-License-Identifier: MIT */
/* Datagram endpoints: groups, addresses; plain system calls that do not wait. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "check.h"
#include "udp.h"

static WEFT_NOINLINE int set_option(int fd, int level, int name, const void *value, socklen_t bytes)
{
    return setsockopt(fd, level, name, value, bytes) < 0 ? -errno : 0;
}

static WEFT_NOINLINE int family_of(int fd)
{
    int family = 0;
    socklen_t bytes = sizeof family;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &bytes) < 0 ? -errno : family;
}

/* MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP serve both families. */
static int change_group(weft_udp *u, int name, const struct sockaddr *group, unsigned interface)
{
    struct group_req request = {.gr_interface = interface};
    bool is_v6 = group != NULL && group->sa_family == AF_INET6;
    if (group == NULL || family_of(u->fd) != group->sa_family ||
        (!is_v6 && group->sa_family != AF_INET)) {
        return -EINVAL;
    }
    memcpy(&request.gr_group, group,
           is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    return set_option(u->fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, name, &request, sizeof request);
}

int weft_udp_join(weft_udp *u, const struct sockaddr *group, unsigned interface)
{
    return change_group(u, MCAST_JOIN_GROUP, group, interface);
}

int weft_udp_leave(weft_udp *u, const struct sockaddr *group, unsigned interface)
{
    return change_group(u, MCAST_LEAVE_GROUP, group, interface);
}

int weft_udp_set_multicast_interface(weft_udp *u, unsigned interface)
{
    int index = (int)interface;
    struct ip_mreqn request = {.imr_ifindex = index};
    if (family_of(u->fd) == AF_INET6) {
        return set_option(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    }
    return set_option(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request);
}

int weft_udp_set_multicast_hops(weft_udp *u, unsigned hops)
{
    int value = (int)hops;
    if (hops > 255) {
        return -EINVAL;
    }
    return family_of(u->fd) == AF_INET6
               ? set_option(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &value, sizeof value)
               : set_option(u->fd, IPPROTO_IP, IP_MULTICAST_TTL, &value, sizeof value);
}

int weft_udp_set_multicast_loop(weft_udp *u, bool is_on)
{
    int value = is_on;
    return family_of(u->fd) == AF_INET6
               ? set_option(u->fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &value, sizeof value)
               : set_option(u->fd, IPPROTO_IP, IP_MULTICAST_LOOP, &value, sizeof value);
}

WEFT_NOINLINE int weft_udp_local(weft_udp *u, struct sockaddr *address, socklen_t *bytes)
{
    return getsockname(u->fd, address, bytes) < 0 ? -errno : 0;
}

WEFT_NOINLINE int weft_udp_peer(weft_udp *u, struct sockaddr *address, socklen_t *bytes)
{
    return getpeername(u->fd, address, bytes) < 0 ? -errno : 0;
}

int weft_udp_port(weft_udp *u)
{
    struct sockaddr_storage at;
    socklen_t bytes = sizeof at;
    at.ss_family = AF_UNSPEC;
    (void)weft_udp_local(u, (struct sockaddr *)&at, &bytes);
    if (at.ss_family == AF_INET) {
        return ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
    }
    return at.ss_family == AF_INET6
               ? ntohs(((const struct sockaddr_in6 *)(const void *)&at)->sin6_port)
               : 0;
}

int weft_udp_fd(const weft_udp *u)
{
    return u->fd;
}

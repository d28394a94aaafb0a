/* SPDX-License-Identifier: Apache-2.0 */
#include "net/server.h"

#include <stdio.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024

/* "host:port" or "[v6]:port". */
static enum status split_address(const char *address, char host[256], char port[8],
                                 struct error *err)
{
    struct str text = str_from(address);
    const char *colon = strrchr(address, ':');
    struct str name, number;
    int64_t value;

    if (colon == NULL)
        return error_set(err, STATUS_INVALID, "address '%s' lacks a port; write 127.0.0.1:8470",
                         address);
    name = str_slice(text, 0, (size_t)(colon - address));
    number = str_from(colon + 1);
    if (str_starts(name, STR("[")) && str_ends(name, STR("]")))
        name = str_slice(name, 1, name.len - 1);
    if (name.len == 0 || name.len > 255 || !str_to_int64(number, &value) || value < 0 ||
        value > 65535)
        return error_set(err, STATUS_INVALID, "address '%s' is no HOST:PORT", address);
    snprintf(host, 256, STR_FMT, STR_ARG(name));
    snprintf(port, 8, "%d", (int)value);
    return STATUS_OK;
}

static enum status resolve(const char *address, const char *host, const char *port,
                           struct addrinfo **out, struct error *err)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    int problem = getaddrinfo(host, port, &hints, out);

    if (problem != 0)
        return error_set(err, STATUS_INVALID, "address '%s': %s", address,
                         gai_strerror(problem));
    return STATUS_OK;
}

static enum status listen_one(const struct addrinfo *info, const char *address, int *out,
                              struct error *err)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return error_errno(err, errno, "make a socket for %s", address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
        *out = fd;
        return STATUS_OK;
    }
    if (errno == EADDRINUSE)
        error_set(err, STATUS_CONFLICT,
                  "%s is in use by another program; stop it or choose another with --listen",
                  address);
    else
        error_errno(err, errno, "listen on %s", address);
    close(fd);
    return err->status;
}

/* With SO_REUSEPORT a second server of the same user would share the port in silence. */
static enum status check_unused(const struct addrinfo *info, const char *address,
                                struct error *err)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    enum status status = STATUS_OK;

    if (fd < 0)
        return error_errno(err, errno, "make a socket for %s", address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) != 0 && errno == EADDRINUSE)
        status = error_set(
            err, STATUS_CONFLICT,
            "%s is in use by another program; stop it or choose another with --listen",
            address);
    close(fd);
    return status;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage name;
    socklen_t len = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0)
        return 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): getsockname has set it */
    return name.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&name)->sin6_port)
                                      : ntohs(((struct sockaddr_in *)&name)->sin_port);
}

/* The others of a port that the system chose. */
static void set_port(struct addrinfo *info, unsigned port)
{
    if (info->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)info->ai_addr)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)info->ai_addr)->sin_port = htons((uint16_t)port);
}

static enum status listen_all(struct addrinfo *info, const char *address, int *sockets,
                              size_t count, unsigned *port, struct error *err)
{
    size_t made = 0;

    TRY(check_unused(info, address, err));
    while (made < count && listen_one(info, address, &sockets[made], err) == STATUS_OK) {
        *port = port_of(sockets[made++]);
        set_port(info, *port);
    }
    if (made == count)
        return STATUS_OK;
    while (made > 0)
        close(sockets[--made]);
    return err->status;
}

enum status server_listen(const char *address, int *sockets, size_t count, unsigned *port,
                          struct error *err)
{
    char host[256], service[8];
    struct addrinfo *info;
    enum status status;

    TRY(split_address(address, host, service, err));
    TRY(resolve(address, host, service, &info, err));
    status = listen_all(info, address, sockets, count, port, err);
    freeaddrinfo(info);
    return status;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24) == 127;
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

bool server_address_is_loopback(const char *address)
{
    char host[256], service[8];
    struct addrinfo *info;
    struct error err;
    bool all = true;

    if (split_address(address, host, service, &err) != STATUS_OK ||
        resolve(address, host, service, &info, &err) != STATUS_OK)
        return false;
    for (const struct addrinfo *at = info; at != NULL; at = at->ai_next)
        all = all && is_loopback(at->ai_addr);
    freeaddrinfo(info);
    return all;
}

enum status server_socket_host(struct arena *arena, int socket, struct str *out,
                               struct error *err)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char host[NI_MAXHOST];
    int problem;

    if (getsockname(socket, (struct sockaddr *)&address, &len) != 0)
        return error_errno(err, errno, "ask a socket for its address");
    problem = getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), NULL, 0,
                          NI_NUMERICHOST);
    if (problem != 0)
        return error_set(err, STATUS_INTERNAL, "a socket's address: %s", gai_strerror(problem));
    *out = arena_str(arena, str_from(host));
    return STATUS_OK;
}

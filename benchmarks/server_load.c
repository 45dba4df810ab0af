/* A load generator for server.py: many keep-alive connections from one thread, without waiting between requests.
**
**     server_load PORT http|ws CONNECTIONS SECONDS IDS REQUEST [HELLO...]
**
** REQUEST names a file with the request as it goes over the wire; with `ws`, the text of a message, and HELLO files hold
** those that go first, each answered before the next is sent. `"@@@@@@@@@@"` in REQUEST is replaced by a random number
** from 1 to IDS, in quotes and padded with blanks, each time anew.
**
** Prints: requests, seconds, failures, bytes, the 50th, 90th, 99th percentile and maximum of the time of a request, and
** its own processor time, all in microseconds. A failure is a status other than 200 or an answer with "error" in it.
*/
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOLE "\"@@@@@@@@@@\""
#define MAX_LATENCIES (1 << 23)
#define FAILED "\"error\""

typedef struct {
    int fd;
    char *out;         /* the request, masked where it must be */
    char *in;
    size_t size;       /* of `in` */
    size_t have;       /* bytes of the answer */
    size_t whole;      /* bytes that the answer has; 0 while not known */
    int status;        /* of the answer; 0 for a WebSocket */
    uint64_t sent;
} Peer;

static char *request;  /* as given */
static size_t request_size, out_size, hole;
static int web_socket, ids;
static uint32_t *latencies;
static size_t done, failures, received;
static uint64_t state = 88172645463325252ull;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t number(uint32_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state % limit) + 1;
}

static char *contents(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    *size = (size_t)ftell(file);
    char *data = calloc(1, *size + 1);
    rewind(file);
    if (!data || fread(data, 1, *size, file) != *size) fail(path);
    fclose(file);
    return data;
}

/* A client's frame. The mask is zero, which leaves the payload as it is. */
static size_t frame(char *out, const char *text, size_t size) {
    size_t n = 0;
    out[n++] = (char)0x81;
    if (size < 126) {
        out[n++] = (char)(0x80 | size);
    } else if (size < 65536) {
        out[n++] = (char)(0x80 | 126);
        out[n++] = (char)(size >> 8);
        out[n++] = (char)size;
    } else {
        out[n++] = (char)(0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8) out[n++] = (char)((uint64_t)size >> shift);
    }
    memset(out + n, 0, 4);
    n += 4;
    memcpy(out + n, text, size);
    return n + size;
}

/* Bytes of the answer in `in`, once its head is there; 0 before. */
static size_t whole_size(Peer *peer) {
    const unsigned char *in = (const unsigned char *)peer->in;
    if (web_socket) {
        if (peer->have < 2) return 0;
        size_t size = in[1] & 127;
        if (size < 126) return 2 + size;
        int extra = size == 126 ? 2 : 8;
        if (peer->have < 2 + (size_t)extra) return 0;
        size = 0;
        for (int i = 0; i < extra; i++) size = size << 8 | in[2 + i];
        return 2 + (size_t)extra + size;
    }
    const char *end = memmem(peer->in, peer->have, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t body = 0;
    int known = 0;
    for (const char *line = peer->in; line < end;) {
        const char *next = memmem(line, (size_t)(end + 2 - line), "\r\n", 2);
        if (!strncasecmp(line, "content-length:", 15)) {
            body = strtoul(line + 15, NULL, 10);
            known = 1;
        }
        line = next + 2;
    }
    if (!known) {
        fprintf(stderr, "an answer without content-length:\n%.*s\n", (int)(end - peer->in), peer->in);
        exit(2);
    }
    peer->status = atoi(peer->in + 9);
    return (size_t)(end + 4 - peer->in) + body;
}

static void write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) fail("send");
        data += n;
        size -= (size_t)n;
    }
}

static void ask(Peer *peer) {
    if (ids) {
        char text[32];
        int n = snprintf(text, sizeof text, "\"%u\"", number((uint32_t)ids));
        char *at = peer->out + out_size - request_size + hole;
        memset(at, ' ', strlen(HOLE));
        memcpy(at, text, (size_t)n);
    }
    peer->have = peer->whole = 0;
    peer->sent = now();
    write_all(peer->fd, peer->out, out_size);
}

/* Read what is there; 1 once the answer is complete. */
static int take(Peer *peer) {
    for (;;) {
        if (peer->have + 65536 > peer->size) {
            peer->size = peer->size ? 2 * peer->size : 1 << 17;
            peer->in = realloc(peer->in, peer->size);
            if (!peer->in) fail("realloc");
        }
        ssize_t n = recv(peer->fd, peer->in + peer->have, peer->size - peer->have, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return 0;
        if (n <= 0) {
            fprintf(stderr, "the server closed a connection: %.*s\n", (int)peer->have, peer->in);
            exit(2);
        }
        peer->have += (size_t)n;
        if (!peer->whole) peer->whole = whole_size(peer);
        if (peer->whole && peer->have >= peer->whole) return 1;
    }
}

static void connect_peer(Peer *peer, int port, char **hellos, int count) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (peer->fd < 0 || connect(peer->fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    peer->out = malloc(request_size + 32);
    if (!peer->out) fail("malloc");
    if (!web_socket) {
        memcpy(peer->out, request, request_size);
        out_size = request_size;
        return;
    }
    static const char upgrade[] =
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: hrana3\r\n\r\n";
    char head[4096];
    size_t have = 0;
    write_all(peer->fd, upgrade, sizeof upgrade - 1);
    while (have < sizeof head && !memmem(head, have, "\r\n\r\n", 4)) {
        if (recv(peer->fd, head + have, 1, 0) != 1) fail("handshake");
        have++;
    }
    if (strncmp(head, "HTTP/1.1 101", 12)) fail("handshake");
    for (int i = 0; i < count; i++) {
        size_t size;
        char *text = contents(hellos[i], &size);
        char *out = malloc(size + 32);
        write_all(peer->fd, out, frame(out, text, size));
        peer->have = peer->whole = 0;
        while (!take(peer)) usleep(100);
        free(out);
        free(text);
    }
    out_size = frame(peer->out, request, request_size);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc < 7) return 2;
    int port = atoi(argv[1]), count = atoi(argv[3]);
    double seconds = atof(argv[4]);
    web_socket = !strcmp(argv[2], "ws");
    request = contents(argv[6], &request_size);
    ids = atoi(argv[5]);
    char *found = memmem(request, request_size, HOLE, strlen(HOLE));
    if (ids && !found) return 2;
    hole = found ? (size_t)(found - request) : 0;

    Peer *peers = calloc((size_t)count, sizeof *peers);
    latencies = malloc(MAX_LATENCIES * sizeof *latencies);
    int poll = epoll_create1(0);
    if (!peers || !latencies || poll < 0) fail("set up");
    for (int i = 0; i < count; i++) {
        connect_peer(&peers[i], port, argv + 7, argc - 7);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &peers[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, peers[i].fd, &event)) fail("epoll");
    }

    uint64_t start = now(), end = start + (uint64_t)(seconds * 1e9);
    int waiting = count;
    for (int i = 0; i < count; i++) ask(&peers[i]);
    while (waiting) {
        struct epoll_event events[64];
        int n = epoll_wait(poll, events, 64, 30000);
        if (n == 0) {
            fprintf(stderr, "no answer for 30 seconds\n");
            return 2;
        }
        for (int i = 0; i < n; i++) {
            Peer *peer = events[i].data.ptr;
            if (!take(peer)) continue;
            uint64_t at = now();
            if (done < MAX_LATENCIES) latencies[done] = (uint32_t)((at - peer->sent) / 1000);
            done++;
            received += peer->whole;
            if ((!web_socket && peer->status != 200) || memmem(peer->in, peer->whole, FAILED, strlen(FAILED))) {
                if (!failures++) fprintf(stderr, "%.*s\n", peer->whole < 1000 ? (int)peer->whole : 1000, peer->in);
            }
            if (at < end) ask(peer);
            else waiting--;
        }
    }
    double took = (double)(now() - start) / 1e9;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double own = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6;
    own += (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    size_t kept = done < MAX_LATENCIES ? done : MAX_LATENCIES;
    qsort(latencies, kept, sizeof *latencies, compare);
    printf("%zu %.6f %zu %zu %u %u %u %u %.0f\n", done, took, failures, received, latencies[kept / 2],
           latencies[kept * 9 / 10], latencies[kept * 99 / 100], latencies[kept - 1], own);
    return 0;
}

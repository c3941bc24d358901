/* The floor that the broker is measured against: a select loop that understands frames and nothing else.
   Every frame is passed on to all other connections, and its sender gets a fixed frame back. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ROOM (4 << 20)

static struct { unsigned char *data; size_t used; } input[FD_SETSIZE];

static void put(int fd, const void *data, size_t size) {
    for (const char *at = data; size > 0;) {
        ssize_t sent = write(fd, at, size);
        if (sent <= 0) return;
        at += sent;
        size -= (size_t)sent;
    }
}

int main(int argc, char **argv) {
    static const char answer[] = "\0\0\0\x14{\"type\":\"delivered\"}";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), top = listener;
    fd_set all;
    if (argc < 2) return 2;
    signal(SIGPIPE, SIG_IGN);
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) return 1;
    FD_ZERO(&all);
    FD_SET(listener, &all);
    for (;;) {
        fd_set ready = all;
        if (select(top + 1, &ready, NULL, NULL, NULL) < 0) return 1;
        for (int fd = 0; fd <= top; fd++) {
            if (!FD_ISSET(fd, &ready)) continue;
            if (fd == listener) {
                int client = accept(listener, NULL, NULL);
                input[client].data = input[client].data ? input[client].data : malloc(ROOM);
                input[client].used = 0;
                FD_SET(client, &all);
                if (client > top) top = client;
                continue;
            }
            ssize_t got = read(fd, input[fd].data + input[fd].used, ROOM - input[fd].used);
            if (got <= 0) {
                FD_CLR(fd, &all);
                close(fd);
                continue;
            }
            input[fd].used += (size_t)got;
            size_t start = 0;
            while (input[fd].used - start >= 4) {
                unsigned char *frame = input[fd].data + start;
                size_t size = 4 + ((size_t)frame[0] << 24 | frame[1] << 16 | frame[2] << 8 | frame[3]);
                if (input[fd].used - start < size) break;
                for (int other = 0; other <= top; other++)
                    if (other != fd && other != listener && FD_ISSET(other, &all)) put(other, frame, size);
                put(fd, answer, sizeof answer - 1);
                start += size;
            }
            memmove(input[fd].data, input[fd].data + start, input[fd].used - start);
            input[fd].used -= start;
        }
    }
}

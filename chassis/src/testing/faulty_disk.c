/* A disk that fails on demand: while a file with the name of a fault is in $FAULT_CONTROL, system calls on files below
 * $FAULT_FOLDER fail. While there is a file `trace`, each call that makes changes durable is noted in it after it was
 * done. Tests load this into a service by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_switched_on(const char *fault) {
    char path[PATH_MAX];
    const char *control = getenv("FAULT_CONTROL");
    if (!control) return 0;
    snprintf(path, sizeof path, "%s/%s", control, fault);
    return access(path, F_OK) == 0;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void trace(const char *call, const char *path) {
    char file[PATH_MAX];
    if (!is_switched_on("trace")) return;
    snprintf(file, sizeof file, "%s/trace", getenv("FAULT_CONTROL"));
    int fd = open(file, O_WRONLY | O_APPEND);
    if (fd < 0) return;
    dprintf(fd, "%s %s\n", call, last_part(path));
    close(fd);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
    return length > 0;
}

static int is_ours(int fd) {
    char path[PATH_MAX];
    const char *folder = getenv("FAULT_FOLDER");
    if (!folder || !path_of(fd, path)) return 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int fd) {
    if (!is_ours(fd)) return 0;
    if (is_switched_on("full")) { errno = ENOSPC; return 1; }
    if (is_switched_on("broken")) { errno = EIO; return 1; }
    return 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    /* The first half still fits, as on a real disk that fills up. */
    if (fails(fd)) return count > 32 ? next(fd, bytes, count / 2) : -1;
    return next(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static ssize_t (*next)(int, const struct iovec *, int);
    if (!next) next = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    return fails(fd) ? -1 : next(fd, parts, count);
}

/* SQLite writes by pwrite64; a page is written whole or not at all. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    return fails(fd) ? -1 : next(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    return fails(fd) ? -1 : next(fd, bytes, count, at);
}

static int fails_to_sync(int fd) {
    if (!is_ours(fd)) return 0;
    while (is_switched_on("stall")) usleep(1000);
    if (is_switched_on("slow")) usleep(600 * 1000);
    if (is_switched_on("fsync")) { errno = EIO; return 1; }
    return 0;
}

int fsync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (fails_to_sync(fd)) return -1;
    int outcome = next(fd);
    char path[PATH_MAX];
    if (is_ours(fd) && path_of(fd, path)) trace("fsync", path);
    return outcome;
}

int rename(const char *from, const char *to) {
    static int (*next)(const char *, const char *);
    if (!next) next = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    int outcome = next(from, to);
    trace("rename", to);
    return outcome;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails_to_sync(fd) ? -1 : next(fd);
}

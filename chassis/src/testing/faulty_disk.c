/* A disk that fails on demand: while a file with the name of a fault is in $FAULT_CONTROL, system calls on files below
 * $FAULT_FOLDER fail. While there is a file `trace`, each call that makes changes durable is noted in it after it was
 * done. $FAULT_CALLS fails calls by their number. Tests load this into a service by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
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

static int is_ours_by_path(const char *path) {
    const char *folder = getenv("FAULT_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

/* $FAULT_CALLS is a list of "KIND FIRST LAST ERRNO;": of the calls of a kind, counted from 1, those from FIRST to LAST fail. */
#define RULES_MAX 4
static struct { char kind[16]; long first, last; int error; atomic_long calls; } rules[RULES_MAX];

__attribute__((constructor)) static void read_rules(void) {
    const char *text = getenv("FAULT_CALLS");
    for (int n = 0; text && n < RULES_MAX; n++) {
        if (sscanf(text, "%15s %ld %ld %d", rules[n].kind, &rules[n].first, &rules[n].last, &rules[n].error) != 4) abort();
        text = strchr(text, ';');
        if (text && !*++text) break;
    }
}

/* Whether this call of a kind fails; notes it in the file `reached`. */
static int fails_by_number(const char *kind) {
    for (int n = 0; n < RULES_MAX; n++) {
        if (strcmp(kind, rules[n].kind) != 0) continue;
        long call = atomic_fetch_add(&rules[n].calls, 1) + 1;
        if (call < rules[n].first || call > rules[n].last) continue;
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/reached", getenv("FAULT_CONTROL"));
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd >= 0) close(fd);
        errno = rules[n].error;
        return 1;
    }
    return 0;
}

static int fails(int fd) {
    if (!is_ours(fd)) return 0;
    if (fails_by_number("write")) return 1;
    if (is_switched_on("full")) { errno = ENOSPC; return 1; }
    if (is_switched_on("broken")) { errno = EIO; return 1; }
    return 0;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!fails(fd)) return next(fd, bytes, count);
    /* The first half still fits, as on a real disk that fills up. */
    int error = errno, all_fail = is_switched_on("full") || is_switched_on("broken");
    ssize_t half = count > 32 ? next(fd, bytes, count / 2) : -1;
    errno = error;
    /* Where only this call fails, the next one would write the rest. */
    return all_fail ? half : -1;
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
    if (fails_by_number("fsync")) return 1;
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
    if (is_ours_by_path(to) && fails_by_number("rename")) return -1;
    int outcome = next(from, to);
    trace("rename", to);
    return outcome;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return fails_to_sync(fd) ? -1 : next(fd);
}

int unlink(const char *path) {
    static int (*next)(const char *);
    if (!next) next = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    return is_ours_by_path(path) && fails_by_number("unlink") ? -1 : next(path);
}

/* Rust cuts files by ftruncate64 and opens them by open64, SQLite too. */
int ftruncate64(int fd, off64_t length) {
    static int (*next)(int, off64_t);
    if (!next) next = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    return is_ours(fd) && fails_by_number("truncate") ? -1 : next(fd, length);
}

int open64(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (is_ours_by_path(path)) {
        if (fails_by_number("open")) return -1;
        if (flags & O_CREAT && access(path, F_OK) != 0 && fails_by_number("create")) return -1;
    }
    return next(path, flags, mode);
}

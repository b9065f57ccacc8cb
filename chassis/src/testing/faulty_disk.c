/* A disk that fails on demand: while a file with the name of a fault is in $FAULT_CONTROL, system calls on files below
 * $FAULT_FOLDER fail. While there is a file `trace`, each call that makes changes durable is noted in it after it was
 * done. $FAULT_CALLS fails calls by their number. Every call is recorded in $FAULT_RECORDING, so that a test can tell what
 * a power loss would have left. Tests load this into a service by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    for (int n = 0; text && *text && n < RULES_MAX; n++) {
        if (sscanf(text, "%15s %ld %ld %d", rules[n].kind, &rules[n].first, &rules[n].last, &rules[n].error) != 4) abort();
        text = strchr(text, ';');
        if (text) text++;
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

/* The recording has a line for each call that succeeded, and for each fsync; after that of a write come its bytes. A call and
 * its line are done under a lock, so that the lines are in the order of the calls. */
static int recording = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void record(const char *line, const void *bytes, size_t count) {
    struct iovec parts[] = {{(void *)line, strlen(line)}, {(void *)bytes, count}};
    if (recording >= 0 && writev(recording, parts, 2) < 0) abort();
}

__attribute__((constructor)) static void start_recording(void) {
    const char *path = getenv("FAULT_RECORDING");
    if (!path) return;
    recording = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (recording < 0) abort();
    record("start\n", NULL, 0);
}

/* A signal that ends the process may cut a write to the recording. So it is killed here, between two calls. */
static void begin(void) {
    if (recording < 0) return;
    pthread_mutex_lock(&order);
    if (is_switched_on("crash")) kill(getpid(), SIGKILL);
}

static void end(int error) {
    if (recording >= 0) pthread_mutex_unlock(&order);
    errno = error;
}

/* A write where `at` is -1 goes to the end, or to where the one before it ended. */
static void record_write(int fd, off64_t at, const void *bytes, ssize_t count) {
    char line[96];
    snprintf(line, sizeof line, "write %d %lld %zd\n", fd, (long long)at, count);
    if (count > 0) record(line, bytes, count);
}

static void record_number(const char *call, int fd, long long number) {
    char line[96];
    snprintf(line, sizeof line, "%s %d %lld\n", call, fd, number);
    record(line, NULL, 0);
}

/* The name of a file in the folder; that of the folder itself is empty. */
static const char *name_of(const char *path) {
    const char *name = path + strlen(getenv("FAULT_FOLDER"));
    return *name == '/' ? name + 1 : name;
}

static void record_names(const char *call, const char *first, const char *second) {
    char line[2 * PATH_MAX + 16];
    snprintf(line, sizeof line, "%s %s%s%s\n", call, name_of(first), second ? "\t" : "", second ? name_of(second) : "");
    record(line, NULL, 0);
}

/* Whether a write makes a file longer. Where it does not, a full disk has room for it. */
static int needs_room(int fd, size_t count) {
    struct stat file;
    off64_t at = fcntl(fd, F_GETFL) & O_APPEND ? -1 : lseek64(fd, 0, SEEK_CUR);
    return at < 0 || fstat(fd, &file) != 0 || at + (off64_t)count > file.st_size;
}

static int fails(int fd) {
    if (!is_ours(fd)) return 0;
    if (fails_by_number("write")) return 1;
    if (is_switched_on("full")) { errno = ENOSPC; return 1; }
    if (is_switched_on("broken")) { errno = EIO; return 1; }
    return 0;
}

void abort(void) {
    begin();
    signal(SIGABRT, SIG_DFL);
    for (;;) raise(SIGABRT);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (!is_ours(fd)) return next(fd, bytes, count);
    begin();
    int has_failed = fails(fd) && (errno != ENOSPC || needs_room(fd, count));
    int error = errno, all_fail = is_switched_on("full") || is_switched_on("broken");
    /* The first half still fits, as on a real disk that fills up. */
    ssize_t written = !has_failed ? next(fd, bytes, count) : count > 32 ? next(fd, bytes, count / 2) : -1;
    if (!has_failed) error = errno;
    record_write(fd, -1, bytes, written);
    end(error);
    /* Where only this call fails, the next one would write the rest. */
    return has_failed && !all_fail ? -1 : written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static ssize_t (*next)(int, const struct iovec *, int);
    if (!next) next = (ssize_t (*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
    if (recording >= 0 && is_ours(fd)) abort(); /* Not recorded: no store does this. */
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
    if (!is_ours(fd)) return next(fd, bytes, count, at);
    begin();
    ssize_t written = fails(fd) ? -1 : next(fd, bytes, count, at);
    int error = errno;
    record_write(fd, at, bytes, written);
    end(error);
    return written;
}

static int fails_to_sync(void) {
    if (fails_by_number("fsync")) return 1;
    if (is_switched_on("fsync")) { errno = EIO; return 1; }
    return 0;
}

static int sync_by(int (*next)(int), int fd) {
    if (!is_ours(fd)) return next(fd);
    while (is_switched_on("stall")) usleep(1000);
    if (is_switched_on("slow")) usleep(600 * 1000);
    begin();
    int outcome = fails_to_sync() ? -1 : next(fd), error = errno;
    record_number("sync", fd, outcome == 0);
    end(error);
    return outcome;
}

int fsync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int outcome = sync_by(next, fd);
    char path[PATH_MAX];
    if (outcome == 0 && is_ours(fd) && path_of(fd, path)) trace("fsync", path);
    return outcome;
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return sync_by(next, fd);
}

int rename(const char *from, const char *to) {
    static int (*next)(const char *, const char *);
    if (!next) next = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    int ours = is_ours_by_path(to);
    begin();
    int outcome = ours && fails_by_number("rename") ? -1 : next(from, to), error = errno;
    if (ours && outcome == 0) record_names("rename", from, to);
    if (outcome == 0) trace("rename", to);
    end(error);
    return outcome;
}

int unlink(const char *path) {
    static int (*next)(const char *);
    if (!next) next = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    if (!is_ours_by_path(path)) return next(path);
    begin();
    int outcome = fails_by_number("unlink") ? -1 : next(path), error = errno;
    if (outcome == 0) record_names("unlink", path, NULL);
    end(error);
    return outcome;
}

/* Rust cuts files by ftruncate64 and opens them by open64, SQLite too. */
int ftruncate64(int fd, off64_t length) {
    static int (*next)(int, off64_t);
    if (!next) next = (int (*)(int, off64_t))dlsym(RTLD_NEXT, "ftruncate64");
    if (!is_ours(fd)) return next(fd, length);
    begin();
    int outcome = fails_by_number("truncate") ? -1 : next(fd, length), error = errno;
    if (outcome == 0) record_number("truncate", fd, length);
    end(error);
    return outcome;
}

int open64(const char *path, int flags, ...) {
    static int (*next)(const char *, int, ...);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (!is_ours_by_path(path)) return next(path, flags, mode);
    begin();
    int creates = flags & O_CREAT && access(path, F_OK) != 0;
    int has_failed = fails_by_number("open") || (creates && fails_by_number("create"));
    int fd = has_failed ? -1 : next(path, flags, mode), error = errno;
    if (fd >= 0) {
        char call[32];
        snprintf(call, sizeof call, "open %d %s%s%s-", fd, creates ? "c" : "", flags & O_TRUNC ? "t" : "", flags & O_APPEND ? "a" : "");
        record_names(call, path, NULL);
    }
    end(error);
    return fd;
}

/* A disk that can be filled and broken: while the file $DISK_FULL exists, writes to files below $DISK_FOLDER fail with
   ENOSPC; while $DISK_BROKEN exists, fsync of them fails with EIO. Preloaded into the program by its tests. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *control) {
    char link[64], path[4096];
    const char *folder = getenv("DISK_FOLDER"), *file = getenv(control);
    if (!folder || !file || access(file, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

#define FAIL_IF(control, error) if (fails(fd, control)) { errno = error; return -1; }
#define REAL(name, type) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *data, size_t count) {
    FAIL_IF("DISK_FULL", ENOSPC)
    return REAL("write", ssize_t (*)(int, const void *, size_t))(fd, data, count);
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) {
    FAIL_IF("DISK_FULL", ENOSPC)
    return REAL("pwrite", ssize_t (*)(int, const void *, size_t, off_t))(fd, data, count, at);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) {
    FAIL_IF("DISK_FULL", ENOSPC)
    return REAL("pwrite64", ssize_t (*)(int, const void *, size_t, off64_t))(fd, data, count, at);
}
int fsync(int fd) {
    FAIL_IF("DISK_BROKEN", EIO)
    return REAL("fsync", int (*)(int))(fd);
}
int fdatasync(int fd) {
    FAIL_IF("DISK_BROKEN", EIO)
    return REAL("fdatasync", int (*)(int))(fd);
}

/* Makes system calls on files below a folder fail, and moves the clock, as a control file says.

   cc -shared -fPIC -o shim.so fault_shim.c -ldl; LD_PRELOAD=shim.so SHIM_CONTROL=file SHIM_ROOT=folder program

   The control file holds three native 64-bit numbers, mapped and read at each call: a set of calls (bits below), the
   number of the error, and seconds to add to the wall clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, MKDIR = 16, LINK = 32, UNLINK = 64, READ = 128 };

static volatile long *control;
static const char *root;
static size_t length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SHIM_CONTROL");
    root = getenv("SHIM_ROOT");
    if (!path || !root) return;
    length = strlen(root);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *at = mmap(NULL, 3 * sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) control = at;
}

static int fails(int call, const char *path) {
    if (!control || !(control[0] & call) || !path || strncmp(path, root, length)) return 0;
    if (control[1] == EINTR) {
        /* A call that is interrupted is repeated, for ever if it always is. */
        static unsigned count;
        if (__atomic_fetch_add(&count, 1, __ATOMIC_RELAXED) & 1) return 0;
    }
    errno = (int)control[1];
    return 1;
}

static int fails_fd(int call, int fd) {
    char link[64], path[PATH_MAX];
    if (!control || !(control[0] & call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got < 0) return 0;
    path[got] = 0;
    return fails(call, path);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define WRITES(flags) ((flags) & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC) ? OPEN : READ)
#define MODE int mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, int); va_end(l); }

int open(const char *path, int flags, ...) { REAL(open); MODE; return fails(WRITES(flags), path) ? -1 : real(path, flags, mode); }
int open64(const char *path, int flags, ...) { REAL(open64); MODE; return fails(WRITES(flags), path) ? -1 : real(path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { REAL(openat); MODE; return fails(WRITES(flags), path) ? -1 : real(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { REAL(openat64); MODE; return fails(WRITES(flags), path) ? -1 : real(at, path, flags, mode); }
ssize_t write(int fd, const void *data, size_t count) { REAL(write); return fails_fd(WRITE, fd) ? -1 : real(fd, data, count); }
ssize_t pwrite64(int fd, const void *data, size_t count, off64_t at) { REAL(pwrite64); return fails_fd(WRITE, fd) ? -1 : real(fd, data, count, at); }
ssize_t pwrite(int fd, const void *data, size_t count, off_t at) { REAL(pwrite); return fails_fd(WRITE, fd) ? -1 : real(fd, data, count, at); }
int fsync(int fd) { REAL(fsync); return fails_fd(SYNC, fd) ? -1 : real(fd); }
int fdatasync(int fd) { REAL(fdatasync); return fails_fd(SYNC, fd) ? -1 : real(fd); }
int rename(const char *from, const char *to) { REAL(rename); return fails(RENAME, to) ? -1 : real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); return fails(RENAME, to) ? -1 : real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); return fails(LINK, to) ? -1 : real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); return fails(LINK, to) ? -1 : real(a, from, b, to, flags); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); return fails(MKDIR, path) ? -1 : real(path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { REAL(mkdirat); return fails(MKDIR, path) ? -1 : real(at, path, mode); }
int unlink(const char *path) { REAL(unlink); return fails(UNLINK, path) ? -1 : real(path); }
int unlinkat(int at, const char *path, int flags) { REAL(unlinkat); return fails(UNLINK, path) ? -1 : real(at, path, flags); }
int clock_gettime(clockid_t clock, struct timespec *out) {
    REAL(clock_gettime);
    int got = real(clock, out);
    if (!got && control && clock == CLOCK_REALTIME) out->tv_sec += control[2];
    return got;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

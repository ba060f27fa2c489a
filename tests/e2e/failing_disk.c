/* A disk that fails on command, preloaded into the daemon under test.
 *
 * FAILING_DISK_DIR names the folder whose files it holds, FAILING_DISK_SWITCHES a folder
 * outside it. While the switch `hang` is there, fsync and fdatasync do not return. While
 * `full` is there, its number is the disk's size in bytes: what would grow a file beyond it is
 * refused with ENOSPC, and statvfs tells what is left.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int has_switch(const char *name, char *path) {
    const char *folder = getenv("FAILING_DISK_SWITCHES");
    if (folder == NULL) return 0;
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static int is_here(int file) {
    char link[64], path[PATH_MAX];
    const char *folder = getenv("FAILING_DISK_DIR");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (folder == NULL || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static long long used_bytes(const char *folder) {
    long long sum = 0;
    DIR *listing = opendir(folder);
    struct dirent *entry;
    if (listing == NULL) return 0;
    while ((entry = readdir(listing)) != NULL) {
        struct stat found;
        if (fstatat(dirfd(listing), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(found.st_mode))
            sum += found.st_size;
    }
    closedir(listing);
    return sum;
}

/* How many bytes may still be written; LLONG_MAX where the disk is as large as it likes. */
static long long room_bytes(void) {
    char path[PATH_MAX];
    long long size = -1;
    if (!has_switch("full", path)) return LLONG_MAX;
    FILE *file = fopen(path, "r");
    if (file == NULL) return LLONG_MAX;
    if (fscanf(file, "%lld", &size) != 1) size = -1;
    fclose(file);
    if (size < 0) return LLONG_MAX;
    long long left = size - used_bytes(getenv("FAILING_DISK_DIR"));
    return left > 0 ? left : 0;
}

static int is_refused(int file, long long end) {
    struct stat found;
    if (!is_here(file) || fstat(file, &found) != 0 || end <= found.st_size) return 0;
    if (end - found.st_size <= room_bytes()) return 0;
    errno = ENOSPC;
    return 1;
}

static void wait_while_hung(int file) {
    char path[PATH_MAX];
    while (is_here(file) && has_switch("hang", path)) usleep(5000);
}

int fsync(int file) {
    wait_while_hung(file);
    return REAL(fsync)(file);
}

int fdatasync(int file) {
    wait_while_hung(file);
    return REAL(fdatasync)(file);
}

ssize_t write(int file, const void *bytes, size_t count) {
    off_t at = lseek(file, 0, SEEK_CUR);
    if (at >= 0 && is_refused(file, (long long)at + count)) return -1;
    return REAL(write)(file, bytes, count);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    if (is_refused(file, (long long)at + count)) return -1;
    return REAL(pwrite)(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    if (is_refused(file, (long long)at + count)) return -1;
    return REAL(pwrite64)(file, bytes, count, at);
}

int ftruncate(int file, off_t size) {
    if (is_refused(file, size)) return -1;
    return REAL(ftruncate)(file, size);
}

int ftruncate64(int file, off64_t size) {
    if (is_refused(file, size)) return -1;
    return REAL(ftruncate64)(file, size);
}

int posix_fallocate(int file, off_t at, off_t length) {
    if (is_refused(file, (long long)at + length)) return ENOSPC;
    return REAL(posix_fallocate)(file, at, length);
}

int posix_fallocate64(int file, off64_t at, off64_t length) {
    if (is_refused(file, (long long)at + length)) return ENOSPC;
    return REAL(posix_fallocate64)(file, at, length);
}

int statvfs(const char *path, struct statvfs *found) {
    int outcome = REAL(statvfs)(path, found);
    long long room = room_bytes();
    const char *folder = getenv("FAILING_DISK_DIR");
    if (outcome == 0 && room != LLONG_MAX && folder != NULL &&
        strncmp(path, folder, strlen(folder)) == 0)
        found->f_bavail = room / found->f_frsize;
    return outcome;
}

int statvfs64(const char *path, struct statvfs64 *found) {
    int outcome = REAL(statvfs64)(path, found);
    long long room = room_bytes();
    const char *folder = getenv("FAILING_DISK_DIR");
    if (outcome == 0 && room != LLONG_MAX && folder != NULL &&
        strncmp(path, folder, strlen(folder)) == 0)
        found->f_bavail = room / found->f_frsize;
    return outcome;
}

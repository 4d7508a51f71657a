// SPDX-License-Identifier: GPL-2.0-only
#include "pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"

#define BPFFS "/sys/fs/bpf"
#define LAYOUT "layout-"
#define UNFINISHED "-new" /* no dot: bpffs takes none in names */
#define HEADER "header"	  /* in every layout: how the tracker is found */
/* A child of a daemon that was killed dies after it, and has the lock until then. */
#define LOCK_TRIES 50
#define LOCK_PAUSE_US 20000
#define PIN_PATH (PATH_MAX + 32)

static bool is_bpffs(const char *folder)
{
	struct statfs found;

	return !statfs(folder, &found) && found.f_type == BPF_FS_MAGIC;
}

/* The folder that `folder` is made in. */
static int parent_check(const char *folder)
{
	char copy[PATH_MAX];
	const char *parent;

	if (strlen(folder) >= sizeof(copy))
		return -ENAMETOOLONG;
	parent = dirname(strcpy(copy, folder));
	if (is_bpffs(parent))
		return 0;
	if (strcmp(parent, BPFFS))
		return -ENODEV;
	return mount("bpf", BPFFS, "bpf", 0, "mode=0700") ? -errno : 0;
}

/* One try. -EAGAIN: somebody has it, or has taken the folder away meanwhile. */
static int lock_try(const char *folder, int *ret_lock)
{
	_cleanup_close_ int lock = -1;
	struct stat held, named;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return -errno;
	lock = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (lock < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (!is_bpffs(folder))
		return -ENODEV;
	if (fstat(lock, &held))
		return -errno;
	/* In a file system that everybody may write to, anybody may have been here first. */
	if (held.st_uid != geteuid() || held.st_mode & 022)
		return -EPERM;
	if (flock(lock, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (stat(folder, &named) || held.st_ino != named.st_ino || held.st_dev != named.st_dev)
		return -EAGAIN;
	*ret_lock = take_fd(lock);
	return 0;
}

int pins_lock(const char *folder, int *ret_lock)
{
	int err = parent_check(folder);

	for (int i = 0; !err; i++) {
		err = lock_try(folder, ret_lock);
		if (err != -EAGAIN)
			break;
		if (i >= LOCK_TRIES)
			return -EBUSY;
		err = 0;
		usleep(LOCK_PAUSE_US);
	}
	return err;
}

/* Of our layout. */
static void layout_path(const char *folder, const char *suffix, char ret_path[PATH_MAX])
{
	snprintf(ret_path, PATH_MAX, "%s/" LAYOUT "%u%s", folder, MT_LAYOUT, suffix);
}

int pins_find(const char *folder, uint32_t *ret_id)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	char path[PATH_MAX];
	_cleanup_close_ int map = -1;

	layout_path(folder, "/" HEADER, path);
	map = bpf_obj_get(path);
	if (map < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(map, &info, &size))
		return -errno;
	*ret_id = info.id;
	return 0;
}

static int fd_pin(const char *folder, const char *kind, int number, int fd)
{
	char path[PIN_PATH];

	if (fd < 0)
		return 0; /* not needed on this kernel */
	snprintf(path, sizeof(path), "%s/%s-%d", folder, kind, number);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

/* The header last: who finds it finds the rest. */
static int fds_pin(const char *folder, const struct tracker *tracker)
{
	char path[PIN_PATH];
	int err = 0;

	for (int i = 0; i < MT_MAPS && !err; i++)
		err = fd_pin(folder, "map", i, tracker->maps[i]);
	for (int i = 0; i < MT_PROGS && !err; i++)
		err = fd_pin(folder, "program", i, tracker->progs[i]);
	for (int i = 0; i < MT_LINKS_MAX && !err; i++)
		err = fd_pin(folder, "link", i, tracker->links[i]);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/" HEADER, folder);
	return bpf_obj_pin(tracker->header_map, path) ? -errno : 0;
}

/* Empties a folder of one layout; `inside` is its name in `folder`. */
static int layout_remove(int folder, const char *inside)
{
	int fd = openat(folder, inside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int err = 0;

	if (!entries) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	while (!err && (entry = readdir(entries)))
		if (entry->d_name[0] != '.' && unlinkat(dirfd(entries), entry->d_name, 0))
			err = -errno;
	closedir(entries);
	if (!err && unlinkat(folder, inside, AT_REMOVEDIR))
		err = -errno;
	return err;
}

int pins_make(const char *folder, struct tracker *tracker)
{
	_cleanup_close_ int inside = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char unfinished[PATH_MAX], path[PATH_MAX];
	int err;

	layout_path(folder, UNFINISHED, unfinished);
	layout_path(folder, "", path);
	/* What one has left that was killed in the middle of it. */
	err = layout_remove(inside, strrchr(unfinished, '/') + 1);
	if (err && err != -ENOENT)
		return err;
	if (mkdir(unfinished, 0700))
		return -errno;
	err = tracker_keep(tracker);
	if (!err)
		err = fds_pin(unfinished, tracker);
	if (!err && rename(unfinished, path))
		err = -errno;
	if (err)
		layout_remove(inside, strrchr(unfinished, '/') + 1);
	return err;
}

static bool is_other(const char *name)
{
	char own[PATH_MAX];
	size_t length = strlen(name), suffix = strlen(UNFINISHED);

	layout_path("", "", own);
	return !strncmp(name, LAYOUT, strlen(LAYOUT)) && length < PINS_LAYOUT &&
	       strcmp(name, own + 1) && strcmp(name + length - suffix, UNFINISHED);
}

int pins_find_other(const char *folder, char ret_name[PINS_LAYOUT])
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	int err = entries ? -ENOENT : -errno;

	while (err == -ENOENT && entries && (entry = readdir(entries)))
		if (is_other(entry->d_name)) {
			memcpy(ret_name, entry->d_name, strlen(entry->d_name) + 1);
			err = 0;
		}
	if (entries)
		closedir(entries);
	return err;
}

int pins_remove_layout(const char *folder, const char *name)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : layout_remove(fd, name);
}

int pins_remove(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	int count = 0, err = 0;

	if (!entries) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err == -ENOENT ? 0 : err;
	}
	while (!err && (entry = readdir(entries))) {
		if (strncmp(entry->d_name, LAYOUT, strlen(LAYOUT)))
			continue;
		err = layout_remove(dirfd(entries), entry->d_name);
		count++;
	}
	closedir(entries);
	if (!err && rmdir(folder))
		err = -errno;
	return err ? err : count;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "smaps.h"

#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

/* Pages of tmpfs files, memfds, System V segments and shared anonymous memory count as
 * shmem; the path tells, except on a tmpfs (the root of an initramfs is one). */
static bool is_shmem(char *path)
{
	char *name = strrchr(path, '/');
	struct statfs fs;

	if (!strncmp(path, "/memfd:", 7) || !strncmp(path, "/SYSV", 5) ||
	    !strncmp(path, "/dev/zero", 9))
		return true;
	if (path[0] != '/')
		return false;
	/* A deleted file's directory is still there. */
	name[name == path] = '\0';
	return !statfs(path, &fs) && fs.f_type == TMPFS_MAGIC;
}

struct mapping {
	bool shmem;
	long long rss, anonymous, swap;
};

static void mapping_add(const struct mapping *mapping, int64_t *bytes)
{
	bytes[MT_ANON] += mapping->anonymous;
	bytes[mapping->shmem ? MT_SHMEM : MT_FILE] += mapping->rss - mapping->anonymous;
	if (!mapping->shmem)
		bytes[MT_SWAP] += mapping->swap;
}

int smaps_read(pid_t pid, pid_t tid, int64_t ret_bytes[MT_KINDS])
{
	struct mapping mapping = {};
	char name[64], line[512], path[256];
	long long kib;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/task/%d/smaps", pid, tid);
	file = fopen(name, "re");
	if (!file)
		return -1;
	memset(ret_bytes, 0, sizeof(int64_t) * MT_KINDS);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Rss: %lld", &kib) == 1) {
			mapping.rss = kib * 1024;
		} else if (sscanf(line, "Anonymous: %lld", &kib) == 1) {
			mapping.anonymous = kib * 1024;
		} else if (sscanf(line, "Swap: %lld", &kib) == 1) {
			mapping.swap = kib * 1024;
		} else if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' ')) {
			mapping_add(&mapping, ret_bytes);
			memset(&mapping, 0, sizeof(mapping));
			path[0] = '\0';
			sscanf(line, "%*s %*s %*s %*s %*s %255s", path);
			mapping.shmem = is_shmem(path);
		}
	}
	mapping_add(&mapping, ret_bytes);
	fclose(file);
	return 0;
}

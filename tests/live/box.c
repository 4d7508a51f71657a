// SPDX-License-Identifier: GPL-2.0-only
#include "box.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

#define INITIAL_NAMESPACE 4026531835UL /* PROC_CGROUP_INIT_INO */

bool hierarchy_find(char ret_folder[128], bool *ret_v1)
{
	char folder[128], type[32], options[256];
	FILE *mounts = fopen("/proc/mounts", "re");
	bool found = false, v1 = false;

	while (mounts && !v1 &&
	       fscanf(mounts, "%*s %127s %31s %255s %*d %*d", folder, type, options) == 3) {
		v1 = !strcmp(type, "cgroup") && strstr(options, "memory");
		if (!v1 && strcmp(type, "cgroup2"))
			continue;
		strcpy(ret_folder, folder);
		found = true;
	}
	if (mounts)
		fclose(mounts);
	*ret_v1 = v1;
	return found;
}

/* Says whether the kernel took it. */
static bool file_write(const char *folder, const char *file, const char *text)
{
	char name[512];
	FILE *stream;
	bool failed;

	snprintf(name, sizeof(name), "%s/%s", folder, file);
	stream = fopen(name, "r+e");
	if (!stream)
		return false;
	failed = fputs(text, stream) < 0;
	return !fclose(stream) && !failed;
}

static bool hierarchy_open(char ret_folder[128], bool *ret_v1)
{
	struct stat own;

	if (stat("/proc/self/ns/cgroup", &own) || own.st_ino != INITIAL_NAMESPACE ||
	    !hierarchy_find(ret_folder, ret_v1) || access(ret_folder, W_OK))
		return false;
	return *ret_v1 || file_write(ret_folder, "cgroup.subtree_control", "+memory");
}

bool box_can_be_made(void)
{
	char folder[128];
	bool v1;

	return hierarchy_open(folder, &v1);
}

void box_open(struct box *box, const char *below)
{
	char folder[128];
	bool v1;

	memset(box, 0, sizeof(*box));
	if (!hierarchy_open(folder, &v1))
		return;
	snprintf(box->folder, sizeof(box->folder), "%s/memtree-test-box%d", folder, getpid());
	/* Version 2: only a cgroup without processes can have it on for those below. */
	if (*below && !v1)
		file_write(box->folder, "cgroup.subtree_control", "+memory");
	strncat(box->folder, below, sizeof(box->folder) - strlen(box->folder) - 1);
	box->path = box->folder + strlen(folder);
	box->usage = v1 ? "memory.usage_in_bytes" : "memory.current";
	box->limit = v1 ? "memory.limit_in_bytes" : "memory.max";
	box->dirty = v1 ? "total_dirty" : "file_dirty";
	if (mkdir(box->folder, 0755))
		box->folder[0] = '\0';
}

/* A cgroup is free some time after its last process was reaped. */
void box_close(struct box *box)
{
	for (int i = 0; box->folder[0] && i < 5000 && rmdir(box->folder) && errno == EBUSY; i++)
		usleep(2000);
	box->folder[0] = '\0';
}

void box_enter(const struct box *box, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	assert_true(file_write(box->folder, "cgroup.procs", text));
}

void box_write(const struct box *box, const char *file, const char *text)
{
	char name[320];

	snprintf(name, sizeof(name), "%s/%s", box->folder, file);
	if (!access(name, F_OK))
		assert_true(file_write(box->folder, file, text));
}

uint64_t box_number(const struct box *box, const char *file)
{
	unsigned long long number = 0;
	char name[320];
	FILE *stream;

	snprintf(name, sizeof(name), "%s/%s", box->folder, file);
	stream = fopen(name, "re");
	assert_non_null(stream);
	assert_int_equal(fscanf(stream, "%llu", &number), 1);
	fclose(stream);
	return number;
}

uint64_t box_stat(const struct box *box, const char *line)
{
	unsigned long long number = 0;
	char name[320], key[64];
	bool found = false;
	FILE *stream;

	snprintf(name, sizeof(name), "%s/memory.stat", box->folder);
	stream = fopen(name, "re");
	assert_non_null(stream);
	while (!found && fscanf(stream, "%63s %llu", key, &number) == 2)
		found = !strcmp(key, line);
	fclose(stream);
	assert_true(found);
	return number;
}

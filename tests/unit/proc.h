/* SPDX-License-Identifier: GPL-2.0-only */
/* A folder that poses as /proc, made of plain files; and the lines they are made of. */
#ifndef MEMTREE_TEST_PROC_H
#define MEMTREE_TEST_PROC_H

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "procfs.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT 1024
#define PAGE sysconf(_SC_PAGESIZE)

/* What follows the name, as a 6.x kernel writes it: 52 fields in all. */
#define AFTER_STATE                                                             \
	" 7 100 90 0 -1 4194304 1 2 3 4 11 22 33 44 20 0 3 0 5555 4096000 250 " \
	"18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
#define AFTER_NAME " S" AFTER_STATE

/* What begins a mapping in smaps, its path a trap. */
#define HEAD "7f56c177c000-7f56c177d000 rw-p 00010000 08:02 40371558   /lib/a b: Rss: 9 kB\n"

struct fixture {
	char path[sizeof("/tmp/memtree-procfs-XXXXXX")];
	struct procfs procfs;
};

static inline int fixture_make(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	strcpy(fixture->path, "/tmp/memtree-procfs-XXXXXX");
	assert_non_null(mkdtemp(fixture->path));
	assert_int_equal(procfs_open(fixture->path, &fixture->procfs), 0);
	*state = fixture;
	return 0;
}

static inline int entry_remove(const char *path, const struct stat *stat, int type,
			       struct FTW *where)
{
	return remove(path);
}

static inline int fixture_remove(void **state)
{
	struct fixture *fixture = *state;

	procfs_close(&fixture->procfs);
	nftw(fixture->path, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(fixture);
	return 0;
}

/* Makes the folders above it, too. */
static inline void file_put(const struct fixture *fixture, const char *name, const void *bytes,
			    size_t length)
{
	char path[PATH_MAX];
	FILE *file;

	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(path, sizeof(path), "%s/%.*s", fixture->path, (int)(slash - name), name);
		assert_true(!mkdir(path, 0700) || errno == EEXIST);
	}
	snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static inline void text_put(const struct fixture *fixture, const char *name, const char *text)
{
	file_put(fixture, name, text, strlen(text));
}

static inline void folder_put(const struct fixture *fixture, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static inline void link_put(const struct fixture *fixture, const char *name, const char *target)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
	assert_int_equal(symlink(target, path), 0);
}

static inline void process_put(const struct fixture *fixture, int pid, char how)
{
	char name[TEXT], text[TEXT];

	snprintf(name, sizeof(name), "%d/stat", pid);
	snprintf(text, sizeof(text), "%d (p%d) %c" AFTER_STATE, pid, pid, how);
	text_put(fixture, name, text);
}

static inline void thread_put(const struct fixture *fixture, int pid, int tid, char how)
{
	char name[TEXT], text[TEXT];

	snprintf(name, sizeof(name), "%d/task/%d/stat", pid, tid);
	snprintf(text, sizeof(text), "%d (t) %c" AFTER_STATE, tid, how);
	text_put(fixture, name, text);
}

#endif /* MEMTREE_TEST_PROC_H */

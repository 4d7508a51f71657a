/* SPDX-License-Identifier: GPL-2.0-only */
/* A folder of a test's own, with files in it. */
#ifndef FOLDER_H
#define FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_PATH 512

struct folder {
	char path[64];
};

/* Its name within `folder`, in one of few static buffers. */
static inline const char *folder_path(const struct folder *folder, const char *name)
{
	static char paths[4][FOLDER_PATH];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, FOLDER_PATH, "%s/%s", folder->path, name);
	return path;
}

static inline void folder_make(struct folder *folder)
{
	const char *base = getenv("TMPDIR");

	snprintf(folder->path, sizeof(folder->path), "%.30s/memtree-unit-XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(folder->path))
		abort();
}

static inline void folder_write_bytes(const struct folder *folder, const char *name,
				      const void *bytes, size_t length)
{
	int fd = open(folder_path(folder, name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || close(fd))
		abort();
}

static inline void folder_write(const struct folder *folder, const char *name, const char *text)
{
	folder_write_bytes(folder, name, text, strlen(text));
}

/* All of it, one level of folders deep at most. */
static inline void folder_remove(const char *path)
{
	DIR *folder = opendir(path);
	const struct dirent *entry;
	char inner[FOLDER_PATH];

	while (folder && (entry = readdir(folder))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(inner, sizeof(inner), "%.200s/%.255s", path, entry->d_name);
		if (unlink(inner))
			folder_remove(inner);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

#endif /* FOLDER_H */

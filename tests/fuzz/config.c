// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a configuration: it is taken or refused in one line, and what is taken prints as
 * what reads as the same. For libFuzzer: make fuzz-config.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_make(void)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0600))
		abort();
	return fd;
}

static void file_fill(int fd, const void *bytes, size_t size)
{
	if (ftruncate(fd, 0) || pwrite(fd, bytes, size, 0) != (ssize_t)size)
		abort();
}

/* By a path, as the daemon reads it: the links of /proc open the file anew. */
static int file_read(int fd, struct config *config, char *why)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return config_read(path, true, config, why);
}

static void check_prints_as_itself(int fd, const struct config *config)
{
	char *yaml = NULL, why[CONFIG_WHY];
	size_t length = 0;
	FILE *out = open_memstream(&yaml, &length);
	struct config again;

	if (!out || config_print(config, out) || fclose(out))
		abort();
	file_fill(fd, yaml, length);
	if (file_read(fd, &again, why)) {
		fprintf(stderr, "%s\n%s", why, yaml);
		abort();
	}
	again.tree.said = config->tree.said;
	if (memcmp(&again, config, sizeof(again))) {
		fprintf(stderr, "another configuration:\n%s", yaml);
		abort();
	}
	free(yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct config config;
	char why[CONFIG_WHY] = "";

	if (fd < 0)
		fd = file_make();
	config_default(&config);
	file_fill(fd, data, size);
	if (!file_read(fd, &config, why))
		check_prints_as_itself(fd, &config);
	else if (!why[0] || strpbrk(why, "\n\r"))
		abort();
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
#include "board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "talk.h"

void *board_create(size_t size, int *ret_fd)
{
	int fd = memfd_create("board", 0);
	void *board = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, (off_t)size))
		board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED) {
		talk_error(-errno, "no board: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	*ret_fd = fd;
	return board;
}

void *board_join(const char *fd, size_t size)
{
	void *board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(fd), 0);

	if (board == MAP_FAILED)
		exit(EXIT_FAILED);
	return board;
}

void board_free(void *board, size_t size, int fd)
{
	if (!board)
		return;
	munmap(board, size);
	close(fd);
}

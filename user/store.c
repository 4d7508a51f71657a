// SPDX-License-Identifier: GPL-2.0-only
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

struct store {
	char *path, *path_before; /* PATH and PATH.1 */
	uint64_t generation;	  /* bytes that one may have */
	int fd;			  /* of PATH for appending, -1: not open */
	struct stat identity;	  /* of it, when it was opened */
	uint64_t length;
	bool torn; /* it ends within a line */
	struct store_counts counts;
	const char *failed;   /* the step that did; static */
	int told;	      /* the errno that store_complaint has handed out, 0: none */
	uint64_t lost_before; /* lines that were lost before this trouble */
	char complaint[512];
};

/* --- the file ------------------------------------------------------------------------------ */

/* Returns `err`. */
static int step_fail(struct store *store, const char *step, int err)
{
	store->failed = step;
	return err;
}

/* The folder alone, not the way to it. */
static void folder_make(const char *path)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!slash || slash == folder)
		return;
	*slash = '\0';
	/* Whatever came of it shows when the file is opened. */
	(void)!mkdir(folder, 0700);
}

/* Of whoever may have put it there: a file of ours alone, whose content we may trust. */
static int file_check(int fd, struct stat *ret_status)
{
	if (fstat(fd, ret_status))
		return -errno;
	if (!S_ISREG(ret_status->st_mode))
		return -EINVAL;
	if (ret_status->st_uid != geteuid() || ret_status->st_nlink > 1)
		return -EPERM;
	if ((ret_status->st_mode & 07777) != 0600 && fchmod(fd, 0600))
		return -errno;
	return 0;
}

/* Neither a link nor a pipe is followed or waited for. Returns the fd or a negative errno. */
static int file_open(const char *path, int flags, struct stat *ret_status)
{
	_cleanup_close_ int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				      0600);
	int err;

	if (fd < 0)
		return -errno;
	err = file_check(fd, ret_status);
	return err ? err : take_fd(fd);
}

static void file_leave(struct store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	store->fd = -1;
}

/* Whether it ends within a line, as after a power loss. */
static bool is_torn(int fd, uint64_t length)
{
	char last;

	return length && (pread(fd, &last, 1, (off_t)length - 1) != 1 || last != '\n');
}

static int file_enter(struct store *store)
{
	struct stat status;
	int fd;

	folder_make(store->path);
	fd = file_open(store->path, O_RDWR | O_APPEND | O_CREAT, &status);
	if (fd == -ELOOP || fd == -EINVAL || fd == -EPERM)
		return step_fail(store, "is no plain file of this user's alone: move it away", fd);
	if (fd < 0)
		return step_fail(store, "cannot be opened", fd);
	store->fd = fd;
	store->identity = status;
	store->length = (uint64_t)status.st_size;
	store->torn = is_torn(fd, store->length);
	return 0;
}

/* Somebody may have moved or removed it, or put something else in its place: what is written
 * then goes to where the path leads now. */
static bool is_still_it(const struct store *store)
{
	struct stat status;

	return !lstat(store->path, &status) && status.st_dev == store->identity.st_dev &&
	       status.st_ino == store->identity.st_ino && status.st_nlink == 1;
}

static int file_get(struct store *store)
{
	struct stat status;

	if (store->fd >= 0 && !is_still_it(store))
		file_leave(store);
	if (store->fd < 0)
		return file_enter(store);
	/* Somebody may have cut it, too. */
	if (!fstat(store->fd, &status) && (uint64_t)status.st_size != store->length) {
		store->length = (uint64_t)status.st_size;
		store->torn = is_torn(store->fd, store->length);
	}
	return 0;
}

/* By rename, so that at any moment both paths hold whole generations. */
static int rotate(struct store *store)
{
	if (rename(store->path, store->path_before))
		return step_fail(store, "cannot be renamed to PATH.1", -errno);
	file_leave(store);
	store->counts.rotations++;
	return file_enter(store);
}

int store_open(const char *path, uint64_t bytes, struct store **ret_store)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return -ENOMEM;
	store->fd = -1;
	store->path = strdup(path);
	if (asprintf(&store->path_before, "%s.1", path) < 0)
		store->path_before = NULL;
	if (!store->path || !store->path_before) {
		store_close(store);
		return -ENOMEM;
	}
	store_resize(store, bytes);
	store->counts.error = file_get(store);
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	file_leave(store);
	free(store->path);
	free(store->path_before);
	free(store);
}

void store_resize(struct store *store, uint64_t bytes)
{
	store->generation = bytes / 2;
}

/* --- writing ------------------------------------------------------------------------------- */

/* A part of a line is worse than none: it is taken back, or ended by the next one. */
static int line_write(struct store *store, const char *line, size_t length)
{
	ssize_t written = write(store->fd, line, length);
	int err = written < 0 ? -errno : -ENOSPC;

	if (written == (ssize_t)length) {
		store->length += length;
		return 0;
	}
	if (written > 0 && ftruncate(store->fd, (off_t)store->length)) {
		store->length += (uint64_t)written;
		store->torn = true;
	}
	return step_fail(store, "cannot be written", err);
}

static int torn_end(struct store *store)
{
	int err = store->torn ? line_write(store, "\n", 1) : 0;

	if (!err)
		store->torn = false;
	return err;
}

static int line_append(struct store *store, const char *line)
{
	size_t length = line ? strlen(line) : 0;
	int err;

	if (!line)
		return step_fail(store, "got a verdict that could not be built", -ENOMEM);
	if (length > store->generation)
		return step_fail(store, "is too small for a verdict: raise log-size", -EFBIG);
	err = file_get(store);
	if (!err && store->length && store->length + store->torn + length > store->generation)
		err = rotate(store);
	if (!err)
		err = torn_end(store);
	return err ? err : line_write(store, line, length);
}

int store_append(struct store *store, const char *line)
{
	struct store_counts *counts = &store->counts;
	int err = line_append(store, line);

	if (err && !counts->error)
		store->lost_before = counts->lost;
	if (err)
		counts->lost++;
	else
		counts->written++;
	counts->error = err;
	return err;
}

const char *store_complaint(struct store *store)
{
	const struct store_counts *counts = &store->counts;

	if (counts->error == store->told)
		return NULL;
	if (counts->error)
		snprintf(store->complaint, sizeof(store->complaint),
			 "the log of verdicts %.256s %s: %s; why answers from memory alone "
			 "meanwhile, and what is lost is counted",
			 store->path, store->failed, strerror(-counts->error));
	else
		snprintf(store->complaint, sizeof(store->complaint),
			 "the log of verdicts %.256s is written again; lines lost: %llu",
			 store->path, (unsigned long long)(counts->lost - store->lost_before));
	store->told = counts->error;
	return store->complaint;
}

const struct store_counts *store_counts(const struct store *store)
{
	return &store->counts;
}

/* --- reading back -------------------------------------------------------------------------- */

/* The last bytes of a file, at most `room` of them. */
struct tail {
	char *bytes;
	size_t length;
	bool cut; /* it begins within a line, or may do so */
};

static int tail_fill(int fd, uint64_t from, size_t length, struct tail *tail)
{
	ssize_t got;

	tail->bytes = malloc(length + 1);
	if (!tail->bytes)
		return -ENOMEM;
	while (tail->length < length) {
		got = pread(fd, tail->bytes + tail->length, length - tail->length,
			    (off_t)(from + tail->length));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		tail->length += (size_t)got;
	}
	return 0;
}

/* A file that is not there is empty. */
static int tail_read(const char *path, uint64_t room, struct tail *ret_tail)
{
	struct stat status;
	_cleanup_close_ int fd = file_open(path, O_RDONLY, &status);
	uint64_t from;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	from = (uint64_t)status.st_size > room ? (uint64_t)status.st_size - room : 0;
	ret_tail->cut = from;
	return tail_fill(fd, from, (size_t)((uint64_t)status.st_size - from), ret_tail);
}

/* Line by line; what stands behind the last newline is torn. */
static void tail_restore(struct store *store, const struct tail *tail, struct journal *journal)
{
	const char *line = tail->bytes, *end = tail->bytes + tail->length, *newline;
	bool skip = tail->cut;

	for (; line && line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		if (!skip && newline && journal_restore(journal, line, (size_t)(newline - line)))
			store->counts.restored++;
		else if (!skip && newline != line)
			store->counts.garbage++;
		skip = false;
		if (!newline)
			return;
	}
}

int store_restore(struct store *store, struct journal *journal, uint64_t bytes_max)
{
	struct tail now = {}, before = {};
	int err = tail_read(store->path, bytes_max, &now), err_before;

	err_before = tail_read(store->path_before, bytes_max - now.length, &before);
	tail_restore(store, &before, journal);
	tail_restore(store, &now, journal);
	free(before.bytes);
	free(now.bytes);
	return err ? err : err_before;
}

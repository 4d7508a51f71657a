// SPDX-License-Identifier: GPL-2.0-only
#include "listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define WAITING_MAX 128 /* connections that the kernel keeps until they are accepted */
#define ACCEPTED_MAX 16 /* in one go: others on the loop have their turn */
#define RETRY_S 1	/* after one could not be accepted */

struct listener {
	int fd;
	gid_t gid;
	bool root_only;
	struct sockaddr_un address; /* sun_path[0] is NUL: abstract */
	dev_t dev;		    /* of the path, while it is ours */
	ino_t ino;
	struct event *readable, *retry;
	listener_fn on_connection;
	void *context;
};

/* --- who it is ------------------------------------------------------------------------------ */

/* As it was when the peer connected. */
static bool is_member(int fd, gid_t gid, const struct ucred *peer)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 0;

	if (peer->gid == gid)
		return true;
	/* Asked with no room it says how much it needs. */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (size_t i = 0; i < size / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

static enum listener_rights rights_of(const struct listener *listener, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return LISTENER_NONE;
	if (!peer.uid)
		return LISTENER_CHANGES;
	if (listener->root_only)
		return LISTENER_NONE;
	return listener->gid == LISTENER_ANYBODY || is_member(fd, listener->gid, &peer)
		       ? LISTENER_READS
		       : LISTENER_NONE;
}

/* --- connections ---------------------------------------------------------------------------- */

static void on_readable(evutil_socket_t listening, short what, void *context)
{
	const struct timeval pause = {.tv_sec = RETRY_S};
	struct listener *listener = context;

	(void)what;
	for (int i = 0; i < ACCEPTED_MAX; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			listener->on_connection(listener->context, fd, rights_of(listener, fd));
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		/* No descriptor is left: else the loop would spin. */
		if (errno != EAGAIN) {
			event_del(listener->readable);
			event_add(listener->retry, &pause);
		}
		return;
	}
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	event_add(listener->readable, NULL);
}

/* --- opening and closing -------------------------------------------------------------------- */

static struct listener *listener_new(listener_fn on_connection, void *context)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->on_connection = on_connection;
	listener->context = context;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd >= 0)
		return listener;
	free(listener);
	return NULL;
}

static int listener_start(struct listener *listener, struct event_base *loop)
{
	if (listen(listener->fd, WAITING_MAX))
		return -errno;
	listener->retry = evtimer_new(loop, on_retry, listener);
	listener->readable = event_new(loop, listener->fd, EV_READ | EV_PERSIST, on_readable,
				       listener);
	return listener->retry && listener->readable && !event_add(listener->readable, NULL)
		       ? 0
		       : -ENOMEM;
}

int listener_open(struct event_base *loop, const struct sockaddr_un *address, socklen_t length,
		  listener_fn on_connection, void *context, struct listener **ret_listener)
{
	struct listener *listener = listener_new(on_connection, context);
	int err;

	if (!listener)
		return -ENOMEM;
	listener->root_only = true;
	err = bind(listener->fd, (const struct sockaddr *)address, length) ? -errno : 0;
	if (!err)
		err = listener_start(listener, loop);
	if (err) {
		listener_close(listener);
		return err;
	}
	*ret_listener = listener;
	return 0;
}

/* The folder that `path` lies in; made when it is not there. */
static int folder_prepare(const char *path, struct refusal *why)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	struct stat found;
	int err = 0;

	if (!folder)
		return refusal_fail(why, -ENOMEM, "out of memory");
	if (!slash || slash == folder)
		return refusal_fail(why, -EINVAL,
				    "the socket %.90s needs a folder of its own: "
				    "/run/memtree/socket",
				    path);
	*slash = '\0';
	/* Whatever the umask is. */
	if (!mkdir(folder, 0755))
		err = chmod(folder, 0755) ? -errno : 0;
	else if (errno != EEXIST)
		err = -errno;
	if (err || stat(folder, &found))
		return refusal_fail(why, err ? err : -errno, "the folder %.90s cannot be made: %s",
				    folder, strerror(err ? -err : errno));
	if ((found.st_uid && found.st_uid != geteuid()) ||
	    (found.st_mode & (S_IWGRP | S_IWOTH) && !(found.st_mode & S_ISVTX)))
		return refusal_fail(why, -EPERM,
				    "others than root may write in %.90s, and could take the "
				    "socket's place: choose another folder",
				    folder);
	return 0;
}

/* Whether somebody listens there; -EAGAIN is one who has much to do. */
static bool is_listened(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
			   errno == EAGAIN);
}

static int place_clear(const struct sockaddr_un *address, struct refusal *why)
{
	struct stat found;

	if (lstat(address->sun_path, &found))
		return errno == ENOENT ? 0
				       : refusal_fail(why, -errno, "%s cannot be looked at: %s",
						      address->sun_path, strerror(errno));
	if (!S_ISSOCK(found.st_mode))
		return refusal_fail(why, -EEXIST,
				    "%s is there and is no socket: remove it, or choose another "
				    "path",
				    address->sun_path);
	if (is_listened(address))
		return refusal_fail(why, -EADDRINUSE,
				    "somebody listens on %s already: is another memtree daemon "
				    "running?",
				    address->sun_path);
	if (unlink(address->sun_path) && errno != ENOENT)
		return refusal_fail(why, -errno, "the old socket %s cannot be removed: %s",
				    address->sun_path, strerror(errno));
	return 0;
}

/* Nobody can connect before it listens. */
static int place_take(struct listener *listener, gid_t gid, struct refusal *why)
{
	const char *path = listener->address.sun_path;
	bool anybody = gid == LISTENER_ANYBODY;
	struct stat found;

	if (bind(listener->fd, (const struct sockaddr *)&listener->address,
		 sizeof(listener->address)))
		return refusal_fail(why, -errno, "the socket %s cannot be made: %s", path,
				    strerror(errno));
	if (lstat(path, &found) || (!anybody && lchown(path, (uid_t)-1, gid)) ||
	    chmod(path, anybody ? 0666 : 0660))
		return refusal_fail(why, -errno,
				    "the socket %s cannot be given to its group (%u): %s", path,
				    (unsigned int)gid, strerror(errno));
	listener->dev = found.st_dev;
	listener->ino = found.st_ino;
	listener->gid = gid;
	return 0;
}

int listener_open_path(struct event_base *loop, const char *path, gid_t gid,
		       listener_fn on_connection, void *context, struct listener **ret_listener,
		       struct refusal *ret_refusal)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct listener *listener;
	int err;

	if (strlen(path) >= sizeof(address.sun_path))
		return refusal_fail(ret_refusal, -ENAMETOOLONG,
				    "the path of a socket has at most %zu bytes: %.90s...",
				    sizeof(address.sun_path) - 1, path);
	strcpy(address.sun_path, path);
	err = folder_prepare(path, ret_refusal);
	if (!err)
		err = place_clear(&address, ret_refusal);
	if (err)
		return err;
	listener = listener_new(on_connection, context);
	if (!listener)
		return refusal_fail(ret_refusal, -errno, "no socket can be made: %s",
				    strerror(errno));
	listener->address = address;
	err = place_take(listener, gid, ret_refusal);
	if (!err) {
		err = listener_start(listener, loop);
		if (err)
			refusal_fail(ret_refusal, err, "%s cannot be listened on: %s", path,
				     strerror(-err));
	}
	if (err) {
		listener_close(listener);
		return err;
	}
	*ret_listener = listener;
	return 0;
}

/* Whoever came after us has made another. */
static void place_leave(const struct listener *listener)
{
	struct stat found;

	if (listener->ino && !lstat(listener->address.sun_path, &found) &&
	    found.st_dev == listener->dev && found.st_ino == listener->ino)
		unlink(listener->address.sun_path);
}

void listener_close(struct listener *listener)
{
	if (!listener)
		return;
	place_leave(listener);
	if (listener->readable)
		event_free(listener->readable);
	if (listener->retry)
		event_free(listener->retry);
	close(listener->fd);
	free(listener);
}

// SPDX-License-Identifier: GPL-2.0-only
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

#define STATUS_SIZE 512

/* A path is kept with its NUL, an abstract name has none. Its length, 0: no name. */
static socklen_t address_make(const char *name, struct sockaddr_un *ret_address)
{
	size_t length = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || length < 2 ||
	    length >= sizeof(ret_address->sun_path))
		return 0;
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path, name, length);
	if (name[0] == '@')
		ret_address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
}

static int send_state(const char *name, const char *state)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	socklen_t length;

	if (!name || !name[0])
		return 0;
	length = address_make(name, &address);
	if (!length)
		return -EINVAL;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* The manager may be busy: that one message less matters less than the loop. */
	if (sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *)&address, length) < 0)
		return -errno;
	return 0;
}

int notify_ready(const char *name)
{
	return send_state(name, "READY=1");
}

int notify_reloading(const char *name, uint64_t mono_ns)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)(mono_ns / 1000));
	return send_state(name, state);
}

int notify_stopping(const char *name)
{
	return send_state(name, "STOPPING=1");
}

int notify_status(const char *name, const char *text)
{
	char state[STATUS_SIZE];

	snprintf(state, sizeof(state), "STATUS=%s", text);
	/* A second line would be a state of its own. */
	for (char *c = state; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return send_state(name, state);
}

// SPDX-License-Identifier: GPL-2.0-only
/* What arrives at a service manager, which is a socket of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "folder.h"
#include "notify.h"

struct manager {
	struct folder folder;
	char name[108]; /* as NOTIFY_SOCKET has it */
	int fd;
};

static struct manager manager;

static void manager_listen(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name) + (name[0] == '/');

	snprintf(manager.name, sizeof(manager.name), "%s", name);
	memcpy(address.sun_path, name, strlen(name));
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(manager.fd >= 0);
	assert_int_equal(bind(manager.fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
			 0);
}

static void assert_heard(const char *state)
{
	char bytes[4096];
	ssize_t got = recv(manager.fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

	assert_true(got >= 0);
	bytes[got] = '\0';
	assert_string_equal(bytes, state);
}

static int setup(void **state)
{
	(void)state;
	folder_make(&manager.folder);
	manager.fd = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (manager.fd >= 0)
		close(manager.fd);
	folder_remove(manager.folder.path);
	return 0;
}

static void assert_tells_all(void)
{
	assert_int_equal(notify_ready(manager.name), 0);
	assert_heard("READY=1");
	assert_int_equal(notify_reloading(manager.name, 1234567890123), 0);
	assert_heard("RELOADING=1\nMONOTONIC_USEC=1234567890");
	assert_int_equal(notify_stopping(manager.name), 0);
	assert_heard("STOPPING=1");
	assert_int_equal(notify_status(manager.name, "3 trees"), 0);
	assert_heard("STATUS=3 trees");
}

static void test_a_path_is_told(void **state)
{
	(void)state;
	manager_listen(folder_path(&manager.folder, "notify"));
	assert_tells_all();
}

static void test_an_abstract_name_is_told(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@memtree-unit/%d", (int)getpid());
	manager_listen(name);
	assert_tells_all();
}

static void test_nobody_is_told_where_nobody_asks(void **state)
{
	(void)state;
	assert_int_equal(notify_ready(NULL), 0);
	assert_int_equal(notify_ready(""), 0);
	assert_int_equal(notify_status(NULL, "x"), 0);
}

static void test_what_is_no_name_is_refused(void **state)
{
	char name[200];

	(void)state;
	assert_int_equal(notify_ready("relative"), -EINVAL);
	assert_int_equal(notify_ready("@"), -EINVAL);
	assert_int_equal(notify_ready("/"), -EINVAL);
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[108] = '\0';
	assert_int_equal(notify_ready(name), -EINVAL);
	name[107] = '\0';
	assert_int_equal(notify_ready(name), -ENOENT);
	assert_int_equal(notify_ready(folder_path(&manager.folder, "nobody")), -ENOENT);
}

/* A manager that does not read holds up nothing. */
static void test_a_full_queue_is_not_waited_for(void **state)
{
	int err = 0;

	(void)state;
	manager_listen(folder_path(&manager.folder, "notify"));
	for (int i = 0; i < 100000 && !err; i++)
		err = notify_ready(manager.name);
	assert_int_equal(err, -EAGAIN);
}

static void test_a_status_is_one_line(void **state)
{
	char text[1000], expected[600] = "STATUS=";

	(void)state;
	manager_listen(folder_path(&manager.folder, "notify"));
	assert_int_equal(notify_status(manager.name, "a\nREADY=1\033"), 0);
	assert_heard("STATUS=a?READY=1?");
	memset(text, 'x', sizeof(text));
	text[999] = '\0';
	assert_int_equal(notify_status(manager.name, text), 0);
	memset(expected + 7, 'x', 511 - 7);
	assert_heard(expected);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_path_is_told),
		TEST(test_an_abstract_name_is_told),
		TEST(test_nobody_is_told_where_nobody_asks),
		TEST(test_what_is_no_name_is_refused),
		TEST(test_a_full_queue_is_not_waited_for),
		TEST(test_a_status_is_one_line),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}

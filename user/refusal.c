// SPDX-License-Identifier: GPL-2.0-only
#include "refusal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 0))) static void set(struct refusal *refusal, int status,
						      const char *format, va_list args)
{
	refusal->status = status;
	vsnprintf(refusal->text, sizeof(refusal->text), format, args);
}

bool refusal_set(struct refusal *ret_refusal, int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set(ret_refusal, status, format, args);
	va_end(args);
	return false;
}

int refusal_fail(struct refusal *ret_refusal, int err, const char *format, ...)
{
	bool possible = err != -EPERM && err != -EACCES && err != -EOPNOTSUPP;
	va_list args;

	va_start(args, format);
	set(ret_refusal, possible ? EXIT_FAILED : EXIT_NOT_POSSIBLE, format, args);
	va_end(args);
	return err;
}

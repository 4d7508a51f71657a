// SPDX-License-Identifier: GPL-2.0-only
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* The unit's factor, 0 when there is none of that name. */
static uint64_t factor_find(const struct unit *units, const char *suffix)
{
	for (; units->suffix; units++)
		if (!strcmp(suffix, units->suffix))
			return units->factor;
	return 0;
}

/*
 * A decimal number with one of the units; no sign, exponent, hex or inf, as strtod would
 * take. Without a point it stays an integer: a double holds 53 bits.
 */
static bool parse_scaled(const char *text, const struct unit *units, uint64_t *ret_value)
{
	size_t whole = strspn(text, "0123456789"), fraction = 0;
	const char *suffix = text + whole;
	uint64_t factor, value;

	if (*suffix == '.') {
		fraction = strspn(suffix + 1, "0123456789");
		suffix += 1 + fraction;
	}
	factor = factor_find(units, suffix);
	if (!factor || (!whole && !fraction) || whole > 19)
		return false;
	if (fraction) {
		double scaled = round(strtod(text, NULL) * (double)factor);

		if (scaled >= 0x1p63)
			return false;
		*ret_value = (uint64_t)scaled;
		return true;
	}
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno || value > INT64_MAX / factor)
		return false;
	*ret_value = value * factor;
	return true;
}

bool units_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1},	   {"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30},
		{"T", 1ULL << 40}, {"k", 1ULL << 10}, {"m", 1ULL << 20}, {"g", 1ULL << 30},
		{"t", 1ULL << 40}, {NULL, 0},
	};

	return parse_scaled(text, units, ret_bytes);
}

bool units_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ms", 1000000},	 {"s", 1000000000}, {"m", 60000000000ULL},
		{"h", 3600000000000ULL}, {NULL, 0},
	};

	if (!strcmp(text, "0")) {
		*ret_ns = 0;
		return true;
	}
	return parse_scaled(text, units, ret_ns);
}

bool units_parse_count(const char *text, uint32_t *ret_count)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long value;

	if (!digits || digits > 10 || text[digits])
		return false;
	value = strtoul(text, NULL, 10);
	if (value > UINT32_MAX)
		return false;
	*ret_count = (uint32_t)value;
	return true;
}

/* For three significant digits, after rounding. */
static int decimals(double value)
{
	if (value < 9.995)
		return 2;
	return value < 99.95 ? 1 : 0;
}

bool units_parse_signal(const char *text, int *ret_signal)
{
	const char *name = strncmp(text, "SIG", 3) ? text : text + 3;
	uint32_t number;

	if (units_parse_count(text, &number) && number > 0 && number < NSIG) {
		*ret_signal = (int)number;
		return true;
	}
	for (int i = 1; i < NSIG; i++) {
		if (!sigabbrev_np(i) || strcmp(sigabbrev_np(i), name))
			continue;
		*ret_signal = i;
		return true;
	}
	return false;
}

const char *units_format_size(int64_t bytes, char buffer[UNITS_SIZE_TEXT])
{
	static const char suffixes[] = "KMGTPE";
	double value = fabs((double)bytes);
	const char *sign = bytes < 0 ? "-" : "";
	int unit = -1;

	while (value >= 999.5 && unit < (int)sizeof(suffixes) - 2) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, UNITS_SIZE_TEXT, "%lld", (long long)bytes);
	else
		snprintf(buffer, UNITS_SIZE_TEXT, "%s%.*f%c", sign, decimals(value), value,
			 suffixes[unit]);
	return buffer;
}

const char *units_format_duration(uint64_t ns, char buffer[UNITS_DURATION_TEXT])
{
	unsigned int centiseconds = (unsigned int)(ns / 10000000 % 100);
	uint64_t seconds = ns / 1000000000;
	unsigned int second = (unsigned int)(seconds % 60);
	unsigned int minute = (unsigned int)(seconds / 60 % 60);
	uint64_t hours = seconds / 3600;

	if (seconds < 60)
		snprintf(buffer, UNITS_DURATION_TEXT, "%u.%02us", second, centiseconds);
	else if (!hours)
		snprintf(buffer, UNITS_DURATION_TEXT, "%u:%02u.%u", minute, second,
			 centiseconds / 10);
	else if (hours < 100)
		snprintf(buffer, UNITS_DURATION_TEXT, "%u:%02u:%02u", (unsigned int)hours, minute,
			 second);
	else
		snprintf(buffer, UNITS_DURATION_TEXT, "%llud%02uh", (unsigned long long)hours / 24,
			 (unsigned int)(hours % 24));
	return buffer;
}

const char *units_format_time(int64_t real_ns, char buffer[UNITS_TIME_TEXT])
{
	int64_t fraction = real_ns % 1000000000;
	time_t seconds = (time_t)(real_ns / 1000000000) - (fraction < 0);
	struct tm utc;
	char date[24];

	if (fraction < 0)
		fraction += 1000000000;
	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(buffer, UNITS_TIME_TEXT, "%s.%09dZ", date, (int)fraction);
	return buffer;
}

bool units_is_name(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789._:-");

	return length >= 1 && length <= 63 && !text[length];
}

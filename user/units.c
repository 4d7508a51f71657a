// SPDX-License-Identifier: GPL-2.0-only
#include "units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
	const char *suffix;
	double factor;
};

/* A decimal number with one of the units; no sign, exponent, hex or inf, as strtod
 * would take. */
static bool parse_scaled(const char *text, const struct unit *units, uint64_t *ret_value)
{
	size_t digits = strspn(text, "0123456789");
	char *end;
	double value;

	if (!digits && !(text[0] == '.' && isdigit((unsigned char)text[1])))
		return false;
	if (text[digits] == 'x' || text[digits] == 'X')
		return false;
	errno = 0;
	value = strtod(text, &end);
	if (errno || memchr(text, 'e', (size_t)(end - text)) ||
	    memchr(text, 'E', (size_t)(end - text)))
		return false;
	for (const struct unit *unit = units; unit->suffix; unit++) {
		if (strcasecmp(end, unit->suffix))
			continue;
		value = round(value * unit->factor);
		if (value >= 0x1p63)
			return false;
		*ret_value = (uint64_t)value;
		return true;
	}
	return false;
}

bool units_parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 0x1p10}, {"M", 0x1p20}, {"G", 0x1p30}, {"T", 0x1p40}, {NULL, 0},
	};

	return parse_scaled(text, units, ret_bytes);
}

bool units_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct unit units[] = {
		{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {NULL, 0},
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

	if (!digits || digits > 9 || text[digits])
		return false;
	*ret_count = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

const char *units_format_size(int64_t bytes, char buffer[UNITS_SIZE_TEXT])
{
	static const char suffixes[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	while (value >= 999.5 && unit < (int)sizeof(suffixes) - 2) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, UNITS_SIZE_TEXT, "%lld", (long long)bytes);
	else
		snprintf(buffer, UNITS_SIZE_TEXT, "%.*f%c",
			 value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, suffixes[unit]);
	return buffer;
}

const char *units_format_time(int64_t real_ns, char buffer[UNITS_TIME_TEXT])
{
	time_t seconds = (time_t)(real_ns / 1000000000);
	struct tm utc;
	char date[24];

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(buffer, UNITS_TIME_TEXT, "%s.%09dZ", date, (int)(real_ns % 1000000000));
	return buffer;
}

bool units_is_name(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789._:-");

	return length >= 1 && length <= 63 && !text[length];
}

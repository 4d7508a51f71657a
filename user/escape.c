// SPDX-License-Identifier: GPL-2.0-only
#include "escape.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the first byte promises; 0 for one that starts nothing. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/*
 * The length of the valid UTF-8 sequence at `text`, 0 when there is none (RFC 3629: no
 * overlong form, no surrogate, nothing beyond U+10FFFF).
 */
static size_t utf8_sequence(const unsigned char *text, size_t length, uint32_t *ret_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = utf8_length(text[0]);
	uint32_t point;

	if (!size || size > length)
		return 0;
	point = size == 1 ? text[0] : text[0] & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (text[i] & 0x3f);
	}
	if (size > 1 && point < least[size])
		return 0;
	if ((point >= 0xd800 && point < 0xe000) || point > 0x10ffff)
		return 0;
	*ret_point = point;
	return size;
}

static bool is_unsafe(uint32_t point)
{
	return point < 0x20 || point == '\\' || (point >= 0x7f && point < 0xa0) ||
	       point == 0x061c || point == 0x200e || point == 0x200f ||
	       (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

/* One byte as a C escape of at most four characters. */
static int escape_byte(char *to, unsigned char byte)
{
	static const char names[] = "abtnvfr";

	if (byte >= '\a' && byte <= '\r')
		return sprintf(to, "\\%c", names[byte - '\a']);
	if (byte == '\\')
		return sprintf(to, "\\\\");
	return sprintf(to, "\\%03o", byte);
}

char *escape_terminal(const char *text, size_t length)
{
	const unsigned char *from = (const unsigned char *)text;
	char *result = malloc(length * 4 + 1), *to = result;

	if (!result)
		return NULL;
	for (size_t i = 0; i < length;) {
		uint32_t point = 0;
		size_t size = utf8_sequence(from + i, length - i, &point);

		if (size && !is_unsafe(point)) {
			memcpy(to, from + i, size);
			to += size;
			i += size;
			continue;
		}
		for (size = size ? size : 1; size; size--)
			to += escape_byte(to, from[i++]);
	}
	*to = '\0';
	return result;
}

char *escape_utf8(const char *text, size_t length, size_t *ret_length)
{
	const unsigned char *from = (const unsigned char *)text;
	char *result = malloc(length * 3 + 1), *to = result;

	if (!result)
		return NULL;
	for (size_t i = 0; i < length;) {
		uint32_t point;
		size_t size = utf8_sequence(from + i, length - i, &point);

		memcpy(to, size ? text + i : "\xef\xbf\xbd", size ? size : 3);
		to += size ? size : 3;
		i += size ? size : 1;
	}
	*to = '\0';
	*ret_length = (size_t)(to - result);
	return result;
}

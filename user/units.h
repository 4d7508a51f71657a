/* SPDX-License-Identifier: GPL-2.0-only */
/* Sizes, durations, times, names and signals: as people write them and as they are shown. */
#ifndef MEMTREE_UNITS_H
#define MEMTREE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNITS_SIZE_TEXT 16     /* room for any formatted size */
#define UNITS_TIME_TEXT 40     /* room for any formatted time */
#define UNITS_DURATION_TEXT 24 /* room for any formatted duration */

/* "100", "64k", "1.5G" in bytes, by powers of 1024. False for anything else, for a
 * negative number and for what does not fit into 63 bits. */
bool units_parse_size(const char *text, uint64_t *ret_bytes);

/* "250ms", "3s", "2m", "1h" in nanoseconds; the unit is required except for 0. */
bool units_parse_duration(const char *text, uint64_t *ret_ns);

/* A plain decimal number. */
bool units_parse_count(const char *text, uint32_t *ret_count);

/* "TERM", "SIGTERM" or "15". */
bool units_parse_signal(const char *text, int *ret_signal);

/* Three significant digits: "0", "512", "64.0K", "1.25G". Returns `buffer`. */
const char *units_format_size(int64_t bytes, char buffer[UNITS_SIZE_TEXT]);

/* "0.42s", "59.99s", "2:05.3", "1:00:00", "12d03h": rounded down, at most 8 characters below
 * 1000 days. Returns `buffer`. */
const char *units_format_duration(uint64_t ns, char buffer[UNITS_DURATION_TEXT]);

/* RFC 3339 in UTC with nanoseconds. Returns `buffer`. */
const char *units_format_time(int64_t real_ns, char buffer[UNITS_TIME_TEXT]);

/* [A-Za-z0-9._:-]{1,63} */
bool units_is_name(const char *text);

#endif /* MEMTREE_UNITS_H */

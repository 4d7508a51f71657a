// SPDX-License-Identifier: GPL-2.0-only
/* Prints the configuration that stands without a file, for the checks of what is written of it. */
#include "config.h"

int main(void)
{
	struct config config;

	config_default(&config);
	return config_print(&config, stdout) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
// The bootable image: GRUB for BIOS and UEFI, the kernel and a bundle, on one hybrid ISO 9660 image.
#pragma once

#include <stdbool.h>

#include "config/config.h"

// Makes the image in the folder, a scratch folder of the caller; on success *image is its path, to be freed
// by the caller. kernel is the ELF file, args its command line. False after a complaint.
bool iso_make(const struct config *config, const char *kernel, const char *args, const char *folder,
	char **image);

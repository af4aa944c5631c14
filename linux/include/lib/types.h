/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What abi/ expects of lib/types.h, from Linux. */
#pragma once

#include <linux/types.h>

// SPDX-License-Identifier: MIT
// What modes.S and modes.c share: the stations of the trip.
#pragma once

#define MODE_LONG      0
#define MODE_COMPAT    1
#define MODE_PROTECTED 2
#define MODE_PAGING32  3
#define MODE_PAE       4
#define MODE_SEGMENT   5
#define MODE_REAL      6
#define MODE_BACK      7
#define MODE_LONG2     8
#define MODES          9

#define MODES_REAL_AT 0x9000

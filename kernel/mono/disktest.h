// SPDX-License-Identifier: MIT
// A test of the disk drivers without guests, by a word of the command line.
#pragma once

// disktest=NAME reads the disk or partition NAME in several ways, disktest=NAME,write also writes to it: what it
// held is lost. Says in the log what was right, what failed, and how fast it was. At start, with all drivers up.
void disktest_run(void);

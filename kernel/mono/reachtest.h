// SPDX-License-Identifier: MIT
// A test of the IOMMU without guests, by a word of the command line.
#pragma once

// reachtest=NAME has the disk NAME read from and write to memory that the IOMMU was told of, and memory that it was not
// told of. Says in the log what reached what. The last block of the disk is overwritten. At start, with all drivers up.
void reachtest_run(void);

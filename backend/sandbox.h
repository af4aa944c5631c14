// SPDX-License-Identifier: MIT
// The process gives up all that serving does not need: everything that it uses is open, and nothing else can be opened any more.
#pragma once

#include "lib/types.h"

// id: of the VM; kernel: the open file by which it is attached. false after a message.
bool sandbox_enter(u32 id, int kernel);

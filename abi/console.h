// SPDX-License-Identifier: MIT
// How the kernel and `mezz run` share one serial line (kernel command line: console=frames).
//
// A frame, in either direction, is CONSOLE_SOH, a channel byte, a length byte L (1..255), then L
// bytes of any value. Bytes outside of frames (firmware, a boot loader, an early panic) belong to
// the kernel log. Without console=frames the line is for people: text only, VM output with the VM's
// name in front.
//
// CONSOLE_EVENTS carries lines, each one event, fields separated by one space:
//	start NAME                      a VM was created and runs (also after a repeat)
//	reboot NAME                     it reset itself and starts again
//	poweroff NAME                   it powered itself off
//	exit NAME CODE                  debug exit; CODE decimal
//	stopped NAME CAUSE...           the kernel stopped it; the rest of the line is the cause
//	frames NAME BEFORE AFTER        free 4 KiB frames before its creation and after its destruction
//	end                             no VM is left; the machine powers off
//	panic TEXT...                   the kernel died; details are in the log
//
// In the other direction CONSOLE_EVENTS carries requests, one byte each: the number of a VM in the configuration, whose
// power button is pressed; or one of CONSOLE_ASK_*. The answer is the events that follow. A request may be made
// again: a guest that does not listen yet does not remember that its button was pressed.
#pragma once

#define CONSOLE_SOH 0x01

#define CONSOLE_LOG    0x20 // out: the kernel log; in: debug keys of the kernel
#define CONSOLE_EVENTS 0x21 // out: events; in: requests
#define CONSOLE_VM     0x22 // + index of the VM in the configuration; in and out

#define CONSOLE_ASK_OFF  0xfe // every VM's power button is pressed, and none is started again
#define CONSOLE_ASK_STOP 0xff // every VM is stopped, whatever it does

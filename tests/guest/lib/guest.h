// SPDX-License-Identifier: MIT
// What every tiny guest uses: results, printing, arguments, random numbers, memory, time.
#pragma once

#include "lib/types.h"
#include "lib/string.h"
#include "cpu.h"
#include "trap.h"

// Each guest defines this; when it returns the guest ends with the result of its checks.
void guest_main(void);

// Ends the VM: a 32-bit OUT of code to port 0xF4.
__attribute__((noreturn)) void guest_exit(u32 code);

// Prints the results and ends with code 0 when at least one check was made and none failed, else 1.
__attribute__((noreturn)) void guest_finish(void);

__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);

// One check: prints PASS or FAIL with the text and counts it. check_quiet prints only failures.
__attribute__((format(printf, 2, 3))) bool check(bool ok, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) bool check_quiet(bool ok, const char *fmt, ...);
u32 check_failures(void);

// The command line's `name=value` (decimal or 0x hex), or fallback; and whether a bare word stands there.
u64 arg_number(const char *name, u64 fallback);
bool arg_given(const char *word);

// This CPU's pseudo-random sequence, from `seed=N` and the CPU's index.
u64 random64(void);
u64 random_below(u64 n); // 0..n-1; n > 0
u64 random_odd(void); // an interesting value: small, all ones, a single bit, near a limit, or any

// Bytes of RAM that the guest may use, page aligned and zeroed; never given back.
void *memory_pages(u32 n);
u64 memory_top(void);                       // end of the RAM that starts at 1 MiB
volatile void *map_mmio(u64 gpa, u64 size); // uncached; identity below 4 GiB

// Time: the TSC, whose rate is measured against the PIT at first use.
u64 tsc_per_ms(void);
void delay_us(u64 us);
u64 deadline_ms(u64 ms); // a TSC value
// On the boot CPU, by HLT, so that others have the processor; the APIC is as after reset then, but for its divider.
void guest_sleep(u64 seconds);
static inline bool deadline_past(u64 tsc)
{
	return rdtsc() >= tsc;
}

// Spins until cond is true or the time is over; true when it became so.
#define wait_until(cond, ms)                                                                       \
	({                                                                                         \
		u64 end_ = deadline_ms(ms);                                                        \
		bool ok_;                                                                          \
		while (!(ok_ = (cond)) && !deadline_past(end_))                                    \
			cpu_relax();                                                               \
		ok_;                                                                               \
	})

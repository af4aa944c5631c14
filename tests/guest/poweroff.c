// SPDX-License-Identifier: MIT
// Powers the machine off by ACPI: PM1a_CNT by the FADT, the sleep type by the DSDT's \_S5.
#include "guest.h"
#include "acpi.h"

#define SLP_EN BIT(13)

// AML: NameOp "_S5_" PackageOp length count element...; an element is ZeroOp, OneOp or BytePrefix and a byte.
static int sleep_type(void)
{
	const struct acpi_header *dsdt = acpi_dsdt();
	const u8 *p = (const u8 *)dsdt, *end;

	if (!dsdt)
		return -1;
	for (end = p + dsdt->length; p + 16 < end; p++) {
		const u8 *q = p + 4;

		if (memcmp(p, "_S5_", 4) || *q++ != 0x12)
			continue;
		q += (*q >> 6) + 2; // package length, number of elements
		return *q == 0x0A ? q[1] : *q <= 1 ? *q : -1;
	}
	return -1;
}

void guest_main(void)
{
	u16 port = (u16)fadt_field(FADT_PM1A_CNT, 4);
	int type = sleep_type();

	if (!check(port && type >= 0, "PM1a_CNT is port 0x%x, S5 is type %d", port, type))
		return;
	outw(port, (u16)((u32)type << 10 | SLP_EN));
	delay_us(2000000);
	check(false, "two seconds on it still runs");
}

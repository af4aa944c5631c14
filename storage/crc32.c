// SPDX-License-Identifier: MIT
// CRC-32 (polynomial 0x04C11DB7, reflected), four bits at a time.
#include "storage/crc32.h"

static const u32 table[16] = {
	0x00000000,
	0x1DB71064,
	0x3B6E20C8,
	0x26D930AC,
	0x76DC4190,
	0x6B6B51F4,
	0x4DB26158,
	0x5005713C,
	0xEDB88320,
	0xF00F9344,
	0xD6D6A3E8,
	0xCB61B38C,
	0x9B64C2B0,
	0x86D3D2D4,
	0xA00AE278,
	0xBDBDF21C,
};

u32 crc32_add(u32 crc, const void *bytes, size_t n)
{
	const u8 *p = bytes;

	crc = ~crc;
	for (size_t i = 0; i < n; i++) {
		crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ (u32)p[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

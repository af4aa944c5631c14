// SPDX-License-Identifier: MIT
// virtio-net: which flow a frame belongs to, so that it is received by the CPU that sends (virtio 1.2, section 5.1.6.5.6).
#include "devices/virtio_net.h"

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

#define HEADERS                                                                                    \
	58u // bytes that are looked at without asking: Ethernet with a tag, the addresses of IPv6

// Sums are the same for both directions. What is no TCP or UDP is told apart by its IP addresses or not at all.
unsigned virtio_net_flow(const u8 *head, u32 len)
{
	u32 ip = NET_ETHERNET, l4, sum = 0;
	u8 protocol;

	if (len < HEADERS)
		return 0;
	if (net_get16(head + 12) == NET_TYPE_VLAN)
		ip += NET_TAG;
	if (net_get16(head + ip - 2) == NET_TYPE_IPV4) {
		l4 = ip + (head[ip] & 0xfu) * 4;
		protocol = head[ip + 9];
		sum = net_get32(head + ip + 12) + net_get32(head + ip + 16);
	} else if (net_get16(head + ip - 2) == NET_TYPE_IPV6) {
		l4 = ip + 40;
		protocol = head[ip + 6];
		for (u32 i = 8; i < 40; i += 4)
			sum += net_get32(head + ip + i);
	} else {
		return 0;
	}
	if ((protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && l4 + 4 <= len)
		sum += (u32)net_get16(head + l4) + net_get16(head + l4 + 2);
	return (sum * 0x9e3779b1u) >> 24;
}

// SPDX-License-Identifier: MIT
// Messages to Linux about network devices (rtnetlink(7)): built, sent, answered.
//
// Each request has a socket of its own, so that nothing is left over of one. Not for several threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#define NETLINK_ROOM 4096u

// A request in the making. One that does not fit is refused with -EMSGSIZE when it is sent.
struct netlink_message {
	union {
		struct nlmsghdr header;
		uint8_t bytes[NETLINK_ROOM];
	};
	bool full;
};

// Begins a request: its type (RTM_*), flags beside those that netlink_do adds, and its fixed part, which is copied.
void netlink_begin(
	struct netlink_message *m, uint16_t type, uint16_t flags, const void *fixed, size_t size);

void netlink_put(struct netlink_message *m, uint16_t attribute, const void *data, size_t size);
void netlink_put_text(struct netlink_message *m, uint16_t attribute, const char *text);
void netlink_put_u8(struct netlink_message *m, uint16_t attribute, uint8_t value);
void netlink_put_u16(struct netlink_message *m, uint16_t attribute, uint16_t value);
void netlink_put_u32(struct netlink_message *m, uint16_t attribute, uint32_t value);

// What is put between the two is within the attribute. open returns what close takes.
size_t netlink_open(struct netlink_message *m, uint16_t attribute);
void netlink_close(struct netlink_message *m, size_t nest);

// Sends the request and waits for the kernel's word: 0 or -errno.
int netlink_do(struct netlink_message *m);

// Asks for all there is of a kind, and calls `each` for each answer, which must not ask anything itself. 0 or -errno; -EINTR:
// there were changes meanwhile, the answers may be incomplete.
int netlink_dump(
	struct netlink_message *m, void (*each)(const struct nlmsghdr *, void *user), void *user);

// The attributes of an answer behind its fixed part of `size` bytes, by their numbers, up to max; NULL: it has none such.
// netlink_within is the same for those inside an attribute.
void netlink_attributes(
	const struct nlmsghdr *h, size_t size, const struct rtattr *out[], unsigned max);
void netlink_within(const struct rtattr *nest, const struct rtattr *out[], unsigned max);

// The attribute's number, or text; the default when there is none, or it is too short.
uint32_t netlink_u32(const struct rtattr *a, uint32_t otherwise);
const char *netlink_text(const struct rtattr *a); // "" when there is none

// SPDX-License-Identifier: MIT
#include "mezzd/netlink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

#define ANSWER_ROOM 65536u // the kernel's answers are at most half of it

static uint32_t sequence;

void netlink_begin(
	struct netlink_message *m, uint16_t type, uint16_t flags, const void *fixed, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->header.nlmsg_type = type;
	m->header.nlmsg_flags = flags;
	m->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
	memcpy(NLMSG_DATA(&m->header), fixed, size);
}

void netlink_put(struct netlink_message *m, uint16_t attribute, const void *data, size_t size)
{
	size_t at = NLMSG_ALIGN(m->header.nlmsg_len);
	struct rtattr *a = (struct rtattr *)(m->bytes + at);

	if (m->full || size > NETLINK_ROOM || at + RTA_SPACE(size) > NETLINK_ROOM) {
		m->full = true;
		return;
	}
	a->rta_type = attribute;
	a->rta_len = (uint16_t)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(a), data, size);
	m->header.nlmsg_len = (uint32_t)(at + RTA_SPACE(size));
}

void netlink_put_text(struct netlink_message *m, uint16_t attribute, const char *text)
{
	netlink_put(m, attribute, text, strlen(text) + 1);
}

void netlink_put_u8(struct netlink_message *m, uint16_t attribute, uint8_t value)
{
	netlink_put(m, attribute, &value, sizeof(value));
}

void netlink_put_u16(struct netlink_message *m, uint16_t attribute, uint16_t value)
{
	netlink_put(m, attribute, &value, sizeof(value));
}

void netlink_put_u32(struct netlink_message *m, uint16_t attribute, uint32_t value)
{
	netlink_put(m, attribute, &value, sizeof(value));
}

size_t netlink_open(struct netlink_message *m, uint16_t attribute)
{
	size_t at = NLMSG_ALIGN(m->header.nlmsg_len);

	netlink_put(m, attribute | NLA_F_NESTED, NULL, 0);
	return at;
}

void netlink_close(struct netlink_message *m, size_t nest)
{
	if (!m->full)
		((struct rtattr *)(m->bytes + nest))->rta_len =
			(uint16_t)(m->header.nlmsg_len - nest);
}

static int send_message(int fd, struct netlink_message *m)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	ssize_t n;

	m->header.nlmsg_seq = ++sequence;
	do
		n = sendto(fd, m->bytes, m->header.nlmsg_len, 0, (struct sockaddr *)&kernel,
			sizeof(kernel));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

// The error of an answer that ends the request.
static int last_word(const struct nlmsghdr *h)
{
	int error = 0;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(error))) // both kinds begin with it
		memcpy(&error, NLMSG_DATA(h), sizeof(error));
	return error;
}

// Goes through one datagram. True: the answer is complete, with *error.
static bool take(const uint8_t *bytes, size_t size, int *error,
	void (*each)(const struct nlmsghdr *, void *), void *user)
{
	const struct nlmsghdr *h;

	for (size_t at = 0; at + sizeof(*h) <= size; at += NLMSG_ALIGN(h->nlmsg_len)) {
		h = (const void *)(bytes + at);
		if (h->nlmsg_len < sizeof(*h) || h->nlmsg_len > size - at)
			break;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			*error = -EINTR;
		if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) {
			*error = *error ? *error : last_word(h);
			return true;
		}
		if (each && h->nlmsg_type >= NLMSG_MIN_TYPE)
			each(h, user);
	}
	return false;
}

static int receive(int fd, void (*each)(const struct nlmsghdr *, void *), void *user)
{
	static _Alignas(struct nlmsghdr) uint8_t answer[ANSWER_ROOM];
	int error = 0;
	ssize_t n;

	do {
		n = recv(fd, answer, sizeof(answer), 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EPIPE;
	} while (n < 0 || !take(answer, (size_t)n, &error, each, user));
	return error;
}

static int ask(struct netlink_message *m, void (*each)(const struct nlmsghdr *, void *), void *user)
{
	int fd, error;

	if (m->full)
		return -EMSGSIZE;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	error = send_message(fd, m);
	if (!error)
		error = receive(fd, each, user);
	close(fd);
	return error;
}

int netlink_do(struct netlink_message *m)
{
	m->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return ask(m, NULL, NULL);
}

int netlink_dump(
	struct netlink_message *m, void (*each)(const struct nlmsghdr *, void *), void *user)
{
	m->header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	return ask(m, each, user);
}

static void sort_out(const struct rtattr *a, int left, const struct rtattr *out[], unsigned max)
{
	memset(out, 0, (max + 1) * sizeof(out[0]));
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) <= max)
			out[a->rta_type & NLA_TYPE_MASK] = a;
}

void netlink_attributes(
	const struct nlmsghdr *h, size_t size, const struct rtattr *out[], unsigned max)
{
	size_t begin = NLMSG_SPACE(size);

	sort_out((const void *)((const uint8_t *)h + begin),
		h->nlmsg_len > begin ? (int)(h->nlmsg_len - begin) : 0, out, max);
}

void netlink_within(const struct rtattr *nest, const struct rtattr *out[], unsigned max)
{
	sort_out(nest ? RTA_DATA(nest) : NULL, nest ? (int)RTA_PAYLOAD(nest) : 0, out, max);
}

uint32_t netlink_u32(const struct rtattr *a, uint32_t otherwise)
{
	uint32_t value = otherwise;

	if (a && RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

const char *netlink_text(const struct rtattr *a)
{
	if (!a || !RTA_PAYLOAD(a) || ((const char *)RTA_DATA(a))[RTA_PAYLOAD(a) - 1])
		return "";
	return RTA_DATA(a);
}

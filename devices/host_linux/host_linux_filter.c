// SPDX-License-Identifier: MIT
// A filter in a tap (a BPF program, TUNSETFILTEREBPF): the kernel drops what the port of the card behind it would drop, so that it wakes nobody,
// and what is read may go into the guest's memory before anybody has looked at it. It stays with the tap until the next one is set.
#include "devices/host_linux/host_linux_net.h"

#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VID 0xfff

#define MOVE(to, from)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from                \
	}
#define SET(to, value)                                                                             \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = to, .imm = value                   \
	}
#define AND(value)                                                                                 \
	{                                                                                          \
		.code = BPF_ALU64 | BPF_AND | BPF_K, .imm = value                                  \
	}
#define FIELD(name)                                                                                \
	{                                                                                          \
		.code = BPF_LDX | BPF_MEM | BPF_W, .src_reg = BPF_REG_6,                           \
		.off = offsetof(struct __sk_buff, name)                                            \
	}
// Of the frame, which begins with the receiver's address; one that is shorter is dropped.
#define FRAME(size, offset)                                                                        \
	{                                                                                          \
		.code = BPF_LD | BPF_ABS | (size), .imm = offset                                   \
	}
// Jumps over so many instructions.
#define JUMP(condition, value, over)                                                               \
	{                                                                                          \
		.code = BPF_JMP32 | (condition) | BPF_K, .off = over, .imm = (s32)(value)          \
	}
#define END                                                                                        \
	{                                                                                          \
		.code = BPF_JMP | BPF_EXIT                                                         \
	}

bool host_net_filter(int tap, const struct net_port_config *c)
{
	// A card that is not locked to an address hears all of its network.
	const struct bpf_insn program[] = {
		MOVE(BPF_REG_6, BPF_REG_1),
		// A tag beside the frame, or in it, may be a priority's only.
		FIELD(vlan_present),
		JUMP(BPF_JEQ, 0, 3),
		FIELD(vlan_tci),
		AND(VID),
		JUMP(BPF_JNE, 0, 13),
		FRAME(BPF_H, 2 * NET_ADDR),
		JUMP(BPF_JNE, NET_TYPE_VLAN, 3),
		FRAME(BPF_H, NET_ETHERNET),
		AND(VID),
		JUMP(BPF_JNE, 0, 8),
		// The receiver: a group, or the card.
		FRAME(BPF_B, 0),
		JUMP(BPF_JSET, 1, 4),
		FRAME(BPF_W, 0),
		JUMP(c->locked ? BPF_JNE : BPF_JGE, c->locked ? c->addr >> 16 : 0,
			c->locked ? 4 : 2),
		FRAME(BPF_H, 4),
		JUMP(BPF_JNE, c->addr & 0xffff, 2),
		SET(BPF_REG_0, -1),
		END,
		SET(BPF_REG_0, 0),
		END,
	};
	union bpf_attr a = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (u64)(uintptr_t)program,
		.insn_cnt = ARRAY_SIZE(program),
		.license = (u64)(uintptr_t) "",
	};
	int fd;
	bool ok;

	if (c->trunk)
		return false;
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
	if (fd < 0)
		return false;
	ok = !ioctl(tap, TUNSETFILTEREBPF, &fd);
	close(fd);
	return ok;
}

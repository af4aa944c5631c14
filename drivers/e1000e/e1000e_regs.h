// SPDX-License-Identifier: MIT
// Registers and descriptors of Intel's 82574L (its datasheet, revision 3.4, chapters 7 and 10).
#pragma once

#include "lib/types.h"

enum { // 10.2: offsets
	E_CTRL = 0x0000,
	E_STATUS = 0x0008,
	E_EECD = 0x0010,
	E_CTRL_EXT = 0x0018,
	E_ICR = 0x00C0,
	E_IMS = 0x00D0,
	E_IMC = 0x00D8,
	E_EIAC = 0x00DC,
	E_IVAR = 0x00E4,
	E_EITR = 0x00E8, // one for each message
	E_RCTL = 0x0100,
	E_TCTL = 0x0400,
	E_RDBAL = 0x2800,
	E_RDBAH = 0x2804,
	E_RDLEN = 0x2808,
	E_RDH = 0x2810,
	E_RDT = 0x2818,
	E_TDBAL = 0x3800,
	E_TDBAH = 0x3804,
	E_TDLEN = 0x3808,
	E_TDH = 0x3810,
	E_TDT = 0x3818,
	E_RXCSUM = 0x5000,
	E_RFCTL = 0x5008,
	E_MTA = 0x5200, // 128 registers
	E_RAL = 0x5400,
	E_RAH = 0x5404,
	E_SIZE = 0x20000,
};

#define E_MTA_COUNT 128u

#define CTRL_ASDE BIT(5)
#define CTRL_SLU  BIT(6)
#define CTRL_RST  BIT(26)

#define STATUS_LU    BIT(1)
#define EECD_AUTO_RD BIT(9)

#define RCTL_EN    BIT(1)
#define RCTL_UPE   BIT(3)  // all stations' frames: those of guests
#define RCTL_MPE   BIT(4)  // all groups'
#define RCTL_BAM   BIT(15) // broadcast
#define RCTL_SECRC BIT(26) // without the checksum; buffers of 2048 bytes are the default

#define TCTL_EN   BIT(1)
#define TCTL_PSP  BIT(3) // short packets are filled up
#define TCTL_CT   (0x0Fu << 4)
#define TCTL_COLD (0x3Fu << 12)

#define RAH_VALID BIT(31)

// Interrupt causes, 10.2.4.1.
#define CAUSE_LSC   BIT(2)  // the link has changed
#define CAUSE_RXO   BIT(6)  // no buffers were left
#define CAUSE_RXQ0  BIT(20) // packets have come
#define CAUSE_OTHER BIT(24) // one of the first two

// Two messages, 10.2.4.9: 0 for packets of queue 0, 1 for what is not a queue's.
#define E_MESSAGES 2u
#define IVAR_ALL   (BIT(3) | BIT(16) | BIT(19))

// A message is sent no sooner than so many times 256 ns after the one before it, 10.2.4.6.
#define EITR_GAP 200u

#define CTRL_EXT_IAME                                                                              \
	BIT(27) // 10.2.2.5; what IMS and ICR do by themselves: here only what EIAC says

#define RFCTL_ACK_DIS                                                                              \
	BIT(12) // 10.2.5.16: acknowledgements and small packets are no causes of their own
#define RFCTL_ACKD BIT(13)

struct e1000e_rx { // 7.1.4, legacy
	u64 address;
	u16 len, checksum;
	u8 status, errors;
	u16 tag;
};

#define RX_DONE 0x01u
#define RX_END  0x02u
#define RX_IXSM 0x04u // what follows says nothing
#define RX_TCPS 0x20u // the sum of TCP or UDP was looked at

// errors
#define RX_TCPE 0x20u
#define RX_IPE  0x40u

#define RXCSUM_IP  BIT(8)
#define RXCSUM_TCP BIT(9)

struct e1000e_tx { // 7.2.10.1, legacy
	u64 address;
	u16 len;
	u8 checksum_offset, command, status, checksum_start;
	u16 tag;
};

#define TX_END    0x01u
#define TX_CRC    0x02u
#define TX_CUT    0x04u // with TX_DATA: by the context
#define TX_REPORT 0x08u
#define TX_MORE   0x20u // not legacy: a context, or, with the type in checksum_offset, data
#define TX_DONE   0x01u

#define TX_DATA    0x10u // checksum_offset of data
#define TX_SUM_IP  0x01u // checksum_start of data: sums to be filled in
#define TX_SUM_TCP 0x02u

struct e1000e_context { // 7.2.11, for the data descriptors behind it
	u8 ip_start, ip_sum;
	u16 ip_end;
	u8 tcp_start, tcp_sum;
	u16 tcp_end;             // 0: to the packet's end
	u32 command_and_payload; // CONTEXT_*, 20 bits of payload
	u8 status, header;
	u16 mss;
};

#define CONTEXT_TCP    BIT(24)
#define CONTEXT_IP4    BIT(25)
#define CONTEXT_CUT    BIT(26)
#define CONTEXT_REPORT BIT(27)
#define CONTEXT_MORE   BIT(29)

_Static_assert(sizeof(struct e1000e_context) == 16, "7.2.11");
_Static_assert(sizeof(struct e1000e_rx) == 16 && sizeof(struct e1000e_tx) == 16, "7.1.4, 7.2.10.1");

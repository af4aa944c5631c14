// SPDX-License-Identifier: MIT
// The switch's table of stations: which address of which VLAN is behind which port.
#pragma once

#include "net/switch.h"

// The port behind which the station was seen within NET_AGEING_NS; NULL: not known.
struct net_port *net_station_find(struct net_switch *s, u64 addr, u16 vlan, u64 now);

// The station is known to be behind this port, and was seen again. false: it is not known there.
bool net_station_refresh(struct net_port *p, u64 addr, u16 vlan, u64 now);

// Puts the station behind the port, moves it there from another, if there is room for it. Not for an address that
// belongs to another port that is locked.
void net_station_learn(struct net_port *p, u64 addr, u16 vlan, u64 now);

// An address in all VLANs; all stations of a port.
void net_station_forget(struct net_switch *s, u64 addr);
void net_stations_forget(struct net_switch *s, const struct net_port *p);

// The locked port that has this address; NULL: none.
struct net_port *net_locked_port(const struct net_switch *s, u64 addr);

// SPDX-License-Identifier: MIT
// VLAN membership of ports, and tags put on and taken off.
#include "net/vlan.h"

#include "lib/string.h"

#define TYPE_AT (2 * NET_ADDR)
#define VID     0xfffu

bool net_vlan_member(const struct net_port_config *c, u16 vlan)
{
	if (!c->trunk)
		return vlan == c->vlan;
	return (vlan || vlan == c->vlan) && vlan < NET_VLANS &&
	       (!c->vlans || c->vlans[vlan / 8] >> vlan % 8 & 1);
}

bool net_vlan_tagged(const struct net_port_config *c, u16 vlan)
{
	return vlan != c->vlan;
}

// What counts from the frame's start counts from NET_TAG bytes further on, or less far.
static void offload_move(struct net_offload *o, int by)
{
	if (o->flags & NET_NEEDS_CSUM)
		o->csum_start = (u16)(o->csum_start + by);
	if (o->gso_type)
		o->hdr_len = (u16)(o->hdr_len + by);
}

void net_tag_insert(struct net_frame *f, u16 vlan)
{
	memmove(f->head + TYPE_AT + NET_TAG, f->head + TYPE_AT, f->head_len - TYPE_AT);
	net_put16(f->head + TYPE_AT, NET_TYPE_VLAN);
	net_put16(f->head + TYPE_AT + 2, vlan);
	f->head_len += NET_TAG;
	f->length += NET_TAG;
	offload_move(&f->offload, NET_TAG);
}

static void tag_remove(struct net_frame *f)
{
	memmove(f->head + TYPE_AT, f->head + TYPE_AT + NET_TAG, f->head_len - TYPE_AT - NET_TAG);
	f->head_len -= NET_TAG;
	f->length -= NET_TAG;
	offload_move(&f->offload, -(int)NET_TAG);
}

const struct net_frame *net_vlan_classify(const struct net_port_config *c,
	const struct net_frame *f, struct net_frame *space, u16 *vlan)
{
	u16 vid;

	*vlan = c->vlan;
	if (net_get16(f->head + TYPE_AT) != NET_TYPE_VLAN)
		return net_vlan_member(c, c->vlan) ? f : NULL;
	if (f->length < NET_ETHERNET + NET_TAG ||
		(f->offload.flags & NET_NEEDS_CSUM &&
			f->offload.csum_start < NET_ETHERNET + NET_TAG))
		return NULL;
	vid = net_get16(f->head + TYPE_AT + 2) & VID;
	if (vid && !c->trunk)
		return NULL;
	if (vid)
		*vlan = vid;
	if (!net_vlan_member(c, *vlan))
		return NULL;
	*space = *f;
	tag_remove(space);
	// A tag in a tag is nobody's here.
	return net_get16(space->head + TYPE_AT) == NET_TYPE_VLAN ? NULL : space;
}

// SPDX-License-Identifier: MIT
// The root VM's own addresses when its card becomes the port of a bridge: Linux takes nothing from a card then, so addresses
// and routes move to the bridge, and back when the bridge goes.
//
// What is moved is first there and then taken away here; so whoever is interrupted in between does it again.
// Not moved: IPv6's link-local and temporary addresses, which every device makes for itself, and what a router
// announced, which the bridge hears anew; routes by several ways.
#pragma once

// Moves what the device `from` has to `to`, both by their indices; `to` is up. How many addresses it moved, or -errno: of an
// address, and nothing is taken away here; or of a route, which is lost.
int uplink_move(int from, int to);
